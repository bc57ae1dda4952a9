package event

import (
	"log/slog"
	"time"
)

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

func appendPhases(dst []slog.Attr, phases []HandshakePhase, sign time.Duration) []slog.Attr {
	for i, p := range phases {
		total, told := p.Duration, false
		for j, other := range phases { // a phase may come more than once; a key may not
			if j != i && other.Name == p.Name {
				total, told = total+other.Duration, told || j < i
			}
		}
		if !told {
			dst = append(dst, ms(phaseKey(p.Name), total))
		}
	}
	if sign > 0 {
		dst = append(dst, ms("phase.sign_ms", sign))
	}
	return dst
}

// phaseKeys are the keys of the phases, made once: every handshake has them all.
var phaseKeys = map[string]string{
	PhaseWaitHello: "phase.wait_hello_ms", PhaseReadHello: "phase.read_hello_ms", PhaseRetry: "phase.retry_ms",
	PhaseKeyExchange: "phase.key_exchange_ms", PhaseServerAuth: "phase.server_auth_ms", PhaseWriteFlight: "phase.write_flight_ms",
	PhaseWaitClient: "phase.wait_client_ms", PhaseChainVerify: "phase.chain_verify_ms", PhasePolicy: "phase.policy_ms", PhaseProof: "phase.proof_ms",
}

func phaseKey(name string) string {
	if key, ok := phaseKeys[name]; ok {
		return key
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

func (t TLSState) appendAttrs(dst []slog.Attr) []slog.Attr {
	dst = text(text(text(dst, "tls.protocol.version", t.Version), "tls.cipher", t.Cipher), "tls.curve", t.Group)
	dst = text(text(dst, "server.address", t.ServerName), "tls.next_protocol", t.ALPN)
	if t.Version != "" {
		dst = append(dst, slog.Bool("tls.resumed", t.Resumed))
	}
	return text(dst, "resumption", t.Resumption)
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

// AppendAttrs implements [Body].
func (b HandshakeOK) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, ms("duration_ms", b.Duration), slog.String("auth", b.Auth))
	dst = text(text(dst, "identity", b.Identity), "rule", b.Rule)
	if b.Reported != OK {
		dst = append(dst, slog.String("reported", b.Reported.String()))
	}
	return appendPhases(b.Leaf.appendClient(b.TLS.appendAttrs(dst)), b.Phases, b.Sign)
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

func (f *Failure) appendAttrs(dst []slog.Attr) []slog.Attr {
	x := f.Reason.Explain()
	dst = append(dst, slog.String("reason", f.Reason.String()), slog.String("error.type", f.Reason.String()))
	dst = text(dst, "by", string(f.By))
	dst = text(dst, "diagnosis", x.What)
	dst = text(dst, "detail", f.Detail)
	dst = text(dst, "fix", x.Fix())
	dst = text(text(dst, "rule", f.Rule), "error.message", f.LibraryError)
	dst = text(text(dst, "confidence", f.Confidence), "last_message", f.LastMessage)
	if a := f.Alert; a != nil {
		dst = append(dst, slog.String("alert.direction", string(a.Direction)), slog.Int("alert.code", int(a.Code)),
			slog.String("alert", a.Description), slog.Bool("alert.encrypted", a.Encrypted))
	}
	dst = texts(dst, "advertised_cas", f.AdvertisedCAs)
	if len(f.Received) > 0 {
		dst = append(dst, slog.String("received", printable(f.Received)))
	}
	dst = append(dst, ms("duration_ms", f.Duration))
	dst = f.TLS.appendAttrs(dst)
	if len(f.Chain) > 0 {
		dst = append(f.Chain[0].appendClient(dst), slog.Int("chain_n", len(f.Chain)))
	}
	return appendPhases(dst, f.Phases, 0)
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

// AppendAttrs implements [Body].
func (b HandshakeFailed) AppendAttrs(dst []slog.Attr) []slog.Attr { return b.Failure.appendAttrs(dst) }

// HandshakeReported: the client would have been refused, were the policy
// enforced; the connection went on (enforcement: report).
type HandshakeReported struct{ Failure }

// Name returns "handshake.reported".
func (HandshakeReported) Name() string { return "handshake.reported" }

// Level returns [Warn].
func (HandshakeReported) Level() Level { return Warn }

// AppendAttrs implements [Body].
func (b HandshakeReported) AppendAttrs(dst []slog.Attr) []slog.Attr {
	return b.Failure.appendAttrs(dst)
}

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

// AppendAttrs implements [Body].
func (b PolicyDecision) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.String("rule", b.Rule), slog.String("action", b.Action),
		slog.String("enforcement", b.Enforcement), slog.String("auth", b.Auth))
	dst = text(text(dst, "policy", b.Policy), "revocation", b.Revocation)
	return text(text(dst, "nearest", b.Nearest), "lacked", b.Lacked)
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

// AppendAttrs implements [Body].
func (b Recheck) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst, slog.String("reason", b.Reason.String()), slog.String("action", b.Action), slog.String("trigger", b.Trigger))
	return text(text(dst, "detail", b.Detail), "rule", b.Rule)
}
