package sockopt

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// ValueError is one value that no socket takes.
type ValueError struct {
	Key   string // below `socket`, such as "keepalive.idle"
	Value string // in the notation of the configuration
	Want  string // what would do, such as "1s to 32767s"
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("socket.%s: %s is out of range, want %s", e.Key, e.Value, e.Want)
}

// Validate checks every value against what Linux takes. It returns nil or one
// error that joins a *[ValueError] for each finding, in the order of the fields.
// It makes no system call: whether this kernel and these privileges allow an
// option is for [Check] to find out.
func (o Options) Validate() error {
	var v findings
	v.number("backlog", o.Backlog, 0, math.MaxInt32)
	v.seconds("defer_accept", o.DeferAccept, 29887)
	v.number("fast_open", o.FastOpen, 0, math.MaxInt32)
	v.seconds("keepalive.idle", o.KeepAlive.Idle, 32767)
	v.seconds("keepalive.interval", o.KeepAlive.Interval, 32767)
	v.number("keepalive.count", o.KeepAlive.Count, 0, 127)
	v.duration("user_timeout", o.UserTimeout, math.MaxInt32*time.Millisecond)
	v.number("receive_buffer", o.ReceiveBuffer, 0, math.MaxInt32/2)
	v.number("send_buffer", o.SendBuffer, 0, math.MaxInt32/2)
	v.number("notsent_lowat", o.NotSentLowat, 0, math.MaxInt32)
	if o.Linger != nil {
		v.number("linger", *o.Linger, -1, math.MaxInt32)
	}
	v.number("linger2", o.Linger2, -1, 120)
	v.number("syncnt", o.SynCount, 0, 127)
	v.name("congestion", o.Congestion)
	if o.MSS != 0 {
		v.number("mss", o.MSS, 88, 32767)
	}
	v.number("dscp", o.DSCP, 0, 63)
	v.name("bind_device", o.BindDevice)
	v.number("ttl", o.TTL, 0, 255)
	v.number("window_clamp", o.WindowClamp, 0, math.MaxInt32)
	return errors.Join(v...)
}

type findings []error

func (v *findings) add(key, value, want string) {
	*v = append(*v, &ValueError{Key: key, Value: value, Want: want})
}

func (v *findings) number(key string, n, low, high int) {
	if n < low || n > high {
		v.add(key, fmt.Sprint(n), fmt.Sprintf("%d to %d", low, high))
	}
}

// seconds takes durations that the kernel counts in seconds. A fraction is
// rounded up later, so anything above zero is at least one second.
func (v *findings) seconds(key string, d time.Duration, most int) {
	if d < 0 || d > time.Duration(most)*time.Second {
		v.add(key, d.String(), fmt.Sprintf("0s to %ds", most))
	}
}

func (v *findings) duration(key string, d, most time.Duration) {
	if d < 0 || d > most {
		v.add(key, d.String(), fmt.Sprintf("0s to %s", most))
	}
}

// maxName is TCP_CA_NAME_MAX and IFNAMSIZ without the closing zero byte.
const maxName = 15

func (v *findings) name(key, s string) {
	if len(s) > maxName || strings.ContainsAny(s, "\x00 \t\r\n/") {
		v.add(key, fmt.Sprintf("%q", s), fmt.Sprintf("a name of at most %d bytes without spaces and slashes", maxName))
	}
}
