package event

import (
	"log/slog"
	"time"
)

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

// AppendAttrs implements [Body].
func (b UpstreamDialed) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.String("upstream", b.Upstream), slog.String("address", b.Address), ms("duration_ms", b.Duration))
	if b.Attempt > 1 {
		dst = append(dst, slog.Int("attempt", b.Attempt))
	}
	return dst
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

// AppendAttrs implements [Body].
func (b UpstreamFailed) AppendAttrs(dst []slog.Attr) []slog.Attr {
	x := b.Reason.Explain()
	dst = append(dst, slog.String("reason", b.Reason.String()), slog.String("upstream", b.Upstream), slog.String("address", b.Address),
		slog.String("diagnosis", x.What))
	dst = append(text(dst, "detail", b.Detail), slog.String("fix", x.Fix()), ms("duration_ms", b.Duration))
	if b.Attempt > 1 {
		dst = append(dst, slog.Int("attempt", b.Attempt))
	}
	return dst
}
