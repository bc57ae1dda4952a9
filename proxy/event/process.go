package event

import "time"

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

// Tell implements [Body].
func (b ProxyStart) Tell(f Facts) {
	f.Text("version", b.Version)
	f.Text("go", b.Go)
	f.Int("pid", int64(b.PID))
	text(f, "config", b.Config)
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

// Tell implements [Body].
func (b ProxyReady) Tell(f Facts) {
	f.Any("listeners", b.Listeners)
	text(f, "telemetry", b.Telemetry)
	f.Milliseconds("duration_ms", b.Duration)
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

// Tell implements [Body].
func (b Readiness) Tell(f Facts) {
	f.Bool("ready", b.Ready)
	texts(f, "failed", b.Failed)
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

// Tell implements [Body].
func (b ProxyDraining) Tell(f Facts) {
	f.Int("active", int64(b.Active))
	f.Milliseconds("timeout_ms", b.Timeout.Truncate(time.Millisecond))
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

// Tell implements [Body].
func (b ProxyStop) Tell(f Facts) {
	f.Int("drained", int64(b.Drained))
	f.Int("cut", int64(b.Cut))
	count(f, "sockets_pending", b.Pending)
	f.Milliseconds("duration_ms", b.Duration)
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

// Tell implements [Body].
func (b ConfigLoaded) Tell(f Facts) {
	f.Text("trigger", b.Trigger)
	texts(f, "changed", b.Changed)
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

// Tell implements [Body].
func (b ConfigRejected) Tell(f Facts) {
	f.Text("trigger", b.Trigger)
	f.Text("in_force", "the previous configuration")
	texts(f, "findings", b.Findings)
	texts(f, "needs_restart", b.NeedsRestart)
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

// Tell implements [Body]. Each option stands under its key, as "asked ->
// effective" where the two differ.
func (b SocketOptions) Tell(f Facts) {
	text(f, "listener", b.Listener)
	text(f, "upstream", b.Upstream)
	f.Text("object", b.Object)
	for _, o := range b.Options {
		value := o.Got
		if o.Asked != "" && o.Asked != o.Got {
			value = o.Asked + " -> " + o.Got
		}
		f.Text("socket."+o.Key, value)
	}
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

// Tell implements [Body].
func (b SocketOption) Tell(f Facts) {
	text(f, "listener", b.Listener)
	text(f, "upstream", b.Upstream)
	f.Text("object", b.Object)
	f.Text("option", b.Option)
	f.Text("key", b.Key)
	f.Text("asked", b.Asked)
	f.Text("effective", b.Got)
	text(f, "note", b.Note)
	text(f, "error", b.Err)
	text(f, "needs", b.Need)
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

// Tell implements [Body].
func (b TCPTiers) Tell(f Facts) {
	texts(f, "active", b.Active)
	texts(f, "missing", inLines(b.Missing))
	texts(f, "unasked", inLines(b.Unasked))
	text(f, "note", b.Note)
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

// Tell implements [Body].
func (b AcceptPaused) Tell(f Facts) {
	x := b.Reason.Explain()
	f.Text("listener", b.Listener)
	f.Text("reason", b.Reason.String())
	f.Text("detail", b.Detail)
	f.Text("fix", x.Fix())
	f.Milliseconds("pause_ms", b.Pause)
}

// LimitLowered: this machine has too little for what a limit allows, so that a
// smaller one is in force.
type LimitLowered struct {
	Listener string
	Key      string // the setting that holds the limit
	Asked    int
	Value    int    // in force
	Reason   Reason // one of the limit class: what there is too little of
}

// Name returns "limit.lowered".
func (LimitLowered) Name() string { return "limit.lowered" }

// Level returns [Warn].
func (LimitLowered) Level() Level { return Warn }

// Tell implements [Body].
func (b LimitLowered) Tell(f Facts) {
	f.Text("listener", b.Listener)
	f.Text("key", b.Key)
	f.Int("asked", int64(b.Asked))
	f.Int("value", int64(b.Value))
	f.Text("reason", b.Reason.String())
	f.Text("fix", b.Reason.Explain().Fix())
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

// Tell implements [Body].
func (b AdminUnavailable) Tell(f Facts) {
	f.Text("socket", b.Socket)
	f.Text("detail", b.Detail)
}

// LogDropped: the log could not keep up, and this many events are missing from it.
type LogDropped struct {
	Events uint64
}

// Name returns "log.dropped".
func (LogDropped) Name() string { return "log.dropped" }

// Level returns [Warn].
func (LogDropped) Level() Level { return Warn }

// Tell implements [Body].
func (b LogDropped) Tell(f Facts) {
	f.Int("events", int64(b.Events))
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

// Tell implements [Body].
func (b Panic) Tell(f Facts) {
	f.Text("panic", b.Value)
	f.Text("stack", b.Stack)
}
