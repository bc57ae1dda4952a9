package sockopt

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// refusal describes the kernel's no: what would turn it into a yes.
func (s *step) refusal(object Object, err error) Setting {
	set := Setting{Object: object, Name: s.name, Key: s.key, Asked: s.show(s.want), Err: err}
	switch {
	case errors.Is(err, unix.EPERM):
		set.Need = s.need
	case errors.Is(err, unix.ENOPROTOOPT):
		set.Need = "a kernel with " + s.name
	}
	switch {
	case s.name == "TCP_CONGESTION" && errors.Is(err, unix.EPERM):
		set.Note = fmt.Sprintf("without it only net.ipv4.tcp_allowed_congestion_control = %s", sysctl("net/ipv4/tcp_allowed_congestion_control"))
	case s.name == "TCP_CONGESTION" && errors.Is(err, unix.ENOENT):
		set.Note = fmt.Sprintf("the kernel has net.ipv4.tcp_available_congestion_control = %s", sysctl("net/ipv4/tcp_available_congestion_control"))
	case s.name == "TCP_FASTOPEN_CONNECT" && errors.Is(err, unix.EOPNOTSUPP):
		set.Need = "sysctl net.ipv4.tcp_fastopen with bit 1"
		set.Note = fmt.Sprintf("net.ipv4.tcp_fastopen = %s", sysctl("net/ipv4/tcp_fastopen"))
	case s.name == "SO_BINDTODEVICE" && errors.Is(err, unix.ENODEV):
		set.Note = "no such network interface"
	}
	return set
}

// remark explains the effective value: why it is not the one asked for, or what
// comes with it.
func (s *step) remark(got value, object Object) string {
	same := s.show(got) == s.show(s.want)
	switch s.name {
	case "SO_RCVBUF":
		return bufferRemark(s.want.n, got.n, "net.core.rmem_max", "net/core/rmem_max", 2304) + "; the kernel no longer tunes it"
	case "SO_SNDBUF":
		return bufferRemark(s.want.n, got.n, "net.core.wmem_max", "net/core/wmem_max", 4608) + "; the kernel no longer tunes it"
	case "SO_LINGER":
		if s.want.n > 0 {
			return "the proxy lingers itself; a positive SO_LINGER would block a thread for each close"
		}
	case "TCP_FASTOPEN":
		return fastOpenRemark(s.want.n, got.n)
	case "TCP_LINGER2":
		if s.want.n > 60 {
			return "above 60 s the full socket, not the small one, is kept for the excess"
		}
	case "listen":
		if !same {
			return "clamped to net.core.somaxconn = " + sysctl("net/core/somaxconn")
		}
	case "TCP_DEFER_ACCEPT":
		if !same {
			return "rounded up to the SYN-ACK retransmission schedule"
		}
	case "TCP_WINDOW_CLAMP":
		if !same && got.n > s.want.n {
			return "raised to the kernel's minimum"
		}
	case "TCP_MAXSEG":
		if !same && object != Listener {
			return "what the connection settled on: the other side's limit, less 12 bytes for timestamps"
		}
	case "TCP_QUICKACK":
		if !same {
			return "the kernel leaves this mode by itself"
		}
	}
	if !same {
		return "the kernel took another value"
	}
	return ""
}

func bufferRemark(want, got int64, name, path string, least int64) string {
	switch {
	case got == 2*want:
		return "doubled: the kernel adds as much for its own bookkeeping"
	case got == least:
		return "raised to the kernel's minimum"
	case got < 2*want:
		return fmt.Sprintf("doubled and clamped to twice %s = %s", name, sysctl(path))
	default:
		return "raised by the kernel"
	}
}

// fastOpenServer is bit 2 of net.ipv4.tcp_fastopen: the server side is on.
const fastOpenServer = 2

func fastOpenRemark(want, got int64) string {
	if s := sysctl("net/ipv4/tcp_fastopen"); s != "unknown" {
		if bits, err := strconv.ParseUint(s, 0, 32); err == nil && bits&fastOpenServer == 0 {
			return fmt.Sprintf("without effect: net.ipv4.tcp_fastopen = %s has the server side off; sysctl net.ipv4.tcp_fastopen=%d", s, bits|fastOpenServer)
		}
	}
	if got != want {
		return "clamped to net.core.somaxconn = " + sysctl("net/core/somaxconn")
	}
	return ""
}

// sysctl reads a kernel setting of the calling thread's network namespace.
func sysctl(path string) string {
	b, err := os.ReadFile("/proc/sys/" + path)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}
