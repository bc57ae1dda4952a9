//go:build !linux

package tcpwatch

import (
	"net"
	"time"
)

type hangup struct {
	key    uint64
	broken bool
}

type poller struct{}

func newPoller() (*poller, error) { return nil, errPlatform }

func (*poller) add(*net.TCPConn, uint64) error { return errPlatform }

func (*poller) wait([]hangup) (int, error) { return 0, errPlatform }

func (*poller) setDeadline(time.Time) {}

func (*poller) close() {}

func (*poller) free() {}
