package main

import (
	"bytes"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/configs"
	"mtlsproxy/proxy/admin"
	"mtlsproxy/proxy/tcpwatch"
)

var updateSockets = flag.Bool("update-sockets", false, "write the golden file of proxy sockets anew")

// ownSocketsT returns the sockets of an instance with two listeners and two
// upstreams, and a pile-up of each kind.
func ownSocketsT(t *testing.T, looks *int) *ownSockets {
	t.Helper()
	loaded, err := configs.Load(configs.Source{Flags: []configs.Flag{
		{Key: "listeners.main.address", Value: "127.0.0.1:8443"}, {Key: "listeners.main.upstream", Value: "app"},
		{Key: "listeners.second.address", Value: "127.0.0.1:8444"}, {Key: "listeners.second.upstream", Value: "127.0.0.1:9001"},
		{Key: "listeners.second.timeouts.half_close", Value: "5s"}, {Key: "upstreams.app.address", Value: "localhost:9000"},
		{Key: "upstreams.app.dial_timeout", Value: "3s"},
		{Key: "listeners.main.tls.certificates.default.cert", Value: "c"}, {Key: "listeners.main.tls.certificates.default.key", Value: "k"},
		{Key: "listeners.second.tls.certificates.default.cert", Value: "c"}, {Key: "listeners.second.tls.certificates.default.key", Value: "k"},
		{Key: "listeners.main.client_auth.ca", Value: "ca"}, {Key: "listeners.second.client_auth.ca", Value: "ca"},
	}})
	if err != nil {
		var bad *configs.Error
		if errors.As(err, &bad) {
			t.Fatal(bad.Findings)
		}
		t.Fatal(err)
	}
	o := newOwnSockets()
	o.loaded = loaded
	o.ends = []socketEnd{
		{name: "main", at: netip.MustParseAddrPort("127.0.0.1:8443"), upstream: "app"},
		{name: "second", at: netip.MustParseAddrPort("127.0.0.1:8444"), upstream: "127.0.0.1:9001"},
		{name: "app", at: netip.MustParseAddrPort("[::]:9000"), dialed: "localhost:9000"},
		{name: "127.0.0.1:9001", at: netip.MustParseAddrPort("127.0.0.1:9001"), dialed: "127.0.0.1:9001"},
	}
	half := []string{"listener.timeouts.half_close"}
	o.looks = func(tcpwatch.Endpoints) (*tcpwatch.Survey, error) {
		*looks++
		s := &tcpwatch.Survey{
			Time: time.Now(), Ports: []uint16{8443, 8444, 9000, 9001},
			Listeners: []tcpwatch.Listening{
				{Local: netip.MustParseAddrPort("127.0.0.1:8443"), Queue: tcpwatch.QueueLength{Length: 3, Backlog: 4096}, Pending: 2},
				{Local: netip.MustParseAddrPort("127.0.0.1:8444"), Queue: tcpwatch.QueueLength{Backlog: 128}},
			},
			Settings: tcpwatch.Sysctls{"net.ipv4.tcp_max_syn_backlog": "2048"},
			Findings: []tcpwatch.Finding{
				{ID: "half_close_leak", Urgent: true, State: 5, Title: "our half-close leak", Meaning: "we sent FIN and hold on", Advice: "close it", Keys: half,
					Group: tcpwatch.Group{Count: 140, Oldest: 150 * time.Second, Ports: []tcpwatch.PortCount{{Port: 8443, Count: 100}, {Port: 8444, Count: 40}},
						Peers: []tcpwatch.Holder{{Addr: netip.MustParseAddr("192.0.2.1"), Count: 130}}, Others: 10},
					Settings: []tcpwatch.Setting{{Name: "net.ipv4.tcp_keepalive_time", Value: "7200"}}},
				{ID: "close_wait_drained", State: 8, Title: "we do not close", Meaning: "the upstream closed", Advice: "see timeouts.half_close", Keys: half,
					Group: tcpwatch.Group{Dialed: true, Count: 2, Ports: []tcpwatch.PortCount{{Port: 9001, Count: 2}}}},
				{ID: "dial_pending", State: 2, Title: "dials without an answer", Meaning: "no answer", Advice: "look there", Keys: []string{"upstream.dial_timeout"},
					Group: tcpwatch.Group{Dialed: true, Count: 1, Ports: []tcpwatch.PortCount{{Port: 9000, Count: 1}}}},
			},
		}
		s.Accepted.Count[1], s.Accepted.Count[5], s.Accepted.Oldest[5] = 80, 140, 150*time.Second
		s.Dialed.Count[8], s.Dialed.Count[2] = 2, 1
		return s, nil
	}
	return o
}

func TestAnInstanceNamesItsOwnSettings(t *testing.T) {
	var looks int
	d, err := ownSocketsT(t, &looks).look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]string
	for _, f := range d.Findings {
		got = append(got, f.Settings)
	}
	want := []map[string]string{
		{"listeners.main.timeouts.half_close": "1m", "listeners.second.timeouts.half_close": "5s", "net.ipv4.tcp_keepalive_time": "7200"},
		{"listeners.second.timeouts.half_close": "5s"}, // whose upstream it is
		{"upstreams.app.dial_timeout": "3s"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if d.Listeners[0].Name != "main" || d.Listeners[1].Name != "second" || d.PID == 0 {
		t.Errorf("got %+v", d.Listeners)
	}
	want2 := []admin.SocketUpstream{{Name: "app", Addresses: []string{"localhost:9000"}}, {Name: "127.0.0.1:9001", Addresses: []string{"127.0.0.1:9001"}}}
	if diff := cmp.Diff(want2, d.Upstreams); diff != "" {
		t.Errorf("upstreams (-want +got):\n%s", diff)
	}
}

func TestTheKernelIsNotAskedTooOften(t *testing.T) {
	var looks int
	o := ownSocketsT(t, &looks)
	for range 10 {
		if _, err := o.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if looks != 1 {
		t.Errorf("10 questions at once made %d looks, want 1", looks)
	}
	o.last.Time = o.last.Time.Add(-surveyEvery)
	if _, err := o.look(t.Context()); err != nil || looks != 2 {
		t.Errorf("%v after %d looks; what was seen is old enough to look again", err, looks)
	}
	o.last = nil
	o.looks = func(tcpwatch.Endpoints) (*tcpwatch.Survey, error) { return nil, errors.New("no netlink") }
	if _, err := o.look(t.Context()); err == nil {
		t.Error("that the kernel refuses is not told")
	}
}

func TestAnInstancesSocketsAreWrittenForPeople(t *testing.T) {
	var looks int
	d, err := ownSocketsT(t, &looks).look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.Time.Time, d.PID = time.Date(2026, 11, 22, 10, 43, 16, 0, time.Local), 4711
	d.Watcher = &admin.SocketWatcher{
		Tiers: []string{"sock", "packet"}, Missing: []admin.SocketTier{{Tier: "sockops", Why: "operation not permitted", Need: "CAP_BPF and CAP_NET_ADMIN"}},
		Open: 142, Following: 300, Followed: 5000, HalfOpen: 3, Evicted: 2, LostPackets: 17, Late: 4, Deaf: 1,
	}
	d.Counters = map[string]uint64{"TCPTimeouts": 4, "ListenOverflows": 1}
	var out bytes.Buffer
	if err := printSockets(&out, d, false); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "sockets_instance.golden")
	if *updateSockets {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhereAnUpstreamIsDialed(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:9000": "127.0.0.1:9000", "[::1]:80": "[::1]:80", "app.internal:9000": "[::]:9000", "localhost:https": "[::]:443",
		"/run/app.sock": "", "127.0.0.1": "", "app:no-such-service": "",
	} {
		at, ok := dialedAt(address)
		if got := strings.TrimPrefix(at.String(), "invalid AddrPort"); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, %v, want %q", address, got, ok, want)
		}
	}
}
