package sockopt

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestValidate(t *testing.T) {
	with := func(f func(*Options)) Options { o := Default(); f(&o); return o }
	good := map[string]Options{
		"zero":     {},
		"defaults": Default(),
		"lowest": {
			DeferAccept: 1, KeepAlive: KeepAlive{true, time.Second, time.Second, 1}, UserTimeout: 1,
			Linger: new(-1), Linger2: -1, SynCount: 1, MSS: 88, TTL: 1, WindowClamp: 1,
		},
		"highest": {
			Backlog: math.MaxInt32, DeferAccept: 29887 * time.Second, KeepAlive: KeepAlive{true, 32767 * time.Second, 32767 * time.Second, 127},
			UserTimeout: math.MaxInt32 * time.Millisecond, ReceiveBuffer: math.MaxInt32 / 2, Linger: new(3600), Linger2: 120, SynCount: 127,
			Congestion: "fifteen_letters", MSS: 32767, DSCP: 63, TTL: 255,
		},
	}
	for name, o := range good {
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	bad := map[string]func(*Options){
		"backlog":            func(o *Options) { o.Backlog = -1 },
		"defer_accept":       func(o *Options) { o.DeferAccept = 29888 * time.Second },
		"fast_open":          func(o *Options) { o.FastOpen = -1 },
		"keepalive.idle":     func(o *Options) { o.KeepAlive.Idle = 32768 * time.Second },
		"keepalive.interval": func(o *Options) { o.KeepAlive.Interval = -time.Second },
		"keepalive.count":    func(o *Options) { o.KeepAlive.Count = 128 },
		"user_timeout":       func(o *Options) { o.UserTimeout = -1 },
		"receive_buffer":     func(o *Options) { o.ReceiveBuffer = math.MaxInt32/2 + 1 },
		"send_buffer":        func(o *Options) { o.SendBuffer = -1 },
		"notsent_lowat":      func(o *Options) { o.NotSentLowat = -1 },
		"linger":             func(o *Options) { o.Linger = new(-2) },
		"linger2":            func(o *Options) { o.Linger2 = 121 },
		"syncnt":             func(o *Options) { o.SynCount = 128 },
		"congestion":         func(o *Options) { o.Congestion = "sixteen_letters_" },
		"mss":                func(o *Options) { o.MSS = 87 },
		"dscp":               func(o *Options) { o.DSCP = 64 },
		"bind_device":        func(o *Options) { o.BindDevice = "eth 0" },
		"ttl":                func(o *Options) { o.TTL = 256 },
		"window_clamp":       func(o *Options) { o.WindowClamp = -1 },
	}
	for key, f := range bad {
		var finding *ValueError
		if err := with(f).Validate(); !errors.As(err, &finding) || finding.Key != key {
			t.Errorf("%s: got %v, want a finding", key, err)
		}
	}

	t.Run("reports all findings at once", func(t *testing.T) {
		err := with(func(o *Options) { o.DSCP, o.TTL = 64, -1 }).Validate()
		want := "socket.dscp: 64 is out of range, want 0 to 63\nsocket.ttl: -1 is out of range, want 0 to 255"
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestSettingString(t *testing.T) {
	for _, tt := range []struct {
		set  Setting
		want string
	}{
		{Setting{Object: Listener, Key: "ttl", Name: "IP_TTL", Effective: "64"}, "listener ttl (IP_TTL): effective 64"},
		{Setting{Object: Listener, Key: "dscp", Name: "IP_TOS", Asked: "46", Effective: "46"}, "listener dscp (IP_TOS): asked 46, effective 46"},
		{
			Setting{Object: Upstream, Key: "mark", Name: "SO_MARK", Asked: "1", Effective: "0", Err: errors.New("operation not permitted"), Need: needAdminRaw},
			"upstream mark (SO_MARK): asked 1, operation not permitted, stays 0; needs CAP_NET_ADMIN or CAP_NET_RAW",
		},
		{
			Setting{Object: Client, Key: "send_buffer", Name: "SO_SNDBUF", Asked: "1", Effective: "4608", Note: "raised to the kernel's minimum"},
			"client send_buffer (SO_SNDBUF): asked 1, effective 4608: raised to the kernel's minimum",
		},
	} {
		if got := tt.set.String(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

func TestOptionErrorNamesOptionValueAndCapability(t *testing.T) {
	err := &OptionError{Setting{Object: Upstream, Key: "mark", Name: "SO_MARK", Asked: "1", Err: errors.New("operation not permitted"), Need: needAdminRaw}}
	want := "socket.mark: 1 on the upstream socket: SO_MARK: operation not permitted, needs CAP_NET_ADMIN or CAP_NET_RAW"
	if got := err.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
