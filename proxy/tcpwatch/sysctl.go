package tcpwatch

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sysctls are settings of the kernel by their names, such as
// net.ipv4.tcp_fin_timeout. Those that cannot be read are missing.
type Sysctls map[string]string

// sysctlRoot shows the namespace of the calling thread under net.
const sysctlRoot = "/proc/sys"

// ReadSysctls reads the settings that the findings name.
func ReadSysctls() Sysctls {
	all := make(Sysctls)
	for _, a := range adviceFor {
		for _, name := range slices.Concat(a.settings, a.dialing) {
			if _, read := all[name]; read {
				continue
			}
			b, err := os.ReadFile(filepath.Join(sysctlRoot, strings.ReplaceAll(name, ".", "/")))
			if err == nil {
				all[name] = strings.Join(strings.Fields(string(b)), " ")
			}
		}
	}
	return all
}

func (s Sysctls) value(name string) string {
	if v, known := s[name]; known {
		return v
	}
	return "unknown"
}

// defaultFinTimeout is TCP_FIN_TIMEOUT of include/net/tcp.h.
const defaultFinTimeout = 60 * time.Second

// finTimeout is how long FIN-WAIT-2 lasts after a close.
func (s Sysctls) finTimeout() time.Duration {
	n, err := strconv.Atoi(s["net.ipv4.tcp_fin_timeout"])
	if err != nil {
		return defaultFinTimeout
	}
	return time.Duration(n) * time.Second
}
