package event

import (
	"log/slog"
	"time"
)

// ProxyStart: the process has begun and read its configuration.
type ProxyStart struct {
	Version string
	Go      string
	Config  string // the file; "" where flags and environment were enough
	PID     int
}

// Name returns "proxy.start".
func (ProxyStart) Name() string { return "proxy.start" }

// Level returns [Info].
func (ProxyStart) Level() Level { return Info }

// AppendAttrs implements [Body].
func (b ProxyStart) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.String("version", b.Version), slog.String("go", b.Go), slog.Int("pid", b.PID))
	return text(dst, "config", b.Config)
}

// ListenerReady is one line of [ProxyReady].
type ListenerReady struct {
	Name       string `json:"name"`
	Address    string `json:"address"`
	Upstream   string `json:"upstream"`
	ClientAuth string `json:"client_auth"`
}

// ProxyReady: every listener is open.
type ProxyReady struct {
	Listeners []ListenerReady
	Telemetry string        // the URL of health and metrics; "" where there is none
	Duration  time.Duration // from the process's start
}

// Name returns "proxy.ready".
func (ProxyReady) Name() string { return "proxy.ready" }

// Level returns [Info].
func (ProxyReady) Level() Level { return Info }

// AppendAttrs implements [Body].
func (b ProxyReady) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.Any("listeners", b.Listeners))
	return append(text(dst, "telemetry", b.Telemetry), ms("duration_ms", b.Duration))
}

// Readiness: whoever asks whether the proxy is ready gets another answer than
// before.
type Readiness struct {
	Ready  bool
	Failed []string // the checks that failed, each with why
}

// Name returns "proxy.readiness".
func (Readiness) Name() string { return "proxy.readiness" }

// Level returns [Warn] where the proxy is not ready, else [Info].
func (b Readiness) Level() Level {
	if b.Ready {
		return Info
	}
	return Warn
}

// AppendAttrs implements [Body].
func (b Readiness) AppendAttrs(dst []slog.Attr) []slog.Attr {
	return texts(append(dst, slog.Bool("ready", b.Ready)), "failed", b.Failed)
}

// ProxyDraining: no new connections are taken; the open ones may finish.
type ProxyDraining struct {
	Active  int
	Timeout time.Duration
}

// Name returns "proxy.draining".
func (ProxyDraining) Name() string { return "proxy.draining" }

// Level returns [Info].
func (ProxyDraining) Level() Level { return Info }

// AppendAttrs implements [Body].
func (b ProxyDraining) AppendAttrs(dst []slog.Attr) []slog.Attr {
	return append(dst, slog.Int("active", b.Active), slog.Float64("timeout_ms", float64(b.Timeout.Milliseconds())))
}

// ProxyStop: the process is about to exit.
type ProxyStop struct {
	Drained  int // connections that ended by themselves while draining
	Cut      int // connections that were cut
	Pending  int // of closed connections, the sockets the kernel was not done with
	Duration time.Duration
}

// Name returns "proxy.stop".
func (ProxyStop) Name() string { return "proxy.stop" }

// Level returns [Info].
func (ProxyStop) Level() Level { return Info }

// AppendAttrs implements [Body].
func (b ProxyStop) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.Int("drained", b.Drained), slog.Int("cut", b.Cut))
	return append(count(dst, "sockets_pending", b.Pending), ms("duration_ms", b.Duration))
}

// ConfigLoaded: a new configuration is in force.
type ConfigLoaded struct {
	Trigger string   // signal, file
	Changed []string // keys that differ from before
}

// Name returns "config.loaded".
func (ConfigLoaded) Name() string { return "config.loaded" }

// Level returns [Info].
func (ConfigLoaded) Level() Level { return Info }

// AppendAttrs implements [Body].
func (b ConfigLoaded) AppendAttrs(dst []slog.Attr) []slog.Attr {
	return texts(append(dst, slog.String("trigger", b.Trigger)), "changed", b.Changed)
}

// ConfigRejected: a new configuration, or a file it names, was no good; what was
// in force stays in force, whole.
type ConfigRejected struct {
	Trigger      string
	Findings     []string
	NeedsRestart []string // keys that changed and only take effect at a start
}

// Name returns "config.rejected".
func (ConfigRejected) Name() string { return "config.rejected" }

// Level returns [Error].
func (ConfigRejected) Level() Level { return Error }

// AppendAttrs implements [Body].
func (b ConfigRejected) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.String("trigger", b.Trigger), slog.String("in_force", "the previous configuration"))
	return texts(texts(dst, "findings", b.Findings), "needs_restart", b.NeedsRestart)
}

// CertLoaded: a certificate or a set of CAs is in use from now on.
type CertLoaded struct {
	Kind     string // server, client_ca
	Key      string // where the configuration names it
	File     string
	Subject  string
	Serial   string
	NotAfter time.Time
	DaysLeft int
	Count    int // certificates in it
}

// Name returns "cert.loaded".
func (CertLoaded) Name() string { return "cert.loaded" }

// Level returns [Info].
func (CertLoaded) Level() Level { return Info }

// AppendAttrs implements [Body].
func (b CertLoaded) AppendAttrs(dst []slog.Attr) []slog.Attr {
	return append(dst, slog.String("kind", b.Kind), slog.String("key", b.Key), slog.String("file", b.File),
		slog.String("subject", b.Subject), slog.String("serial", b.Serial), slog.Time("not_after", b.NotAfter),
		slog.Int("days_left", b.DaysLeft), slog.Int("count", b.Count))
}

// CertWarning: a certificate in use will soon, or does already, need attention.
type CertWarning struct {
	Kind   string
	Key    string
	File   string
	Detail string
}

// Name returns "cert.warning".
func (CertWarning) Name() string { return "cert.warning" }

// Level returns [Warn].
func (CertWarning) Level() Level { return Warn }

// AppendAttrs implements [Body].
func (b CertWarning) AppendAttrs(dst []slog.Attr) []slog.Attr {
	return append(dst, slog.String("kind", b.Kind), slog.String("key", b.Key), slog.String("file", b.File), slog.String("detail", b.Detail))
}

// SocketOptions: what was asked of the kernel for the sockets of one listener or
// upstream, and what it says it does.
type SocketOptions struct {
	Listener string
	Upstream string
	Object   string // listener, client, upstream
	Options  []SocketOption
}

// Name returns "tcp.options".
func (SocketOptions) Name() string { return "tcp.options" }

// Level returns [Info].
func (SocketOptions) Level() Level { return Info }

// AppendAttrs implements [Body]. Each option stands under its key, as "asked ->
// effective" where the two differ.
func (b SocketOptions) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = text(text(dst, "listener", b.Listener), "upstream", b.Upstream)
	dst = append(dst, slog.String("object", b.Object))
	for _, o := range b.Options {
		value := o.Got
		if o.Asked != "" && o.Asked != o.Got {
			value = o.Asked + " -> " + o.Got
		}
		dst = append(dst, slog.String("socket."+o.Key, value))
	}
	return dst
}

// SocketOption: the kernel refused one socket option. In [SocketOptions] it is
// one line of the table.
type SocketOption struct {
	Listener string
	Upstream string
	Object   string // listener, client, upstream
	Option   string // the kernel's name, "TCP_KEEPIDLE"
	Key      string // the setting's key
	Asked    string // "" where nothing was asked
	Got      string
	Need     string // the capability that is missing, where the kernel refused
	Note     string // why Got differs from Asked
	Err      string // the kernel's refusal
}

// Name returns "tcp.option".
func (SocketOption) Name() string { return "tcp.option" }

// Level returns [Warn].
func (b SocketOption) Level() Level { return Warn }

// AppendAttrs implements [Body].
func (b SocketOption) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = text(text(dst, "listener", b.Listener), "upstream", b.Upstream)
	dst = append(dst, slog.String("object", b.Object), slog.String("option", b.Option), slog.String("key", b.Key),
		slog.String("asked", b.Asked), slog.String("effective", b.Got))
	return text(text(text(dst, "note", b.Note), "error", b.Err), "needs", b.Need)
}

// TCPTiers: how much of the kernel's TCP can be watched.
type TCPTiers struct {
	Active  []string // sock, sockops, packet; none where nothing works
	Missing []TCPTier
	Unasked []TCPTier // not tried, because inspect.tcp does not ask for them
	Note    string    // what a reload of inspect.level changes
}

// TCPTier is a way to watch TCP that is not at work.
type TCPTier struct {
	Tier   string
	Detail string // why
	Need   string // what would make it work; empty where nothing more is known to be needed
}

// String says it in a line.
func (t TCPTier) String() string {
	s := t.Tier + ": " + t.Detail
	if t.Need != "" {
		s += "; needs " + t.Need
	}
	return s
}

// Name returns "tcp.tiers".
func (TCPTiers) Name() string { return "tcp.tiers" }

// Level returns [Info].
func (TCPTiers) Level() Level { return Info }

// AppendAttrs implements [Body].
func (b TCPTiers) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = texts(texts(dst, "active", b.Active), "missing", inLines(b.Missing))
	return text(texts(dst, "unasked", inLines(b.Unasked)), "note", b.Note)
}

func inLines(tiers []TCPTier) []string {
	lines := make([]string, len(tiers))
	for i, t := range tiers {
		lines[i] = t.String()
	}
	return lines
}

// AcceptPaused: accept failed for want of something on this machine, and is
// tried again after a pause. The listener stays open; clients wait in the
// kernel's queue.
type AcceptPaused struct {
	Listener string
	Reason   Reason
	Detail   string
	Pause    time.Duration
}

// Name returns "accept.paused".
func (AcceptPaused) Name() string { return "accept.paused" }

// Level returns [Error]: it is ours, and there is something to do.
func (AcceptPaused) Level() Level { return Error }

// AppendAttrs implements [Body].
func (b AcceptPaused) AppendAttrs(dst []slog.Attr) []slog.Attr {
	x := b.Reason.Explain()
	return append(dst, slog.String("listener", b.Listener), slog.String("reason", b.Reason.String()),
		slog.String("detail", b.Detail), slog.String("fix", x.Fix()), ms("pause_ms", b.Pause))
}

// AdminUnavailable: the operator's socket could not be opened; the proxy runs
// without it.
type AdminUnavailable struct {
	Socket string
	Detail string
}

// Name returns "admin.unavailable".
func (AdminUnavailable) Name() string { return "admin.unavailable" }

// Level returns [Warn].
func (AdminUnavailable) Level() Level { return Warn }

// AppendAttrs implements [Body].
func (b AdminUnavailable) AppendAttrs(dst []slog.Attr) []slog.Attr {
	return append(dst, slog.String("socket", b.Socket), slog.String("detail", b.Detail))
}

// LogDropped: the log could not keep up, and this many events are missing from it.
type LogDropped struct {
	Events uint64
}

// Name returns "log.dropped".
func (LogDropped) Name() string { return "log.dropped" }

// Level returns [Warn].
func (LogDropped) Level() Level { return Warn }

// AppendAttrs implements [Body].
func (b LogDropped) AppendAttrs(dst []slog.Attr) []slog.Attr {
	return append(dst, slog.Uint64("events", b.Events))
}

// Panic: a fault of ours in one connection. That connection is over; the others
// go on.
type Panic struct {
	Value string
	Stack string
}

// Name returns "conn.panic".
func (Panic) Name() string { return "conn.panic" }

// Level returns [Error].
func (Panic) Level() Level { return Error }

// AppendAttrs implements [Body].
func (b Panic) AppendAttrs(dst []slog.Attr) []slog.Attr {
	return append(dst, slog.String("panic", b.Value), slog.String("stack", b.Stack))
}
