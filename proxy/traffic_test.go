package proxy_test

import (
	"io"
	"testing"

	"mtlsproxy/proxy"
)

func TestTrafficGrowsWhileAConnectionIsOpen(t *testing.T) {
	l := newLab(t, echo, nil)
	conn, m := l.meddled(0)
	check := func(when string, want uint64) {
		t.Helper()
		eventually(t, "the traffic is counted "+when, func() bool {
			got := l.server.Traffic()
			return len(got) == 1 && got[0] == proxy.Traffic{Listener: "main", FromClient: want, ToClient: want}
		})
	}
	check("while it is open", 1)
	io.WriteString(conn, "more")
	io.ReadFull(conn, make([]byte, 4))
	check("as it grows", 5)
	reset(m.TCPConn)
	eventually(t, "it is over", func() bool { return l.server.Active() == 0 })
	check("when it is over", 5)
	l.meddled(0)
	check("together with the next", 6)
}
