package sockopt

import (
	"strconv"
	"time"
)

// place is a set of moments at which an option is set, or of sockets on which
// it is read.
type place uint8

const (
	onListener place = 1 << iota // before bind; accepted sockets inherit it unless said otherwise
	onUpstream                   // before connect
	onLive                       // after accept or connect, because package net has overwritten it or it is not inherited
	atListener                   // read on the listener
	atClient                     // read on accepted connections
	atUpstream                   // read on dialed connections

	handedDown = onListener | onUpstream | atListener | atClient | atUpstream
	listens    = onListener | atListener
	dials      = onUpstream | atUpstream
	live       = onLive | atClient | atUpstream
)

// option is one row of the table: which field of Options asks for it and where
// it goes. What number the kernel knows it by is in numbers_linux.go.
type option struct {
	key   string
	name  string
	where place
	v6    bool // only on AF_INET6 sockets
	need  string
	ask   func(*Options) (value, bool)
	show  func(value) string
}

// value is what setsockopt takes and getsockopt returns, in the kernel's unit.
type value struct {
	n int64
	s string
}

const (
	needAdmin    = "CAP_NET_ADMIN"
	needAdminRaw = "CAP_NET_ADMIN or CAP_NET_RAW"
	needRaw      = "CAP_NET_RAW"
)

// table holds every option in the order in which it is set and reported.
var table = []option{
	{
		key: "bind_device", name: "SO_BINDTODEVICE", where: handedDown, need: needRaw,
		ask: text(func(o *Options) string { return o.BindDevice }), show: showText,
	},
	{
		key: "transparent", name: "IP_TRANSPARENT", where: handedDown, need: needAdminRaw,
		ask: flag(func(o *Options) bool { return o.Transparent }), show: showFlag,
	},
	{
		key: "freebind", name: "IP_FREEBIND", where: handedDown,
		ask: flag(func(o *Options) bool { return o.FreeBind }), show: showFlag,
	},
	{
		key: "source", name: "IP_BIND_ADDRESS_NO_PORT", where: dials,
		ask: flag(func(o *Options) bool { return o.Source.IsValid() }), show: showFlag,
	},
	{
		key: "mark", name: "SO_MARK", where: handedDown, need: needAdminRaw,
		ask: func(o *Options) (value, bool) { return value{n: int64(o.Mark)}, o.Mark != 0 }, show: showUint32,
	},
	{
		key: "reuse_port", name: "SO_REUSEPORT", where: listens, need: "the same user as the other listener",
		ask: flag(func(o *Options) bool { return o.ReusePort }), show: showFlag,
	},
	{
		key: "backlog", name: "listen", where: atListener,
		ask: number(func(o *Options) int { return o.Backlog }), show: showNumber,
	},
	{
		key: "receive_buffer", name: "SO_RCVBUF", where: handedDown,
		ask: number(func(o *Options) int { return o.ReceiveBuffer }), show: showNumber,
	},
	{
		key: "send_buffer", name: "SO_SNDBUF", where: handedDown,
		ask: number(func(o *Options) int { return o.SendBuffer }), show: showNumber,
	},
	{
		key: "window_clamp", name: "TCP_WINDOW_CLAMP", where: handedDown,
		ask: number(func(o *Options) int { return o.WindowClamp }), show: showNumber,
	},
	{
		key: "mss", name: "TCP_MAXSEG", where: handedDown,
		ask: number(func(o *Options) int { return o.MSS }), show: showNumber,
	},
	{
		key: "save_syn", name: "TCP_SAVE_SYN", where: listens,
		ask: flag(func(o *Options) bool { return o.SaveSYN }), show: showFlag,
	},
	{
		key: "defer_accept", name: "TCP_DEFER_ACCEPT", where: listens,
		ask: seconds(func(o *Options) time.Duration { return o.DeferAccept }), show: showSeconds,
	},
	{
		key: "fast_open", name: "TCP_FASTOPEN", where: listens,
		ask: number(func(o *Options) int { return o.FastOpen }), show: showNumber,
	},
	{
		key: "fast_open", name: "TCP_FASTOPEN_CONNECT", where: dials,
		ask: flag(func(o *Options) bool { return o.FastOpenConnect }), show: showFlag,
	},
	{
		key: "syncnt", name: "TCP_SYNCNT", where: handedDown,
		ask: number(func(o *Options) int { return o.SynCount }), show: showNumber,
	},
	{
		key: "congestion", name: "TCP_CONGESTION", where: handedDown, need: needAdmin,
		ask: text(func(o *Options) string { return o.Congestion }), show: showText,
	},
	{
		key: "keepalive.enabled", name: "SO_KEEPALIVE", where: handedDown,
		ask: func(o *Options) (value, bool) { return boolean(o.KeepAlive.Enabled), true }, show: showFlag,
	},
	{
		key: "keepalive.idle", name: "TCP_KEEPIDLE", where: handedDown,
		ask: probing(seconds(func(o *Options) time.Duration { return o.KeepAlive.Idle })), show: showSeconds,
	},
	{
		key: "keepalive.interval", name: "TCP_KEEPINTVL", where: handedDown,
		ask: probing(seconds(func(o *Options) time.Duration { return o.KeepAlive.Interval })), show: showSeconds,
	},
	{
		key: "keepalive.count", name: "TCP_KEEPCNT", where: handedDown,
		ask: probing(number(func(o *Options) int { return o.KeepAlive.Count })), show: showNumber,
	},
	{
		key: "user_timeout", name: "TCP_USER_TIMEOUT", where: handedDown,
		ask: milliseconds(func(o *Options) time.Duration { return o.UserTimeout }), show: showMilliseconds,
	},
	{
		key: "notsent_lowat", name: "TCP_NOTSENT_LOWAT", where: handedDown,
		ask: number(func(o *Options) int { return o.NotSentLowat }), show: showUint32,
	},
	{
		key: "max_pacing_rate", name: "SO_MAX_PACING_RATE", where: handedDown,
		ask: func(o *Options) (value, bool) { return value{n: int64(o.MaxPacingRate)}, o.MaxPacingRate != 0 }, show: showRate,
	},
	{
		key: "linger", name: "SO_LINGER", where: handedDown,
		ask: askLinger, show: showNumber,
	},
	{
		key: "linger2", name: "TCP_LINGER2", where: handedDown,
		ask: number(func(o *Options) int { return o.Linger2 }), show: showNumber,
	},
	{
		key: "dscp", name: "IP_TOS", where: handedDown,
		ask: number(func(o *Options) int { return o.DSCP << 2 }), show: showDSCP,
	},
	{
		key: "dscp", name: "IPV6_TCLASS", v6: true, where: handedDown,
		ask: number(func(o *Options) int { return o.DSCP << 2 }), show: showDSCP,
	},
	{
		key: "ttl", name: "IP_TTL", where: handedDown,
		ask: number(func(o *Options) int { return o.TTL }), show: showNumber,
	},
	{
		key: "ttl", name: "IPV6_UNICAST_HOPS", v6: true, where: handedDown,
		ask: number(func(o *Options) int { return o.TTL }), show: showNumber,
	},
	{
		key: "nodelay", name: "TCP_NODELAY", where: live,
		ask: func(o *Options) (value, bool) { return boolean(o.NoDelay), true }, show: showFlag,
	},
	{
		key: "quickack", name: "TCP_QUICKACK", where: live,
		ask: flag(func(o *Options) bool { return o.QuickAck }), show: showFlag,
	},
}

// step is an option that was asked for.
type step struct {
	*option
	want value
}

// plan returns what Options asks for at the given moments.
func plan(o *Options, where place) []step {
	var steps []step
	for i := range table {
		row := &table[i]
		if row.where&where == 0 {
			continue
		}
		if want, asked := row.ask(o); asked {
			steps = append(steps, step{row, want})
		}
	}
	return steps
}

// inKernel reports whether the step is one for the kernel. A linger other than
// an abort is not: -1 leaves SO_LINGER alone, and a positive one is done in user
// space. Neither are a switch that is off by default and a backlog, which
// listen(2) takes.
func (s *step) inKernel() bool {
	switch s.key {
	case "linger":
		return s.want.n == 0
	case "keepalive.enabled":
		return s.want.n != 0
	case "backlog":
		return false
	}
	return true
}

func boolean(on bool) value {
	if on {
		return value{n: 1}
	}
	return value{}
}

func flag(field func(*Options) bool) func(*Options) (value, bool) {
	return func(o *Options) (value, bool) { return value{n: 1}, field(o) }
}

func number(field func(*Options) int) func(*Options) (value, bool) {
	return func(o *Options) (value, bool) { n := field(o); return value{n: int64(n)}, n != 0 }
}

func text(field func(*Options) string) func(*Options) (value, bool) {
	return func(o *Options) (value, bool) { s := field(o); return value{s: s}, s != "" }
}

func seconds(field func(*Options) time.Duration) func(*Options) (value, bool) {
	return func(o *Options) (value, bool) { d := field(o); return value{n: up(d, time.Second)}, d != 0 }
}

func milliseconds(field func(*Options) time.Duration) func(*Options) (value, bool) {
	return func(o *Options) (value, bool) { d := field(o); return value{n: up(d, time.Millisecond)}, d != 0 }
}

// probing asks only while keepalive is on.
func probing(ask func(*Options) (value, bool)) func(*Options) (value, bool) {
	return func(o *Options) (value, bool) {
		v, asked := ask(o)
		return v, asked && o.KeepAlive.Enabled
	}
}

func askLinger(o *Options) (value, bool) {
	if o.Linger == nil {
		return value{}, false
	}
	return value{n: int64(*o.Linger)}, true
}

// up counts the units in d, a started one whole.
func up(d, unit time.Duration) int64 {
	return int64((d + unit - 1) / unit)
}

func showText(v value) string    { return v.s }
func showFlag(v value) string    { return strconv.FormatBool(v.n != 0) }
func showNumber(v value) string  { return strconv.FormatInt(v.n, 10) }
func showUint32(v value) string  { return strconv.FormatUint(uint64(uint32(v.n)), 10) }
func showSeconds(v value) string { return strconv.FormatInt(v.n, 10) + "s" }
func showDSCP(v value) string    { return strconv.FormatInt(v.n>>2, 10) }

func showMilliseconds(v value) string {
	if v.n%1000 == 0 {
		return strconv.FormatInt(v.n/1000, 10) + "s"
	}
	return strconv.FormatInt(v.n, 10) + "ms"
}

// showRate writes the kernel's "unlimited", all ones, as the 0 of the
// configuration.
func showRate(v value) string {
	if v.n == -1 {
		return "0"
	}
	return strconv.FormatUint(uint64(v.n), 10)
}
