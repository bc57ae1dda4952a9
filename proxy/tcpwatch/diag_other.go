//go:build !linux

package tcpwatch

type diag struct{}

func openDiag() (*diag, error) { return nil, errPlatform }

func (*diag) close() error { return errPlatform }

func (*diag) get(ID) (Socket, error) { return Socket{}, errPlatform }

func (*diag) getAll([]ID, func(int, *Socket, error)) error { return errPlatform }

func (e replyError) Error() string { return "errno" }

func dump(Filter, func(*Socket) bool) error { return errPlatform }
