//go:build s390x || mips || mips64 || ppc64

package tcpwire

// The C compiler fills bit fields from the high bit on big-endian machines.

const appLimited = 1 << 7

func first(b byte) uint8               { return b >> 4 }
func second(b byte) uint8              { return b & 15 }
func fastOpenFail(b byte) FastOpenFail { return FastOpenFail(b >> 5 & 3) }
