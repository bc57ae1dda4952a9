package tcpwire

import (
	"fmt"
	"strings"
)

// InfoOptions are the bits of tcpi_options: what both sides agreed on, and what
// was seen since.
type InfoOptions uint8

// TCPI_OPT_* of include/uapi/linux/tcp.h.
const (
	InfoTimestamps     InfoOptions = 1 << iota
	InfoSACK                       // selective acknowledgments
	InfoWScale                     // window scaling
	InfoECN                        // negotiated
	InfoECNSeen                    // at least one segment came with ECT
	InfoSYNData                    // data in the SYN was acknowledged
	InfoUsecTimestamps             // timestamps count microseconds
	InfoFastOpenChild              // made by TCP Fast Open
)

var infoOptionNames = [8]string{"timestamps", "sack", "wscale", "ecn", "ecn-seen", "syn-data", "usec-timestamps", "fast-open"}

// String lists the bits that are set, separated by commas.
func (o InfoOptions) String() string {
	var names []string
	for i, name := range infoOptionNames {
		if o>>i&1 != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// CAState is the state of congestion avoidance, enum tcp_ca_state.
type CAState uint8

// String returns the kernel's name in lower case, such as "recovery".
func (s CAState) String() string {
	names := [...]string{"open", "disorder", "cwr", "recovery", "loss"}
	if int(s) >= len(names) {
		return fmt.Sprintf("congestion state %d", uint8(s))
	}
	return names[s]
}

// FastOpenFail says why the client side of TCP Fast Open fell back, enum
// tcp_fastopen_client_fail.
type FastOpenFail uint8

// String returns the kernel's name in words; "" for no failure known.
func (f FastOpenFail) String() string {
	switch f {
	case 1:
		return "cookie unavailable"
	case 2:
		return "data not acknowledged"
	case 3:
		return "syn retransmitted"
	}
	return ""
}
