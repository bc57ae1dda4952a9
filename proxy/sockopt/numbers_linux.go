package sockopt

import (
	"golang.org/x/sys/unix"
)

// sockNumber is where the kernel keeps an option and in which shape it comes.
type sockNumber struct {
	level, opt int
	shape      shape
}

type shape uint8

const (
	shapeInt     shape = iota
	shapeText          // a string without zero bytes
	shapeLinger        // struct linger; value -1 is off, n >= 0 is on with n seconds
	shapeUint64        // SO_MAX_PACING_RATE takes and returns an unsigned long
	shapeBacklog       // set by listen(2), read from TCP_INFO
)

var sockNumbers = map[string]sockNumber{
	"listen":                  {unix.IPPROTO_TCP, unix.TCP_INFO, shapeBacklog},
	"SO_BINDTODEVICE":         {unix.SOL_SOCKET, unix.SO_BINDTODEVICE, shapeText},
	"SO_MARK":                 {unix.SOL_SOCKET, unix.SO_MARK, shapeInt},
	"SO_REUSEPORT":            {unix.SOL_SOCKET, unix.SO_REUSEPORT, shapeInt},
	"SO_RCVBUF":               {unix.SOL_SOCKET, unix.SO_RCVBUF, shapeInt},
	"SO_SNDBUF":               {unix.SOL_SOCKET, unix.SO_SNDBUF, shapeInt},
	"SO_KEEPALIVE":            {unix.SOL_SOCKET, unix.SO_KEEPALIVE, shapeInt},
	"SO_LINGER":               {unix.SOL_SOCKET, unix.SO_LINGER, shapeLinger},
	"SO_MAX_PACING_RATE":      {unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, shapeUint64},
	"IP_TRANSPARENT":          {unix.IPPROTO_IP, unix.IP_TRANSPARENT, shapeInt},
	"IP_FREEBIND":             {unix.IPPROTO_IP, unix.IP_FREEBIND, shapeInt},
	"IP_BIND_ADDRESS_NO_PORT": {unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, shapeInt},
	"IP_TOS":                  {unix.IPPROTO_IP, unix.IP_TOS, shapeInt},
	"IP_TTL":                  {unix.IPPROTO_IP, unix.IP_TTL, shapeInt},
	"IPV6_TCLASS":             {unix.IPPROTO_IPV6, unix.IPV6_TCLASS, shapeInt},
	"IPV6_UNICAST_HOPS":       {unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, shapeInt},
	"TCP_WINDOW_CLAMP":        {unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP, shapeInt},
	"TCP_MAXSEG":              {unix.IPPROTO_TCP, unix.TCP_MAXSEG, shapeInt},
	"TCP_SAVE_SYN":            {unix.IPPROTO_TCP, unix.TCP_SAVE_SYN, shapeInt},
	"TCP_DEFER_ACCEPT":        {unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, shapeInt},
	"TCP_FASTOPEN":            {unix.IPPROTO_TCP, unix.TCP_FASTOPEN, shapeInt},
	"TCP_FASTOPEN_CONNECT":    {unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, shapeInt},
	"TCP_SYNCNT":              {unix.IPPROTO_TCP, unix.TCP_SYNCNT, shapeInt},
	"TCP_CONGESTION":          {unix.IPPROTO_TCP, unix.TCP_CONGESTION, shapeText},
	"TCP_KEEPIDLE":            {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, shapeInt},
	"TCP_KEEPINTVL":           {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, shapeInt},
	"TCP_KEEPCNT":             {unix.IPPROTO_TCP, unix.TCP_KEEPCNT, shapeInt},
	"TCP_USER_TIMEOUT":        {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, shapeInt},
	"TCP_NOTSENT_LOWAT":       {unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, shapeInt},
	"TCP_LINGER2":             {unix.IPPROTO_TCP, unix.TCP_LINGER2, shapeInt},
	"TCP_NODELAY":             {unix.IPPROTO_TCP, unix.TCP_NODELAY, shapeInt},
	"TCP_QUICKACK":            {unix.IPPROTO_TCP, unix.TCP_QUICKACK, shapeInt},
}

// set gives the step to the kernel.
func (s *step) set(fd int) error {
	num := sockNumbers[s.name]
	switch num.shape {
	case shapeText:
		return unix.SetsockoptString(fd, num.level, num.opt, s.want.s)
	case shapeLinger:
		return unix.SetsockoptLinger(fd, num.level, num.opt, &unix.Linger{Onoff: 1, Linger: int32(s.want.n)})
	case shapeUint64:
		return unix.SetsockoptUint64(fd, num.level, num.opt, uint64(s.want.n))
	default:
		return unix.SetsockoptInt(fd, num.level, num.opt, int(s.want.n))
	}
}

// get asks the kernel for the option's present value.
func (o *option) get(fd int) (value, error) {
	num := sockNumbers[o.name]
	switch num.shape {
	case shapeText:
		s, err := unix.GetsockoptString(fd, num.level, num.opt)
		return value{s: s}, err
	case shapeLinger:
		l, err := unix.GetsockoptLinger(fd, num.level, num.opt)
		if err != nil || l.Onoff == 0 {
			return value{n: -1}, err
		}
		return value{n: int64(l.Linger)}, nil
	case shapeUint64:
		n, err := unix.GetsockoptUint64(fd, num.level, num.opt)
		return value{n: int64(n)}, err
	case shapeBacklog:
		info, err := unix.GetsockoptTCPInfo(fd, num.level, num.opt)
		if err != nil {
			return value{}, err
		}
		return value{n: int64(info.Sacked)}, nil
	default:
		n, err := unix.GetsockoptInt(fd, num.level, num.opt)
		return value{n: int64(n)}, err
	}
}
