package event

import "time"

// HandshakePhase is one stretch of the handshake's time. The stretches follow each
// other without gaps, from accept on. A phase may come more than once, as when the
// client's messages come one by one.
type HandshakePhase struct {
	Name     string        `json:"name"` // see the Phase constants
	Start    time.Duration `json:"start_ns"`
	Duration time.Duration `json:"duration_ns"`
}

// The phases of a handshake, in their order. Whose time it was is in the comment.
const (
	PhaseWaitHello   = "wait_hello"   // client, network: accept to the first byte
	PhaseReadHello   = "read_hello"   // client, network: until the ClientHello is whole and understood
	PhaseQueue       = "queue"        // proxy: until there was a turn at the CPU for what the client had sent
	PhaseRetry       = "retry"        // client, network: its second ClientHello, after a HelloRetryRequest
	PhaseKeyExchange = "key_exchange" // proxy: key shares and key derivation
	PhaseServerAuth  = "server_auth"  // proxy: our certificate, the signature, Finished
	PhaseWriteFlight = "write_flight" // proxy: handing our flight to the kernel
	PhaseWaitClient  = "wait_client"  // client, network: until the client's flight has come
	PhaseChainVerify = "chain_verify" // proxy: parsing and verifying the client's chain
	PhasePolicy      = "policy"       // proxy: deciding about the client
	PhaseProof       = "proof"        // proxy: the client's signature, our ticket, its Finished
)

func tellPhases(f Facts, phases []HandshakePhase, sign time.Duration) {
	for i := range phases {
		name := phases[i].Name
		if !told(phases[:i], name) { // a phase may come more than once; a key may not
			f.Milliseconds(phaseKey(name), spent(phases[i:], name))
		}
	}
	if sign > 0 {
		f.Milliseconds("phase.sign_ms", sign)
	}
}

func told(phases []HandshakePhase, name string) bool {
	for i := range phases {
		if phases[i].Name == name {
			return true
		}
	}
	return false
}

// spent returns how long all stretches of a phase took.
func spent(phases []HandshakePhase, name string) (total time.Duration) {
	for i := range phases {
		if phases[i].Name == name {
			total += phases[i].Duration
		}
	}
	return total
}

// phaseKey spells the keys out: every handshake has them all, and should not have
// to make them.
func phaseKey(name string) string {
	switch name {
	case PhaseWaitHello:
		return "phase.wait_hello_ms"
	case PhaseReadHello:
		return "phase.read_hello_ms"
	case PhaseQueue:
		return "phase.queue_ms"
	case PhaseRetry:
		return "phase.retry_ms"
	case PhaseKeyExchange:
		return "phase.key_exchange_ms"
	case PhaseServerAuth:
		return "phase.server_auth_ms"
	case PhaseWriteFlight:
		return "phase.write_flight_ms"
	case PhaseWaitClient:
		return "phase.wait_client_ms"
	case PhaseChainVerify:
		return "phase.chain_verify_ms"
	case PhasePolicy:
		return "phase.policy_ms"
	case PhaseProof:
		return "phase.proof_ms"
	}
	return "phase." + name + "_ms"
}

// TLSState is what a finished, or unfinished, handshake had agreed on. Fields
// are empty where it did not get so far.
type TLSState struct {
	Version    string `json:"version,omitempty"` // "1.2", "1.3"
	Cipher     string `json:"cipher,omitempty"`
	Group      string `json:"group,omitempty"`
	ServerName string `json:"sni,omitempty"`
	ALPN       string `json:"alpn,omitempty"`
	Resumed    bool   `json:"resumed"`

	// Resumption says what became of a session the client offered: accepted,
	// unknown_ticket (sealed with a key we do not have), refused (its chain, its
	// policy or the settings no longer stand); "" where none was offered.
	Resumption string `json:"resumption,omitempty"`
}

func (t *TLSState) tell(f Facts) {
	text(f, "tls.protocol.version", t.Version)
	text(f, "tls.cipher", t.Cipher)
	text(f, "tls.curve", t.Group)
	text(f, "server.address", t.ServerName)
	text(f, "tls.next_protocol", t.ALPN)
	if t.Version != "" {
		f.Bool("tls.resumed", t.Resumed)
	}
	text(f, "resumption", t.Resumption)
}

// HandshakeOK: the client is let in. It stands alone: whoever reads only this
// line knows who came.
type HandshakeOK struct {
	Duration time.Duration // from accept
	Auth     string        // what the certificate counted for: verified, flagged, missing, none
	Identity string        // the client's name, verified unless Auth says flagged; "" where there is none
	Rule     string        // the policy rule that decided; "" where none did
	Reported Reason        // what an enforced policy would have refused it for; [OK] where it would not have
	TLS      TLSState
	Leaf     *Certificate // nil where the client presented none
	Phases   []HandshakePhase
	Sign     time.Duration // of PhaseServerAuth: the private-key operation
}

// Name returns "handshake.ok".
func (HandshakeOK) Name() string { return "handshake.ok" }

// Level returns [Info].
func (HandshakeOK) Level() Level { return Info }

// Tell implements [Body].
func (b HandshakeOK) Tell(f Facts) {
	f.Milliseconds("duration_ms", b.Duration)
	f.Text("auth", b.Auth)
	text(f, "identity", b.Identity)
	text(f, "rule", b.Rule)
	if b.Reported != OK {
		f.Text("reported", b.Reported.String())
	}
	b.TLS.tell(f)
	b.Leaf.tellClient(f)
	tellPhases(f, b.Phases, b.Sign)
}

// Failure is the whole story of a refusal; [HandshakeFailed] and
// [HandshakeReported] share it.
type Failure struct {
	Reason        Reason
	By            Side          // who ended it: the client that left or refused us, or the proxy
	Detail        string        // one plain sentence about this very case
	LibraryError  string        // the library's own words, which may mislead
	Confidence    string        // "" for certain; likely or possible where the reason is inferred
	Rule          string        // the policy rule that decided; "" where none did
	LastMessage   string        // the last handshake message seen, "" where none was
	Alert         *Alert        // the alert sent or received; nil where there was none
	AdvertisedCAs []string      // whose certificates we said we accept
	Received      []byte        // the first bytes, where they were not TLS; at most 16
	Duration      time.Duration // from accept
	TLS           TLSState
	Chain         []Certificate // as presented; the refused certificate first
	Phases        []HandshakePhase
}

func (b *Failure) tell(f Facts) {
	x := b.Reason.Explain()
	f.Text("reason", b.Reason.String())
	f.Text("error.type", b.Reason.String())
	text(f, "by", string(b.By))
	text(f, "diagnosis", x.What)
	text(f, "detail", b.Detail)
	text(f, "fix", x.Fix())
	text(f, "rule", b.Rule)
	text(f, "error.message", b.LibraryError)
	text(f, "confidence", b.Confidence)
	text(f, "last_message", b.LastMessage)
	if a := b.Alert; a != nil {
		f.Text("alert.direction", string(a.Direction))
		f.Int("alert.code", int64(a.Code))
		f.Text("alert", a.Description)
		f.Bool("alert.encrypted", a.Encrypted)
	}
	texts(f, "advertised_cas", b.AdvertisedCAs)
	if len(b.Received) > 0 {
		f.Text("received", printable(b.Received))
	}
	f.Milliseconds("duration_ms", b.Duration)
	b.TLS.tell(f)
	if len(b.Chain) > 0 {
		b.Chain[0].tellClient(f)
		f.Int("chain_n", int64(len(b.Chain)))
	}
	tellPhases(f, b.Phases, 0)
}

// printable shows bytes of an unknown protocol: printable ASCII as it is, the
// rest as dots.
func printable(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		if c < ' ' || c > '~' {
			c = '.'
		}
		out[i] = c
	}
	return string(out)
}

// HandshakeFailed: the client was not let in, or left before it could be. It
// stands alone.
type HandshakeFailed struct{ Failure }

// Name returns "handshake.failed".
func (HandshakeFailed) Name() string { return "handshake.failed" }

// Level returns [Warn], and [Error] where the fault is ours.
func (b HandshakeFailed) Level() Level {
	if b.Reason == ServerConfig || b.Reason == Internal {
		return Error
	}
	return Warn
}

// Tell implements [Body].
func (b HandshakeFailed) Tell(f Facts) { b.Failure.tell(f) }

// HandshakeReported: the client would have been refused, were the policy
// enforced; the connection went on (enforcement: report).
type HandshakeReported struct{ Failure }

// Name returns "handshake.reported".
func (HandshakeReported) Name() string { return "handshake.reported" }

// Level returns [Warn].
func (HandshakeReported) Level() Level { return Warn }

// Tell implements [Body].
func (b HandshakeReported) Tell(f Facts) { b.Failure.tell(f) }

// PolicyDecision: who may pass was decided, after Finished.
type PolicyDecision struct {
	Action      string // allow or deny
	Rule        string // the deciding rule; "default" where none matched
	Enforcement string // enforce or report
	Auth        string // verified, flagged, missing, none
	Policy      string // the entry of server_names whose policy it was; "" for the listener's own
	Revocation  string // what is known: good, revoked, stale …; "" where nobody was asked
	Nearest     string // of a denial: the allow rule that lacked least …
	Lacked      string // … and what it lacked
}

// Name returns "policy.decision".
func (PolicyDecision) Name() string { return "policy.decision" }

// Level returns [Phase].
func (PolicyDecision) Level() Level { return Phase }

// Tell implements [Body].
func (b PolicyDecision) Tell(f Facts) {
	f.Text("rule", b.Rule)
	f.Text("action", b.Action)
	f.Text("enforcement", b.Enforcement)
	f.Text("auth", b.Auth)
	text(f, "policy", b.Policy)
	text(f, "revocation", b.Revocation)
	text(f, "nearest", b.Nearest)
	text(f, "lacked", b.Lacked)
}

// Recheck: an open connection was judged again, and its client would not be let
// in any more.
type Recheck struct {
	Trigger string // policy or expiry
	Action  string // ended or reported
	Reason  Reason
	Detail  string
	Rule    string
}

// Name returns "policy.recheck".
func (Recheck) Name() string { return "policy.recheck" }

// Level returns [Warn].
func (Recheck) Level() Level { return Warn }

// Tell implements [Body].
func (b Recheck) Tell(f Facts) {
	f.Text("reason", b.Reason.String())
	f.Text("action", b.Action)
	f.Text("trigger", b.Trigger)
	text(f, "detail", b.Detail)
	text(f, "rule", b.Rule)
}
