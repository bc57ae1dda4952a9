package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/proxy/admin"
	"mtlsproxy/proxy/tcpwatch"
)

// runSockets runs proxy sockets and returns what it wrote.
func runSockets(ctx context.Context, args ...string) (string, error) {
	cmd := newSocketsCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	err := cmd.ExecuteContext(ctx)
	return out.String(), err
}

func TestSocketsCommandLine(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"a port that is none", []string{"--port", "70000"}, "not between 1 and 65535"},
		{"a word for a port", []string{"--port", "https"}, "invalid argument"},
		{"too often", []string{"--port", "1", "--every", "10ms"}, "too often"},
		{"a port and an instance", []string{"--port", "1", "--admin", "x"}, "if any flags in the group"},
		{"an unknown output", []string{"--port", "1", "-o", "yaml"}, `-o "yaml" is not one of`},
		{"too many ports", []string{"--port", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"}, "17 ports"},
		{"an argument", []string{"8443"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := runSockets(t.Context(), tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) || exitCode(err) != exUsage && tt.name != "an argument" {
				t.Errorf("got %q, %v (exit code %d), want %q", out, err, exitCode(err), tt.want)
			}
		})
	}
}

// TestSocketsOfAPileUp looks at a port where we half-closed and no client closes.
func TestSocketsOfAPileUp(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("sockets are looked at on Linux only")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for range 3 {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		s.(*net.TCPConn).SetKeepAlive(false)
		s.(*net.TCPConn).CloseWrite()
	}
	port := strconv.Itoa(int(ln.Addr().(*net.TCPAddr).Port))
	var out string
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if out, err = runSockets(t.Context(), "--port", port); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out, "our half-close leak: 3 accepted in FIN-WAIT-2") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("got:\n%s", out)
		}
	}
	for _, want := range []string{"listening at 127.0.0.1:" + port, "accept queue 0 of ", "timeouts.half_close", "peers  127.0.0.1 (3)", "we do not close: 3 dialed in CLOSE-WAIT"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	for _, state := range tcpwatch.RFCStates {
		if !strings.Contains(out, "\n"+state.String()+" ") {
			t.Errorf("no row for %v in:\n%s", state, out)
		}
	}

	out, err = runSockets(t.Context(), "--port", port, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var doc admin.Sockets
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatalf("%v in:\n%s", err, out)
	}
	if len(doc.States) != len(tcpwatch.RFCStates) || len(doc.Findings) < 2 || doc.Findings[0].Count != 3 || len(doc.Listeners) != 1 {
		t.Errorf("got %+v", doc)
	}
}

func TestSocketsAreWatchedUntilInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cmd := newSocketsCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetContext(ctx)
	o := socketsOptions{Watch: true, Every: time.Millisecond, Output: "json"}
	looks := 0
	err := o.show(cmd, func(context.Context) (*admin.Sockets, error) {
		if looks++; looks == 2 {
			cancel()
			return &admin.Sockets{}, nil
		}
		return &admin.Sockets{}, nil
	})
	if err != nil || looks != 2 || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("got %v after %d looks, and:\n%s\nwant one document on a line", err, looks, out.String())
	}
}

func TestSocketsElsewhereAreUnsupported(t *testing.T) {
	if runtime.GOOS == "linux" {
		t.Skip("supported here")
	}
	if _, err := runSockets(t.Context(), "--port", "1"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want errors.ErrUnsupported", err)
	}
}

func TestSurveyIsWrittenForPeople(t *testing.T) {
	s := socketsOf(&tcpwatch.Survey{
		Time: time.Date(2026, 11, 22, 10, 43, 16, 0, time.Local), Ports: []uint16{8443},
		Listeners: []tcpwatch.Listening{{Local: netip.MustParseAddrPort("[::]:8443"), Queue: tcpwatch.QueueLength{Length: 3, Backlog: 4096}}},
		Findings: []tcpwatch.Finding{{
			ID: "x", Urgent: true, State: 5, Title: "client in CLOSE_WAIT", Meaning: strings.Repeat("word ", 20), Advice: "act",
			Group:    tcpwatch.Group{Count: 12, Oldest: 61 * time.Second, Peers: []tcpwatch.Holder{{Addr: netip.MustParseAddr("192.0.2.1"), Count: 9}}, Others: 3},
			Settings: []tcpwatch.Setting{{Name: "net.ipv4.tcp_fin_timeout", Value: "60"}},
		}},
	})
	for i := range s.States {
		if st := &s.States[i]; st.State == "FIN-WAIT-2" {
			st.Accepted, st.AcceptedOldest = 12, 61000
		}
	}
	const want = `10:43:16  port 8443
  listening at [::]:8443              accept queue 3 of 4096, SYN queue 0

STATE            ACCEPTED   OLDEST       DIALED   OLDEST
LISTEN                  -                     -
SYN-SENT                -                     -
SYN-RECEIVED            -                     -
ESTABLISHED             -                     -
FIN-WAIT-1              -                     -
FIN-WAIT-2             12     1m1s            -
CLOSING                 -                     -
TIME-WAIT               -                     -
CLOSE-WAIT              -                     -
LAST-ACK                -                     -
CLOSED                  -                     -

! client in CLOSE_WAIT: 12 accepted in FIN-WAIT-2, the oldest for 1m1s
  means  word word word word word word word word word word word word word word word
         word word word word word
  do     act
  now    net.ipv4.tcp_fin_timeout = 60
  peers  192.0.2.1 (9), others (3)
`
	var out bytes.Buffer
	if err := printSockets(&out, s, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
