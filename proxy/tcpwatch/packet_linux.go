package tcpwatch

import "errors"

func startPacket(*Watcher, []uint16) (tier, error) { return nil, errors.ErrUnsupported }
