package tcpwatch

import (
	"testing"
	"time"

	"mtlsproxy/proxy/tcpwire"
)

// TestTimeWaitIsKnownAtTheClose closes connections of which both ends have sent
// FIN, ours first.
func TestTimeWaitIsKnownAtTheClose(t *testing.T) {
	const sent = 700 // by the client, before its end
	for _, tt := range []struct {
		name    string
		dialed  bool
		read    uint64
		reset   bool
		asked   bool
		verdict Verdict
		state   tcpwire.State
	}{
		{"all was read, and the kernel is not asked", false, sent, false, false, ClosedHere, tcpwire.TimeWait},
		{"what was read is not known, and the kernel is asked", false, 0, false, true, ClosedHere, tcpwire.TimeWait},
		{"a reset is no FIN", false, sent, true, true, ResetAfterClose, tcpwire.Closed},
		{"all was read of a dialed one", true, sent, false, false, ClosedHere, tcpwire.TimeWait},
		{"a dialed one was reset", true, sent, true, true, ResetAfterClose, tcpwire.Closed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := startT(t, sockOnly)
			c := watchT(t, w)
			if tt.dialed {
				c = watchDialedT(t, w)
			}
			c.halfClose(t)
			c.client.Write(make([]byte, sent))
			drainOnce(t, c.server)
			drain(t, c.client)
			if tt.reset {
				c.client.SetLinger(0)
			}
			c.client.Close()
			drain(t, c.server)
			waitState(t, c.server, tcpwire.Closed)
			c.flow.Closing(&Leave{Read: tt.read})
			c.server.Close()
			c.flow.Closed()
			end := c.end(t)
			if end.Verdict != tt.verdict || end.To != tt.state || end.FirstBy != Us {
				t.Errorf("got %v in %v, first by %v; told:\n%s", end.Verdict, end.To, end.FirstBy, c)
			}
			if asked := w.Stats().Lookups > 0; asked != tt.asked {
				t.Errorf("the kernel was asked: %v, want %v", asked, tt.asked)
			}
			if end.To != tcpwire.TimeWait {
				return
			}
			if end.Expires > timeWaitLength || end.Expires < timeWaitLength-10*time.Second {
				t.Errorf("TIME-WAIT is to end in %v", end.Expires)
			}
			if s, err := openDiagT(t).Get(c.flow.id); err != nil || s.State != tcpwire.TimeWait {
				t.Errorf("the kernel has it in %v, %v", s.State, err)
			}
		})
	}
}
