//go:build !s390x && !mips && !mips64 && !ppc64

package tcpwire

// The C compiler fills bit fields from the low bit on little-endian machines.

const appLimited = 1

func first(b byte) uint8               { return b & 15 }
func second(b byte) uint8              { return b >> 4 }
func fastOpenFail(b byte) FastOpenFail { return FastOpenFail(b >> 1 & 3) }
