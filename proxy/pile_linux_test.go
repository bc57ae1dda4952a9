package proxy_test

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/tcpwatch"
	"mtlsproxy/proxy/tcpwire"
)

// survey looks at the sockets of the proxy's port.
func (l *lab) survey() *tcpwatch.Survey {
	l.t.Helper()
	s, err := tcpwatch.SurveyPorts(netip.MustParseAddrPort(l.addr).Port())
	if err != nil {
		l.t.Skipf("looking at sockets: %v", err)
	}
	return s
}

// TestHalfCloseRemovesThePile lets an upstream close while no client does, which
// leaves the proxy with sockets in FIN_WAIT_2 that no timer of the kernel ends. The
// survey names them and the setting, and the setting removes them.
func TestHalfCloseRemovesThePile(t *testing.T) {
	n := 300
	if testing.Short() || raceEnabled {
		n = 30
	}
	pile := func(t *testing.T, halfClose time.Duration) *lab {
		l := newLab(t, func(conn net.Conn) { conn.Close() }, func(s *proxy.Settings) {
			s.Timeouts.HalfClose = halfClose
			s.Timeouts.Idle = time.Hour
			s.Socket.KeepAlive.Enabled = false // with it, only the name of the finding is another
		})
		cfg := l.clientConfig(l.client("alice"))
		for range n {
			raw := l.raw()
			if err := tls.Client(raw, cfg).Handshake(); err != nil {
				t.Fatal(err)
			}
		}
		return l
	}
	t.Run("without a limit they stay, and are named", func(t *testing.T) {
		l := pile(t, time.Hour)
		var found *tcpwatch.Finding
		eventually(t, "the pile is named", func() bool {
			s := l.survey()
			for i, f := range s.Findings {
				if f.ID == "half_close_leak" && f.Group.Count == n {
					found = &s.Findings[i]
				}
			}
			return found != nil
		})
		if found.Title != "our half-close leak" || !strings.Contains(found.Advice, "timeouts.half_close") {
			t.Errorf("got %+v", found)
		}
	})
	t.Run("with the setting that is advised they go", func(t *testing.T) {
		l := pile(t, 300*time.Millisecond)
		eventually(t, "the pile is gone", func() bool {
			s := l.survey()
			return s.Accepted.Count[tcpwire.FinWait2] == 0 && s.Accepted.Count[tcpwire.Established] == 0
		})
	})
}
