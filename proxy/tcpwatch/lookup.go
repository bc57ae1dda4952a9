package tcpwatch

import "fmt"

// Diag asks the kernel about single connections, by sock_diag. It needs no
// privilege and sees every process's sockets, but only those of the network
// namespace in which it was opened. It may be used concurrently; questions are
// asked one after the other, at some 2 µs each whatever the number of sockets.
type Diag struct {
	d *diag
}

// OpenDiag opens the way to the kernel. The error matches errors.ErrUnsupported
// off Linux. The caller closes it.
func OpenDiag() (*Diag, error) {
	d, err := openDiag()
	if err != nil {
		return nil, err
	}
	return &Diag{d}, nil
}

// Get looks up one connection, before or after we closed it. It returns
// [ErrNotFound] if the kernel has none of this ID, and never the listener in its
// place. After Close the error matches net.ErrClosed.
func (d *Diag) Get(id ID) (Socket, error) {
	local, remote := id.Local.Addr().Unmap(), id.Remote.Addr().Unmap()
	if !local.IsValid() || !remote.IsValid() || local.Is4() != remote.Is4() {
		return Socket{}, fmt.Errorf("looking up %s to %s: want two addresses of one family", id.Local, id.Remote)
	}
	return d.d.get(id)
}

// Close gives up the way to the kernel. A second call returns net.ErrClosed.
func (d *Diag) Close() error { return d.d.close() }
