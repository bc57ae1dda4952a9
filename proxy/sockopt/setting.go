package sockopt

import (
	"fmt"
	"strings"
)

// Object says whose socket an option belongs to.
type Object string

// The sockets of a proxy.
const (
	Listener Object = "listener" // the listening socket; most of its options reach the client's
	Client   Object = "client"   // an accepted connection
	Upstream Object = "upstream" // a dialed connection
)

// Setting is one socket option: asked for, and as getsockopt returned it.
type Setting struct {
	Object    Object
	Name      string // as in the kernel's headers, such as "TCP_KEEPIDLE"
	Key       string // below `socket` in the configuration, such as "keepalive.idle"
	Asked     string // in the notation of the configuration; "" if nothing was asked for
	Effective string // likewise; "" if it could not be read
	Err       error  // the refusal of the kernel, matches a syscall.Errno or errors.ErrUnsupported
	Need      string // what would make the kernel agree, such as "CAP_NET_ADMIN"; only with Err
	Note      string // why Effective is not Asked, or what else is to be known
}

// String returns one line for a person, such as
// "listener receive_buffer (SO_RCVBUF): asked 65536, effective 131072: doubled …".
func (s Setting) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s (%s):", s.Object, s.Key, s.Name)
	if s.Asked != "" {
		fmt.Fprintf(&b, " asked %s,", s.Asked)
	}
	switch {
	case s.Err != nil:
		fmt.Fprintf(&b, " %v", s.Err)
		if s.Effective != "" {
			fmt.Fprintf(&b, ", stays %s", s.Effective)
		}
	case s.Effective != "":
		fmt.Fprintf(&b, " effective %s", s.Effective)
	default:
		b.WriteString(" effective value unknown")
	}
	if s.Need != "" {
		fmt.Fprintf(&b, "; needs %s", s.Need)
	}
	if s.Note != "" {
		fmt.Fprintf(&b, ": %s", s.Note)
	}
	return b.String()
}

// OptionError is an option that the kernel refused under [Options.Strict]. It
// unwraps to the kernel's error.
type OptionError struct {
	Setting Setting
}

func (e *OptionError) Error() string {
	s := e.Setting
	msg := fmt.Sprintf("socket.%s: %s on the %s socket: %s: %v", s.Key, s.Asked, s.Object, s.Name, s.Err)
	if s.Need != "" {
		msg += ", needs " + s.Need
	}
	if s.Note != "" {
		msg += "; " + s.Note
	}
	return msg
}

// Unwrap returns the error of the kernel.
func (e *OptionError) Unwrap() error { return e.Setting.Err }
