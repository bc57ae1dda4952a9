package tcptest

import (
	"net"
	"testing"
)

// NeedsAddress skips the test where this machine has not the host of an address,
// such as "[::1]:0" where IPv6 is switched off.
func NeedsAddress(t testing.TB, address string) {
	t.Helper()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("this machine has no %s: %v", host, err)
	}
	ln.Close()
}
