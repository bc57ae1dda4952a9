package sockopt

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mtlsproxy/proxy/tcptest"
)

// everything is an Options with every unprivileged option asked for.
func everything() Options {
	return Options{
		Backlog:       7,
		ReusePort:     true,
		DeferAccept:   time.Second,
		FastOpen:      5,
		NoDelay:       false,
		QuickAck:      true,
		KeepAlive:     KeepAlive{Enabled: true, Idle: 20 * time.Second, Interval: 5 * time.Second, Count: 3},
		UserTimeout:   1500 * time.Millisecond,
		ReceiveBuffer: 65536,
		SendBuffer:    32768,
		NotSentLowat:  16384,
		Linger:        new(0),
		Linger2:       2,
		SynCount:      3,
		Congestion:    "reno",
		MSS:           1000,
		DSCP:          46,
		FreeBind:      true,
		BindDevice:    "lo",
		TTL:           33,
		WindowClamp:   60000,
		MaxPacingRate: 1 << 33,
		SaveSYN:       true,
	}
}

func listen(t *testing.T, network, address string, o Options) (net.Listener, map[string]Setting) {
	t.Helper()
	if network == "tcp" {
		tcptest.NeedsAddress(t, address)
	}
	ln, settings, err := Listen(t.Context(), network, address, o)
	if err != nil {
		t.Fatalf("Listen(%s, %s) = %v", network, address, err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln, byName(settings)
}

func byName(settings []Setting) map[string]Setting {
	m := make(map[string]Setting)
	for _, s := range settings {
		m[s.Name] = s
	}
	return m
}

// pair returns both ends of one connection through the listener.
func pair(t *testing.T, ln net.Listener, o Options) (client, accepted *net.TCPConn) {
	t.Helper()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if o.DeferAccept > 0 { // it takes a byte to be accepted
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	a, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	if err := Accepted(a.(*net.TCPConn), &o); err != nil {
		t.Fatalf("Accepted: %v", err)
	}
	return c.(*net.TCPConn), a.(*net.TCPConn)
}

func effective(m map[string]Setting) map[string]string {
	e := make(map[string]string)
	for name, s := range m {
		if s.Asked != "" {
			e[name] = s.Effective
		}
	}
	return e
}

func TestListenerTakesEveryOptionAndHandsItDown(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "localhost-dual"} {
		t.Run(address, func(t *testing.T) {
			address, v6 := address, address != "127.0.0.1:0"
			if address == "localhost-dual" {
				address = ":0"
			}
			o := everything()
			ln, settings := listen(t, "tcp", address, o)
			want := map[string]string{
				"listen": "7", "SO_REUSEPORT": "true", "TCP_DEFER_ACCEPT": "1s", "TCP_FASTOPEN": "5",
				"SO_KEEPALIVE": "true", "TCP_KEEPIDLE": "20s", "TCP_KEEPINTVL": "5s", "TCP_KEEPCNT": "3",
				"TCP_USER_TIMEOUT": "1500ms", "SO_RCVBUF": "131072", "SO_SNDBUF": "65536",
				"TCP_NOTSENT_LOWAT": "16384", "SO_LINGER": "0", "TCP_LINGER2": "2", "TCP_SYNCNT": "3",
				"TCP_CONGESTION": "reno", "TCP_MAXSEG": "1000", "IP_TOS": "46", "IP_FREEBIND": "true",
				"SO_BINDTODEVICE": "lo", "IP_TTL": "33", "TCP_WINDOW_CLAMP": "60000",
				"SO_MAX_PACING_RATE": "8589934592", "TCP_SAVE_SYN": "true",
			}
			if v6 {
				want["IPV6_TCLASS"], want["IPV6_UNICAST_HOPS"] = "46", "33"
			}
			if diff := cmp.Diff(want, effective(settings)); diff != "" {
				t.Errorf("listener settings (-want +got):\n%s", diff)
			}
			for _, s := range settings {
				if s.Err != nil || s.Object != Listener {
					t.Errorf("%v: err %v, object %q", s, s.Err, s.Object)
				}
			}

			_, accepted := pair(t, ln, o)
			got, err := ReadBack(accepted, o, Client)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"listen", "SO_REUSEPORT", "TCP_DEFER_ACCEPT", "TCP_FASTOPEN", "TCP_SAVE_SYN"} {
				delete(want, name) // the listener's alone
			}
			want["TCP_MAXSEG"] = "988" // timestamps
			want["TCP_NODELAY"] = "false"
			want["TCP_QUICKACK"] = "true"
			if diff := cmp.Diff(want, effective(byName(got))); diff != "" {
				t.Errorf("client settings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestListenerOfDefaultsNeedsNothingPerConnection(t *testing.T) {
	o := Default()
	ln, settings := listen(t, "tcp", "127.0.0.1:0", o)
	_, accepted := pair(t, ln, Options{NoDelay: true}) // so that Accepted does nothing at all
	got, err := ReadBack(accepted, o, Client)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"SO_KEEPALIVE": "true", "TCP_KEEPIDLE": "15s", "TCP_KEEPINTVL": "15s", "TCP_KEEPCNT": "9", "TCP_NODELAY": "true"}
	if diff := cmp.Diff(want, effective(byName(got))); diff != "" {
		t.Errorf("client settings (-want +got):\n%s", diff)
	}
	if s := settings["TCP_SAVE_SYN"]; s.Effective != "true" {
		t.Errorf("TCP_SAVE_SYN is %q", s.Effective)
	}
	if s := settings["TCP_CONGESTION"]; s.Asked != "" || s.Effective == "" {
		t.Errorf("an option nobody asked for: got %+v, want its effective value", s)
	}
	if s := settings["listen"]; s.Effective != sysctl("net/core/somaxconn") {
		t.Errorf("backlog is %s, want somaxconn", s.Effective)
	}
}

func TestKeepAliveOffStaysOff(t *testing.T) {
	o := Options{NoDelay: true}
	ln, _ := listen(t, "tcp", "127.0.0.1:0", o)
	_, accepted := pair(t, ln, o)
	got, err := ReadBack(accepted, o, Client)
	if err != nil {
		t.Fatal(err)
	}
	if s := byName(got)["SO_KEEPALIVE"]; s.Effective != "false" || s.Note != "" {
		t.Errorf("got %v, want keepalive off: package net must not turn it on", s)
	}
}

func TestListenerIsNotMultipath(t *testing.T) {
	ln, _ := listen(t, "tcp", ":0", Default())
	err := onSocket(ln.(*net.TCPListener), func(fd int) error {
		protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
		if protocol != unix.IPPROTO_TCP {
			t.Errorf("protocol %d, want %d (TCP)", protocol, unix.IPPROTO_TCP)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDialerSetsEveryOption(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			ln, _ := listen(t, "tcp", address, Default())
			o := everything()
			o.Source = netip.MustParseAddrPort(address).Addr()
			conn, err := Dialer(o, 5*time.Second).DialContext(t.Context(), "tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := Dialed(conn, &o); err != nil {
				t.Fatal(err)
			}
			settings, err := ReadBack(conn.(*net.TCPConn), o, Upstream)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{
				"SO_KEEPALIVE": "true", "TCP_KEEPIDLE": "20s", "TCP_KEEPINTVL": "5s", "TCP_KEEPCNT": "3",
				"TCP_USER_TIMEOUT": "1500ms", "SO_RCVBUF": "131072", "SO_SNDBUF": "65536",
				"TCP_NOTSENT_LOWAT": "16384", "SO_LINGER": "0", "TCP_LINGER2": "2", "TCP_SYNCNT": "3",
				"TCP_CONGESTION": "reno", "TCP_MAXSEG": "988", "IP_TOS": "46", "IP_FREEBIND": "true",
				"SO_BINDTODEVICE": "lo", "IP_TTL": "33", "TCP_WINDOW_CLAMP": "60000",
				"SO_MAX_PACING_RATE": "8589934592", "TCP_NODELAY": "false", "TCP_QUICKACK": "true",
				"IP_BIND_ADDRESS_NO_PORT": "true",
			}
			if address[0] == '[' {
				want["IPV6_TCLASS"], want["IPV6_UNICAST_HOPS"] = "46", "33"
			}
			if diff := cmp.Diff(want, effective(byName(settings))); diff != "" {
				t.Errorf("upstream settings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDialerLeavesTheLocalAddressToTheKernel(t *testing.T) {
	if d := Dialer(Default(), 0); d.LocalAddr != nil {
		t.Errorf("LocalAddr is %v, want none: a bind before connect takes a port for itself", d.LocalAddr)
	}
}

func TestFastOpenConnect(t *testing.T) {
	settings, err := Check("tcp", Upstream, Options{FastOpenConnect: true})
	if err != nil {
		t.Fatal(err)
	}
	s := byName(settings)["TCP_FASTOPEN_CONNECT"]
	if bits, _ := strconv.Atoi(sysctl("net/ipv4/tcp_fastopen")); bits&1 == 0 {
		if s.Err == nil || s.Need == "" {
			t.Errorf("got %v, want a refusal that names the sysctl", s)
		}
	} else if s.Effective != "true" {
		t.Errorf("got %v, want it on", s)
	}
}

func TestNotesSayWhyTheEffectiveValueDiffers(t *testing.T) {
	somaxconn, err := strconv.Atoi(sysctl("net/core/somaxconn"))
	if err != nil {
		t.Skipf("net.core.somaxconn: %v", err)
	}
	o := Options{
		Backlog: somaxconn + 1, DeferAccept: 5 * time.Second, FastOpen: 3, WindowClamp: 10,
		ReceiveBuffer: 1 << 29, SendBuffer: 1, Linger: new(5), Linger2: 90, NoDelay: true,
	}
	_, settings := listen(t, "tcp", "127.0.0.1:0", o)
	for name, want := range map[string]struct{ effective, note string }{
		"listen":           {strconv.Itoa(somaxconn), "somaxconn"},
		"TCP_DEFER_ACCEPT": {"7s", "rounded up"},
		"TCP_WINDOW_CLAMP": {"1152", "minimum"},
		"SO_RCVBUF":        {settings["SO_RCVBUF"].Effective, "rmem_max"},
		"SO_SNDBUF":        {"4608", "minimum"},
		"SO_LINGER":        {"-1", "proxy lingers itself"},
		"TCP_LINGER2":      {"90", "above 60 s"},
	} {
		s := settings[name]
		if s.Effective != want.effective || !strings.Contains(s.Note, want.note) {
			t.Errorf("%v\n got effective %q, want %q and a note with %q", s, s.Effective, want.effective, want.note)
		}
	}
	if bits, _ := strconv.Atoi(sysctl("net/ipv4/tcp_fastopen")); bits&fastOpenServer == 0 {
		if s := settings["TCP_FASTOPEN"]; !strings.Contains(s.Note, "tcp_fastopen="+strconv.Itoa(bits|2)) {
			t.Errorf("%v\n want the sysctl that turns the server side on", s)
		}
	}
}

func TestUnknownCongestionControl(t *testing.T) {
	o := Options{Congestion: "nosuch"}
	_, settings := listen(t, "tcp", "127.0.0.1:0", o)
	s := settings["TCP_CONGESTION"]
	if !errors.Is(s.Err, unix.ENOENT) || !strings.Contains(s.Note, "reno") || s.Effective == "nosuch" {
		t.Errorf("got %v, want ENOENT and the names that the kernel has", s)
	}

	o.Strict = true
	ln, _, err := Listen(t.Context(), "tcp", "127.0.0.1:0", o)
	if err == nil {
		ln.Close()
	}
	var refused *OptionError
	if !errors.As(err, &refused) || !errors.Is(err, unix.ENOENT) || refused.Setting.Asked != "nosuch" {
		t.Errorf("strict Listen = %v, want an OptionError for nosuch", err)
	}
	_, err = Dialer(o, time.Second).DialContext(t.Context(), "tcp", "127.0.0.1:1")
	if !errors.As(err, &refused) || refused.Setting.Object != Upstream {
		t.Errorf("strict dial = %v, want an OptionError of the upstream", err)
	}
	if _, err := Check("tcp", Upstream, o); !errors.As(err, &refused) {
		t.Errorf("strict Check = %v, want an OptionError", err)
	}
}

func TestRefusalsNameTheCapability(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		need string
	}{
		{"SO_MARK", Options{Mark: 1}, needAdminRaw},
		{"IP_TRANSPARENT", Options{Transparent: true}, needAdminRaw},
		{"TCP_CONGESTION", Options{Congestion: restrictedCongestion(t)}, needAdmin},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.o == (Options{}) {
				t.Skip("every congestion control of this kernel is open to all")
			}
			unprivileged(t, func() {
				ln, settings, err := Listen(t.Context(), "tcp", "127.0.0.1:0", tt.o)
				if err != nil {
					t.Error(err)
					return
				}
				ln.Close()
				s := byName(settings)[tt.name]
				if !errors.Is(s.Err, unix.EPERM) || s.Need != tt.need {
					t.Errorf("got %v, want EPERM that needs %s", s, tt.need)
				}
				tt.o.Strict = true
				ln, _, err = Listen(t.Context(), "tcp", "127.0.0.1:0", tt.o)
				if err == nil {
					ln.Close()
				}
				var refused *OptionError
				if !errors.As(err, &refused) || !strings.Contains(err.Error(), tt.need) {
					t.Errorf("strict: got %v, want an OptionError that names %s", err, tt.need)
				}
			})
		})
	}
}

// childIsNobody marks the process that runs a test without any privilege.
const childIsNobody = "SOCKOPT_TEST_NOBODY"

// TestNobodyIsToldWhatIsMissing asks for everything that takes a privilege in a
// process that has none.
func TestNobodyIsToldWhatIsMissing(t *testing.T) {
	if os.Getenv(childIsNobody) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), childIsNobody+"=1")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if os.Geteuid() != 0 {
			t.Skip("needs root, to become nobody")
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("as nobody: %v\n%s", err, out)
		}
		return
	}
	o := Options{Mark: 1, Transparent: true, Congestion: restrictedCongestion(t), FreeBind: true, TTL: 33, Linger2: 5}
	want := map[string]string{"SO_MARK": needAdminRaw, "IP_TRANSPARENT": needAdminRaw}
	if o.Congestion != "" {
		want["TCP_CONGESTION"] = needAdmin
	}
	_, listener := listen(t, "tcp", "127.0.0.1:0", o)
	upstream, err := Check("tcp", Upstream, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, settings := range []map[string]Setting{listener, byName(upstream)} {
		for name, s := range settings {
			need, refused := want[name]
			if errors.Is(s.Err, unix.EPERM) != refused || s.Need != need {
				t.Errorf("%v: refused %v, needs %q; want %v, %q", s, s.Err, s.Need, refused, need)
			}
			if refused && !strings.Contains(s.String(), "needs "+need) {
				t.Errorf("%q does not say what it needs", s)
			}
		}
		if settings["IP_TTL"].Effective != "33" {
			t.Errorf("%v: what is allowed is to work all the same", settings["IP_TTL"])
		}
	}
	for key, o := range map[string]Options{"mark": {Mark: 1, Strict: true}, "transparent": {Transparent: true, Strict: true}} {
		_, err := Dialer(o, time.Second).DialContext(t.Context(), "tcp", "127.0.0.1:1")
		var refused *OptionError
		if !errors.As(err, &refused) || refused.Setting.Key != key || !strings.Contains(err.Error(), needAdminRaw) {
			t.Errorf("strict %s: %v, want an OptionError that names %s", key, err, needAdminRaw)
		}
	}
}

func TestPrivilegedOptions(t *testing.T) {
	o := Options{Mark: 0xfffffffe, Transparent: true}
	if os.Geteuid() != 0 {
		t.Skip("needs root: SO_MARK and IP_TRANSPARENT")
	}
	ln, settings := listen(t, "tcp", "127.0.0.1:0", o)
	_, accepted := pair(t, ln, o)
	got, err := ReadBack(accepted, o, Client)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []map[string]Setting{settings, byName(got)} {
		mark, transparent := m["SO_MARK"], m["IP_TRANSPARENT"]
		if errors.Is(mark.Err, unix.EPERM) {
			t.Skip("root without CAP_NET_ADMIN")
		}
		if mark.Effective != "4294967294" || mark.Note != "" || transparent.Effective != "true" {
			t.Errorf("got %v and %v", mark, transparent)
		}
	}
}

// restrictedCongestion names an algorithm that not everybody may choose, or "".
func restrictedCongestion(t *testing.T) string {
	allowed := strings.Fields(sysctl("net/ipv4/tcp_allowed_congestion_control"))
	for _, name := range strings.Fields(sysctl("net/ipv4/tcp_available_congestion_control")) {
		if !strings.Contains(" "+strings.Join(allowed, " ")+" ", " "+name+" ") {
			return name
		}
	}
	return ""
}

// unprivileged runs f on a thread of its own without any capability. The thread
// dies with its goroutine.
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			result <- fmt.Errorf("dropping capabilities: %w", err)
			return
		}
		f()
		result <- nil
	}()
	if err := <-result; err != nil {
		t.Skip(err)
	}
}

func TestAcceptedCostsNothingByDefault(t *testing.T) {
	o := Default()
	if n := testing.AllocsPerRun(100, func() {
		// A nil connection: anything but a return would panic.
		if err := Accepted(nil, &o); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkDial(b *testing.B) {
	ln, _, err := Listen(b.Context(), "tcp", "127.0.0.1:0", Default())
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go discard(ln)
	for _, bb := range []struct {
		name string
		d    *net.Dialer
	}{{"package net", &net.Dialer{}}, {"default options", Dialer(Default(), 0)}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c, err := bb.d.DialContext(b.Context(), "tcp", ln.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				Abort(c) // no TIME_WAIT
			}
		})
	}
}

// discard accepts, waits for the end and closes, until the listener is closed.
func discard(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		io.Copy(io.Discard, c)
		c.Close()
	}
}
