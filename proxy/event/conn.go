package event

import "time"

// ProbeSeen: the connection ended before a byte arrived. Health checks and
// scanners do that; it is no failure.
type ProbeSeen struct {
	Reason   Reason // TCPProbe or TCPReset
	Duration time.Duration
}

// Name returns "probe".
func (ProbeSeen) Name() string { return "probe" }

// Level returns [Probe].
func (ProbeSeen) Level() Level { return Probe }

// Tell implements [Body].
func (b ProbeSeen) Tell(f Facts) {
	f.Text("kind", b.Reason.String())
	f.Milliseconds("duration_ms", b.Duration)
}

// LimitHit: a connection was turned away, or made to wait, by one of our limits.
type LimitHit struct {
	Reason Reason // one of the limit class
	Value  int    // the limit's value
	Key    string // the setting that holds it
	Action string // close or wait
}

// Name returns "limit.hit".
func (LimitHit) Name() string { return "limit.hit" }

// Level returns [Warn].
func (LimitHit) Level() Level { return Warn }

// Tell implements [Body].
func (b LimitHit) Tell(f Facts) {
	f.Text("limit", b.Reason.String())
	f.Int("value", int64(b.Value))
	f.Text("action", b.Action)
	text(f, "key", b.Key)
}

// Cause is what ended a connection that had been let in, or kept one out. The
// list is closed.
type Cause string

// The causes. A clean end is a FIN (with close_notify on a TLS leg) from each
// side, whoever came first.
const (
	CauseClean             Cause = "clean"
	CauseTruncated         Cause = "truncated"          // the client's FIN came without close_notify
	CauseClientReset       Cause = "client_reset"       // the client sent RST, or vanished while we wrote
	CauseUpstreamReset     Cause = "upstream_reset"     // the upstream sent RST
	CauseClientAlert       Cause = "client_alert"       // the client sent a fatal alert after the handshake
	CauseIdle              Cause = "idle_timeout"       // timeouts.idle
	CauseHalfClose         Cause = "half_close_timeout" // timeouts.half_close
	CauseLifetime          Cause = "max_lifetime"       // timeouts.max_lifetime
	CauseDenied            Cause = "no_longer_allowed"  // judged again, after Finished: by a responder, a changed policy, or expiry
	CauseDrain             Cause = "shutdown"           // the proxy was stopped and the drain's time was over
	CauseProbe             Cause = "probe"              // it never spoke
	CauseRefused           Cause = "refused"            // we refused the client
	CauseHandshakeBroken   Cause = "handshake_broken"   // the client left, broke off or ran out of time
	CauseUpstreamFailed    Cause = "upstream_failed"    // no upstream could be dialed
	CauseLimit             Cause = "limit"              // one of our limits
	CauseClientTLSViolated Cause = "client_tls_violation"
	CauseInternal          Cause = "internal" // a fault of ours
)

// Causes returns all of them.
func Causes() []Cause {
	return []Cause{
		CauseClean, CauseTruncated, CauseClientReset, CauseUpstreamReset, CauseClientAlert, CauseIdle, CauseHalfClose, CauseLifetime,
		CauseDenied, CauseDrain, CauseProbe, CauseRefused, CauseHandshakeBroken, CauseUpstreamFailed, CauseLimit, CauseClientTLSViolated,
		CauseInternal,
	}
}

// ConnClosed: the connection is over, and its sockets are the kernel's. It stands
// alone. Nothing the proxy does follows in its journal; what the kernel did, before
// or afterwards, may.
type ConnClosed struct {
	Reason   Reason // [OK] where the handshake was well and the upstream was reached
	Cause    Cause
	Admitted bool   // the client was let in: handshake.ok stands in the journal
	By       string // whose hand it was: client, upstream, idle, lifetime, drain, error
	How      How    // what ended it: fin, rst, timeout, alert
	Detail   string // the error behind it, where there was one
	BytesIn  int64  // payload from the client that reached the upstream
	BytesOut int64  // payload from the upstream that reached the client
	WireIn   int64  // bytes read from the client's TCP connection, TLS included
	WireOut  int64
	Duration time.Duration
	Identity string
	Upstream string // the address dialed; "" where none was
	Kernel   *TCPInfo

	// Delivered says of an alert we sent last whether the client's kernel
	// acknowledged it: acked or unknown; "" where there was none.
	Delivered string

	// Suspect is a reason that what happened after a good handshake hints at:
	// a client that leaves without a word may have refused our certificate.
	Suspect    Reason
	Confidence string // certain, where the client said so, likely or possible; only with Suspect
}

// Name returns "conn.closed".
func (ConnClosed) Name() string { return "conn.closed" }

// Level returns [Info], and [Probe] for a connection that never spoke.
func (b ConnClosed) Level() Level {
	if b.Cause == CauseProbe {
		return Probe
	}
	return Info
}

// Tell implements [Body].
func (b ConnClosed) Tell(f Facts) {
	f.Text("reason", b.Reason.String())
	f.Text("cause", string(b.Cause))
	f.Text("by", b.By)
	f.Text("how", string(b.How))
	if b.Suspect != OK {
		f.Text("suspect", b.Suspect.String())
		f.Text("confidence", b.Confidence)
	}
	text(f, "detail", b.Detail)
	f.Int("bytes_in", b.BytesIn)
	f.Int("bytes_out", b.BytesOut)
	f.Int("wire_in", b.WireIn)
	f.Int("wire_out", b.WireOut)
	f.Milliseconds("duration_ms", b.Duration)
	text(f, "identity", b.Identity)
	text(f, "upstream", b.Upstream)
	text(f, "alert_delivered", b.Delivered)
	if k := b.Kernel; k != nil {
		f.Int("tcp.retransmits", int64(k.Retransmits))
		f.Int("tcp.rtt_us", k.RTT.Microseconds())
	}
}
