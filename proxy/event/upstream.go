package event

import "time"

// UpstreamDialed: the upstream took the connection.
type UpstreamDialed struct {
	Upstream string // its name in the configuration
	Address  string
	Duration time.Duration
	Attempt  int // 1 unless other addresses were tried first
}

// Name returns "upstream.dialed".
func (UpstreamDialed) Name() string { return "upstream.dialed" }

// Level returns [Phase].
func (UpstreamDialed) Level() Level { return Phase }

// Tell implements [Body].
func (b UpstreamDialed) Tell(f Facts) {
	f.Text("upstream", b.Upstream)
	f.Text("address", b.Address)
	f.Milliseconds("duration_ms", b.Duration)
	if b.Attempt > 1 {
		f.Int("attempt", int64(b.Attempt))
	}
}

// UpstreamFailed: one address of the upstream could not be reached.
type UpstreamFailed struct {
	Upstream string
	Address  string
	Reason   Reason
	Detail   string
	Duration time.Duration
	Attempt  int
	Last     bool // no address is left to try
}

// Name returns "upstream.failed".
func (UpstreamFailed) Name() string { return "upstream.failed" }

// Level returns [Error] where no address was left: what we stand in front of is
// down. Else [Warn].
func (b UpstreamFailed) Level() Level {
	if b.Last {
		return Error
	}
	return Warn
}

// Tell implements [Body].
func (b UpstreamFailed) Tell(f Facts) {
	x := b.Reason.Explain()
	f.Text("reason", b.Reason.String())
	f.Text("upstream", b.Upstream)
	f.Text("address", b.Address)
	f.Text("diagnosis", x.What)
	text(f, "detail", b.Detail)
	f.Text("fix", x.Fix())
	f.Milliseconds("duration_ms", b.Duration)
	if b.Attempt > 1 {
		f.Int("attempt", int64(b.Attempt))
	}
}
