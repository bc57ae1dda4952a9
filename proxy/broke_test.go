package proxy_test

import (
	"io"
	"net"
	"testing"
	"time"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tcpwatch"
	"mtlsproxy/proxy/tcpwire"
)

// ended checks the end of the only connection, which must come long before its
// clocks run out.
func (l *lab) ended(cause event.Cause, by string) {
	l.t.Helper()
	if end := l.closed(); end.Cause != cause || end.By != by {
		l.t.Errorf("closed: cause %s by %s, %q; want %s by %s\n%s", end.Cause, end.By, end.Detail, cause, by, l.journal())
	}
}

// The kernel tells of an RST whoever reads or writes. Where nobody does, it is
// noticed all the same, and the other side does not wait for a client that is gone.
func TestResetThatNobodyReadsIsNoticed(t *testing.T) {
	for _, how := range clientEnds {
		eachVersion(t, "of a client that had ended, "+how.name, func(t *testing.T, version uint16) {
			gone := make(chan struct{})
			upstream := func(conn net.Conn) {
				io.CopyN(conn, conn, 1)
				io.Copy(io.Discard, conn) // its end; now it computes, and says nothing
				eventually(t, "the upstream is reset", func() bool { return isReset(conn) })
				close(gone)
			}
			l := newLab(t, upstream, nil)
			conn, m := l.meddled(version)
			if err := how.end(conn, m.TCPConn); err != nil {
				t.Fatal(err)
			}
			waitFor[event.TCPHalfClosed](l)
			reset(m.TCPConn)
			l.ended(event.CauseClientReset, "client")
			<-gone
		})
	}
	t.Run("of a client whose upload is stuck", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, func(conn net.Conn) {
			io.CopyN(conn, conn, 1)
			eventually(t, "the upstream is reset", func() bool { return isReset(conn) })
		}, nil)
		conn, m := l.meddled(0)
		conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		io.Copy(conn, zeros{})
		reset(m.TCPConn)
		l.ended(event.CauseClientReset, "client")
	})
	t.Run("of an upstream that had ended", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, func(conn net.Conn) {
			io.CopyN(conn, conn, 1)
			conn.(*net.TCPConn).CloseWrite()
			time.Sleep(100 * time.Millisecond)
			reset(conn.(*net.TCPConn))
		}, nil)
		conn, m := l.meddled(0)
		if got := endOfClient(conn, m); got != seenEnd {
			t.Errorf("the client saw %s", got)
		}
		l.ended(event.CauseClean, "upstream") // it had ended in order, and stopped listening
	})
}

// A client that goes with close_notify and RST, and whose upstream then ends as it
// is told to, has ended in order.
func TestClientThatDoesNotStayForOurEndHasEndedInOrder(t *testing.T) {
	eachVersion(t, "close_notify, then RST", func(t *testing.T, version uint16) {
		l := newLab(t, func(conn net.Conn) {
			io.Copy(conn, conn)
			time.Sleep(300 * time.Millisecond)
		}, nil)
		conn, m := l.meddled(version)
		conn.CloseWrite()
		waitFor[event.TCPHalfClosed](l)
		reset(m.TCPConn)
		l.ended(event.CauseClean, "client")
	})
}

// isReset tells whether a connection is gone, without touching it.
func isReset(conn net.Conn) bool {
	var now tcpwatch.Snapshot
	return tcpwatch.Info(conn, &now.Info) == nil && now.Info.State == tcpwire.Closed
}
