package admin

import (
	"strings"
	"testing"
	"time"

	"mtlsproxy/proxy/event"
)

func TestWhatBecameOfASocketIsSaidInASentence(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  SocketEnd
		peer string
		want string
	}{
		{"it is not gone yet", SocketEnd{First: "proxy", How: "fin", State: "FIN-WAIT-2"}, "client",
			"We sent the first FIN. Our socket is not gone yet: it was last seen in FIN-WAIT-2, waiting for the client's FIN."},
		{"our FIN is not acknowledged", SocketEnd{First: "client", How: "fin", State: "LAST-ACK"}, "client",
			"The client sent the first FIN. Our socket is not gone yet: it was last seen in LAST-ACK, waiting for the client to acknowledge our FIN."},
		{"nothing is known but that it is watched", SocketEnd{}, "upstream", "Our socket is not gone yet."},
		{"time is left", SocketEnd{Over: true, First: "proxy", How: "fin", State: "TIME-WAIT", Verdict: "closed_here", Expires: 59e6, Quality: "exact"}, "upstream",
			"We closed first: our FIN, then the upstream's. Our socket keeps TIME-WAIT, 59.0 s more when it was looked at."},
		{"reset after its FIN", SocketEnd{Over: true, First: "client", How: "fin", State: "CLOSED", Verdict: "reset_there", Quality: "derived"}, "client",
			"The client sent the first FIN. The client reset the connection: RST. Our socket is gone, without TIME-WAIT. (derived)"},
		{"reset out of nothing", SocketEnd{Over: true, First: "client", How: "rst", State: "CLOSED", Verdict: "reset_there", Quality: "exact"}, "client",
			"The client reset the connection: RST. Our socket is gone, without TIME-WAIT."},
		{"given up", SocketEnd{Over: true, First: "proxy", How: "fin", State: "CLOSED", Verdict: "gave_up", Quality: "inferred"}, "client",
			"We sent the first FIN. The client stopped answering, and our kernel gave the connection up. (inferred)"},
		{"not followed to the end", SocketEnd{Over: true, State: "FIN-WAIT-1", Verdict: "still_open"}, "client",
			"Our socket was not gone when we stopped looking: it was in FIN-WAIT-1."},
		{"a verdict of a later version", SocketEnd{Over: true, Verdict: "swallowed", Text: "a whale came by"}, "client", "A whale came by."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.end.sentence(tt.peer); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestALegHasAnEndOnlyOnceItIsClosed(t *testing.T) {
	s := derivedOnly()
	s.events = s.events[:len(s.events)-3] // up to the end of the upstream's leg
	d := document(t, s)
	if d.TCP.End != nil {
		t.Errorf("the client's leg is open, and its end is told: %+v", d.TCP.End)
	}
	if d.Upstream == nil || d.Upstream.End == nil || !d.Upstream.End.Over {
		t.Errorf("the upstream's leg is over, got %+v", d.Upstream)
	}
	if d := document(t, mutual13()); d.TCP.End != nil || d.Upstream.End != nil {
		t.Errorf("nobody followed the sockets, and their end is told: %+v, %+v", d.TCP.End, d.Upstream.End)
	}
}

func TestWhatWasBeforeAcceptStandsBeforeIt(t *testing.T) {
	s := through("late", "7q70", 50610)
	s.at(0, event.TCPAccepted{Listen: "127.0.0.1:8443"})
	s.at(0.3, event.TCPEstablished{Side: client, Kernel: kernelInfo})
	s.at(0.2, event.TCPSYNACK{Side: client, By: us, Attempt: 1, Witness: guessed})
	s.at(0.2, event.TCPSYN{Side: client, By: client, Attempt: 1, Witness: bySock})
	s.close(event.ConnClosed{Reason: event.TCPProbe, Cause: event.CauseProbe, By: "client", How: event.ByFIN, Duration: time.Millisecond})
	d := document(t, s)
	got := ""
	for _, step := range d.Steps {
		got += step.Name + " "
	}
	if want := "tcp.syn tcp.syn_ack tcp.established tcp.accepted conn.closed "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestWhatNobodySawIsNotDrawnAsSeen reads the ladder of a connection of which only
// the SYN was seen: every other segment has a dashed arrow and is called what it is.
func TestWhatNobodySawIsNotDrawnAsSeen(t *testing.T) {
	text := string(AppendLadder(nil, document(t, derivedOnly()), LadderOptions{Width: 200}))
	for line := range strings.Lines(text) {
		segment := strings.Contains(line, " ACK ") || strings.Contains(line, " FIN ") && strings.Contains(line, "╌")
		switch {
		case strings.Contains(line, "─── SYN [S]"):
			if !strings.Contains(line, "time derived") {
				t.Errorf("the time is not called derived: %s", line)
			}
		case segment && !strings.Contains(line, "derived") && !strings.Contains(line, "inferred"), strings.Contains(line, "── FIN"), strings.Contains(line, "── ACK"):
			t.Errorf("drawn as seen: %s", line)
		}
	}
	if !strings.Contains(text, "╌╌ FIN ╌") {
		t.Errorf("no FIN in\n%s", text)
	}
}

func TestTimesThatAreNotExactKeepToTheirColumn(t *testing.T) {
	c := &climb{}
	for us, want := range map[int64]string{
		-4_000: "  ~-4.000", 0: "   ~0.000", 99_999_999: " ~99999.9", -9_999_999: " ~-9999.9", -20_000_000: "   before",
		99_999_900_000: " ~99999 s", 4_000_000_000: " ~4000.0 s"[1:], 9e15: "~104167 d",
	} {
		s := &Step{T: us, Detail: Detail{Quality: "derived"}}
		if got := c.when(s); got != want {
			t.Errorf("%d µs: got %q, want %q", us, got, want)
		}
	}
}
