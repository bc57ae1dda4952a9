package admin

import (
	"fmt"
	"time"

	"mtlsproxy/proxy/event"
)

// Step is one thing that happened on a connection.
type Step struct {
	T         int64  `json:"t_us"`          // since accept; negative for what the kernel did before
	Dir       string `json:"dir,omitempty"` // in: client to proxy, out: proxy to client
	Kind      Kind   `json:"kind"`
	Name      string `json:"name"` // of a message as the RFC writes it, of anything else the event's
	Bytes     int64  `json:"bytes,omitempty"`
	Encrypted bool   `json:"encrypted,omitempty"` // as it was on the wire
	Detail    Detail `json:"detail,omitzero"`
}

// Kind says what a step is about.
type Kind string

// The kinds of steps.
const (
	KindTCP      Kind = "tcp"
	KindTLS      Kind = "tls"
	KindAlert    Kind = "alert"
	KindPolicy   Kind = "policy"  // what was found out and decided about the client
	KindVerdict  Kind = "verdict" // how the handshake ended
	KindUpstream Kind = "upstream"
	KindClose    Kind = "close"
	KindProxy    Kind = "proxy" // a limit, or a fault of ours
)

// Detail is what is special about a step. Which fields are set depends on it.
type Detail struct {
	// Messages.
	Versions      []string `json:"versions,omitempty"`
	Groups        []string `json:"groups,omitempty"`
	ALPN          []string `json:"alpn,omitempty"`
	SNI           string   `json:"sni,omitempty"`
	CipherSuites  int      `json:"cipher_suites_n,omitempty"`
	Extensions    []string `json:"extensions,omitempty"`
	HelloRetry    bool     `json:"hello_retry,omitempty"`
	ECH           string   `json:"ech,omitempty"`
	Resumption    string   `json:"resumption_offered,omitempty"`
	Version       string   `json:"version,omitempty"`
	Cipher        string   `json:"cipher,omitempty"`
	Group         string   `json:"group,omitempty"`
	Resumed       bool     `json:"resumed,omitempty"`
	AdvertisedCAs []string `json:"advertised_cas,omitempty"`
	Subjects      []string `json:"subjects,omitempty"` // of a chain, leaf first
	Issuer        string   `json:"issuer,omitempty"`   // of its last certificate
	Algorithm     string   `json:"algorithm,omitempty"`
	Lifetime      int64    `json:"lifetime_s,omitempty"` // of a session ticket
	Records       int      `json:"records,omitempty"`    // where there was more than one
	Padding       int      `json:"padding,omitempty"`
	Empty         bool     `json:"empty,omitempty"` // a Certificate message without a certificate

	// Alerts.
	Level     string `json:"level,omitempty"`
	Code      *uint8 `json:"code,omitempty"`
	Delivered string `json:"delivered,omitempty"`

	// Everything else.
	Result      string   `json:"result,omitempty"`
	Reason      string   `json:"reason,omitempty"`
	Text        string   `json:"text,omitempty"`
	Rule        string   `json:"rule,omitempty"`
	Action      string   `json:"action,omitempty"`
	Enforcement string   `json:"enforcement,omitempty"`
	Upstream    string   `json:"upstream,omitempty"`
	Address     string   `json:"address,omitempty"`
	Duration    int64    `json:"duration_us,omitempty"`
	Attempt     int      `json:"attempt,omitempty"` // where it was not the first
	Side        string   `json:"side,omitempty"`
	How         string   `json:"how,omitempty"`
	Truncated   bool     `json:"truncated,omitempty"`
	Options     []string `json:"options,omitempty"`
	Key         string   `json:"key,omitempty"` // the setting behind it
	Value       int      `json:"value,omitempty"`

	// TCP segments and states. Source is the tier of the inspector that saw it,
	// Quality how well it is known: exact, derived or inferred.
	By      string   `json:"by,omitempty"` // who sent it: client, proxy or upstream
	First   bool     `json:"first,omitempty"`
	Timeout bool     `json:"timeout,omitempty"` // the retransmission timer had fired
	Segment *Segment `json:"segment,omitempty"`
	From    string   `json:"from,omitempty"`
	To      string   `json:"to,omitempty"`
	Expires int64    `json:"expires_us,omitempty"`
	Local   string   `json:"local,omitempty"` // our end of the upstream's leg
	Source  string   `json:"source,omitempty"`
	Quality string   `json:"quality,omitempty"`
}

// wired is implemented by bodies that are a message on the wire.
type wired interface{ Wire() event.Message }

// newStep returns what e says; ok is false for what the document tells elsewhere.
func newStep(e *event.Event) (s Step, ok bool) {
	if w, is := e.Body.(wired); is {
		return messageStep(w.Wire(), e), true
	}
	s = Step{T: since(e), Name: e.Body.Name()}
	d := &s.Detail
	switch b := e.Body.(type) {
	case event.TCPAccepted:
		s.Kind = KindTCP
		d.Options = b.Options
	case event.TCPEstablished:
		s.Kind = KindTCP
		d.Side, d.Options = string(b.Side), b.Options
		d.witness(b.Witness)
		if b.Remote.IsValid() {
			d.Address = b.Remote.String()
		}
		if b.Side == event.UpstreamSide && b.Local.IsValid() {
			d.Local = b.Local.String()
		}
	case event.TCPSYN, event.TCPSYNACK, event.TCPState, event.TCPRetransmit, event.TCPFIN, event.TCPRST, event.TCPTimeWait:
		tcpStep(&s, b)
	case event.TCPHalfClosed:
		s.Kind, s.Bytes = KindClose, b.Bytes
		d.Side, d.How, d.Truncated = string(b.Side), string(b.How), b.Truncated
	case event.TCPClosed:
		s.Kind = KindClose
		d.Side, d.How = string(b.Side), string(b.How)
	case event.ConnClosed:
		s.Kind = KindClose
		d.How, d.Text = string(b.How), b.Detail
	case event.Alert:
		alertStep(&s, &b)
	case event.Verify:
		s.Kind = KindPolicy
		d.Result, d.Text, d.Duration, d.Subjects = b.Result, b.Detail, b.Duration.Microseconds(), b.Chain
		if b.Reason != event.OK {
			d.Reason = b.Reason.String()
		}
	case event.PolicyDecision:
		s.Kind = KindPolicy
		d.Rule, d.Action, d.Enforcement, d.Result = b.Rule, b.Action, b.Enforcement, b.Auth
	case event.HandshakeOK:
		s.Kind = KindVerdict
		d.Result, d.Duration, d.Rule = "ok", b.Duration.Microseconds(), b.Rule
	case event.HandshakeFailed:
		failureStep(&s, "failed", &b.Failure)
	case event.HandshakeReported:
		failureStep(&s, "reported", &b.Failure)
	case event.ProbeSeen:
		s.Kind = KindVerdict
		d.Result, d.Reason, d.Duration = "probe", b.Reason.String(), b.Duration.Microseconds()
	case event.UpstreamDialed:
		s.Kind = KindUpstream
		d.Upstream, d.Address, d.Duration, d.Attempt = b.Upstream, b.Address, b.Duration.Microseconds(), later(b.Attempt)
	case event.UpstreamFailed:
		s.Kind = KindUpstream
		d.Upstream, d.Address, d.Duration, d.Attempt = b.Upstream, b.Address, b.Duration.Microseconds(), later(b.Attempt)
		d.Reason, d.Text = b.Reason.String(), b.Detail
	case event.LimitHit:
		s.Kind = KindProxy
		d.Reason, d.Value, d.Key, d.Action = b.Reason.String(), b.Value, b.Key, b.Action
	case event.Panic:
		s.Kind = KindProxy
		d.Text = b.Value // the stack is for the log
	default:
		s.Kind = KindProxy
	}
	return s, true
}

// messageStep returns the step of a message of the handshake.
func messageStep(m event.Message, e *event.Event) Step {
	s := Step{T: since(e), Dir: string(m.Direction), Kind: KindTLS, Name: m.Type, Bytes: int64(m.Bytes), Encrypted: m.Encrypted}
	d := &s.Detail
	if m.Records > 1 {
		d.Records = m.Records
	}
	d.Padding = m.Padding
	switch b := e.Body.(type) {
	case event.ClientHello:
		d.Versions, d.Groups, d.ALPN, d.SNI = b.Versions, b.Groups, b.ALPN, b.ServerName
		d.CipherSuites, d.Extensions, d.HelloRetry, d.ECH, d.Resumption = b.CipherSuites, b.Extensions, b.HelloRetry, b.ECH, b.Resumption
		name(&s, "ClientHello", event.In)
	case event.ServerHello:
		d.Version, d.Cipher, d.Group, d.Resumed = b.Version, b.Cipher, b.Curve, b.Resumed
		if b.ALPN != "" {
			d.ALPN = []string{b.ALPN}
		}
		name(&s, "ServerHello", event.Out)
		if b.Retry {
			s.Name, d.HelloRetry = "HelloRetryRequest", true
		}
	case event.CertificateRequest:
		d.AdvertisedCAs = b.AdvertisedCAs
		name(&s, "CertificateRequest", event.Out)
	case event.ClientCertificate:
		d.Subjects, d.Issuer = chainNames(b.Chain)
		d.Resumed = b.Resumed
		d.Empty = len(b.Chain) == 0 && b.ChainBytes == 0
		name(&s, "Certificate", event.In)
	case event.ServerCertificate:
		d.Subjects, d.Issuer = chainNames(b.Chain)
		name(&s, "Certificate", event.Out)
	case event.Finished:
		name(&s, "Finished", "")
		if b.Established {
			d.Result = "established"
		}
	case event.OtherMessage:
		otherDetail(d, b)
		name(&s, b.Name(), "")
	}
	return s
}

// name fills in what a message told without its wire form lacks.
func name(s *Step, name string, dir event.Direction) {
	if s.Name == "" {
		s.Name = name
	}
	if s.Dir == "" {
		s.Dir = string(dir)
	}
}

// otherDetail takes what the event itself says of its decoded message.
func otherDetail(d *Detail, b event.OtherMessage) {
	for _, fact := range event.FactsOf(b) {
		switch fact.Key {
		case "algorithm":
			d.Algorithm, _ = fact.Value.(string)
		case "tls.next_protocol":
			d.ALPN = []string{fmt.Sprint(fact.Value)}
		case "ticket_lifetime_s":
			d.Lifetime, _ = fact.Value.(int64)
		}
	}
}

func alertStep(s *Step, a *event.Alert) {
	s.Kind, s.Dir, s.Name, s.Encrypted = KindAlert, string(a.Direction), a.Description, a.Encrypted
	code := a.Code
	s.Detail.Level, s.Detail.Code, s.Detail.Delivered = level(a.Fatal), &code, a.Delivered
}

func failureStep(s *Step, result string, f *event.Failure) {
	s.Kind = KindVerdict
	d := &s.Detail
	d.Result, d.Reason, d.Text, d.Duration = result, f.Reason.String(), f.Detail, f.Duration.Microseconds()
}

func level(fatal bool) string {
	if fatal {
		return "fatal"
	}
	return "warning"
}

func chainNames(chain []event.Certificate) (subjects []string, issuer string) {
	for i := range chain {
		subjects = append(subjects, chain[i].Subject)
		issuer = chain[i].Issuer
	}
	return subjects, issuer
}

// later returns attempts but the first.
func later(attempt int) int {
	if attempt > 1 {
		return attempt
	}
	return 0
}

func since(e *event.Event) int64 {
	if e.Conn == nil {
		return 0
	}
	return e.Time.Sub(e.Conn.Started).Round(time.Microsecond).Microseconds()
}
