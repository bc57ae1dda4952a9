package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// socketsDoor opens a door that answers about sockets, and keeps no journals.
func socketsDoor(t *testing.T, look func(context.Context) (*Sockets, error)) Socket {
	t.Helper()
	s := Socket{Path: filepath.Join(t.TempDir(), "run", socketName), From: "--admin"}
	ln, err := Listen(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, API{Sockets: look}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// sampleSockets has every field set.
func sampleSockets() *Sockets {
	return &Sockets{
		Time: Time{time.Date(2026, 11, 22, 10, 43, 16, 500e6, time.UTC)}, PID: 7, Ports: []uint16{8443, 9000},
		Listeners: []SocketListener{{Name: "main", Address: netip.MustParseAddrPort("[::]:8443"), Queue: 3, Backlog: 4096, SYNQueue: 1, SYNBacklog: "2048", UID: 1000}},
		Upstreams: []SocketUpstream{{Name: "app", Addresses: []string{"127.0.0.1:9000"}}},
		States:    []SocketState{{State: "FIN-WAIT-2", Accepted: 12, Dialed: 1, AcceptedOldest: 61000, DialedOldest: 1.5}},
		Findings: []SocketFinding{{
			ID: "half_close_leak", Urgent: true, State: "FIN-WAIT-2", Side: "accepted", Count: 12, OldestMS: 61000,
			Title: "our half-close leak", Meaning: "…", Advice: "…",
			Settings: map[string]string{"listeners.main.timeouts.half_close": "1m", "net.ipv4.tcp_fin_timeout": "60"},
			Peers:    []SocketPeer{{netip.MustParseAddr("192.0.2.1"), 9}}, Others: 3,
		}},
		Watcher: &SocketWatcher{
			Tiers: []string{"sock"}, Missing: []SocketTier{{"packet", "operation not permitted", "CAP_NET_RAW"}},
			Open: 12, Following: 3, Followed: 40, Lookups: 50, Dumps: 1, HalfOpen: 2, Evicted: 1, EarlyEvicted: 1, LostRecords: 1, LostPackets: 1, Late: 1, Deaf: 1, Unasked: []string{"packet"},
		},
		Counters: map[string]uint64{"ListenOverflows": 4},
	}
}

func TestSocketsAreAnswered(t *testing.T) {
	want := sampleSockets()
	s := socketsDoor(t, func(context.Context) (*Sockets, error) { return want, nil })
	c, err := Dial(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := c.Sockets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if resp, body := ask(t, s, http.MethodPost, "/api/v1/sockets"); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d, %s", resp.StatusCode, body)
	}

	// The rest of the API stands, though nothing is kept.
	if _, err := c.Info(t.Context()); err != nil {
		t.Errorf("info: %v", err)
	}
	var p *Problem
	if _, err := c.Connections(t.Context(), Filter{}); !errors.As(err, &p) || p.Status != 404 || !strings.Contains(p.Detail, "inspect.ring_connections") {
		t.Errorf("connections: %v", err)
	}
	if _, err := c.Connection(t.Context(), "7q41"); !errors.As(err, &p) || p.Status != 404 {
		t.Errorf("a connection: %v", err)
	}
}

func TestSocketsThatCannotBeLookedAt(t *testing.T) {
	for _, tt := range []struct {
		name   string
		look   func(context.Context) (*Sockets, error)
		status int
	}{
		{"nobody looks", nil, http.StatusNotImplemented},
		{"not on this system", func(context.Context) (*Sockets, error) { return nil, errors.ErrUnsupported }, http.StatusNotImplemented},
		{"the kernel refuses", func(context.Context) (*Sockets, error) { return nil, errors.New("no netlink") }, http.StatusInternalServerError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := ask(t, socketsDoor(t, tt.look), http.MethodGet, "/api/v1/sockets")
			var p Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil || resp.StatusCode != tt.status || p.Status != tt.status || p.Detail == "" {
				t.Errorf("status %d, %v, body %s", resp.StatusCode, err, body)
			}
		})
	}
}

// TestSocketsDocument holds the names that scripts rely on.
func TestSocketsDocument(t *testing.T) {
	got, err := json.MarshalIndent(sampleSockets(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "sockets.json", append(got, '\n'))
}
