package admin

import (
	"cmp"
	"slices"
	"time"

	"mtlsproxy/proxy/event"
)

// Document returns the document of the journal. Two calls on the same journal
// return equal documents.
func (j *Journal) Document() *Document {
	d := &Document{
		ID: j.Conn.ID, Seq: j.Seq, Started: Time{j.Conn.Started.UTC().Truncate(time.Microsecond)}, Listener: j.Conn.Listener,
		Outcome: j.Outcome, Reason: event.OK.String(), Client: endpoint(j.Conn.Client), Dropped: j.Dropped,
		Fix: []Fix{}, AdvertisedCAs: []string{},
	}
	if j.Conn.Listen.IsValid() {
		listen := endpoint(j.Conn.Listen)
		d.Listen = &listen
	}
	b := builder{Document: d}
	for i := range j.Events {
		b.add(&j.Events[i])
	}
	b.finish(j)
	return d
}

// builder gathers a document from the events of a journal.
type builder struct {
	*Document
	failure  *event.Failure
	reason   event.Reason
	suspect  event.Reason
	likely   string // how sure the suspicion is
	upstream *event.UpstreamFailed

	client, upstreamLeg leg
}

func (b *builder) add(e *event.Event) {
	if s, ok := newStep(e); ok {
		s.beforeAccept()
		b.Steps = append(b.Steps, s)
	}
	b.socketEvent(e.Body)
	switch body := e.Body.(type) {
	case event.TCPAccepted:
		b.accepted(&body)
	case event.TCPEstablished:
		if body.Side == event.ClientSide {
			b.kernel(body.Kernel)
		}
	case event.ClientHello:
		b.TLS.SNI, b.TLS.ALPNOffered, b.TLS.JA3, b.TLS.JA4 = body.ServerName, body.ALPN, body.JA3, body.JA4
	case event.ServerHello:
		if !body.Retry {
			b.TLS.Version, b.TLS.Cipher, b.TLS.Group, b.TLS.Resumed = body.Version, body.Cipher, body.Curve, body.Resumed
			b.TLS.ALPN = body.ALPN
		}
	case event.CertificateRequest:
		b.TLS.AdvertisedCAs = body.AdvertisedCAs
	case event.ClientCertificate:
		b.Certificates = body.Chain
	case event.Alert:
		b.alert(&body)
	case event.PolicyDecision:
		b.Auth, b.Rule = body.Auth, body.Rule
	case event.HandshakeOK:
		b.handshakeOK(&body)
	case event.HandshakeFailed:
		b.failed(&body.Failure)
	case event.HandshakeReported:
		b.failed(&body.Failure)
	case event.ProbeSeen:
		b.reason = body.Reason
	case event.UpstreamDialed:
		b.Upstream = &Upstream{Name: body.Upstream, Address: body.Address, Dial: body.Duration.Microseconds(), Attempts: body.Attempt}
	case event.UpstreamFailed:
		b.upstream = &body
	case event.TCPClosed:
		if body.Side == event.ClientSide {
			b.TCP.Close = string(body.How)
			b.kernel(body.Kernel)
		}
	case event.ConnClosed:
		b.closed(&body)
	}
}

func (b *builder) accepted(a *event.TCPAccepted) {
	b.kernel(a.Kernel)
	if a.Kernel != nil {
		b.TCP.InAcceptQueue = a.Kernel.InAcceptQueue.Microseconds()
	}
	if s := a.SYN; s != nil {
		b.TCP.SYN = &SYN{TTL: s.TTL, MSS: s.MSS, SACK: s.SACK, Timestamps: s.Timestamps, Signature: s.Signature}
		if s.WScale >= 0 {
			scale := s.WScale
			b.TCP.SYN.WScale = &scale
		}
	}
}

// kernel takes over what the kernel says; the later look counts.
func (b *builder) kernel(k *event.TCPInfo) {
	if k == nil {
		return
	}
	if k.RTT > 0 {
		b.TCP.RTT = k.RTT.Microseconds()
	}
	b.TCP.Retransmits = k.Retransmits
}

// alert keeps the alert that tells most: a fatal one before a warning, and of one
// that is told twice whether it arrived.
func (b *builder) alert(a *event.Alert) {
	said := documentAlert(a)
	had := b.Alert
	switch {
	case had != nil && had.Direction == said.Direction && had.Code == said.Code:
		if said.Delivered == "" {
			said.Delivered = had.Delivered
		}
	case had != nil && had.Level == "fatal" && !a.Fatal:
		return
	case !a.Fatal && a.Code == 0:
		return // close_notify is how things end, not why
	}
	b.Alert = said
}

func documentAlert(a *event.Alert) *Alert {
	said := &Alert{Direction: "sent", Level: level(a.Fatal), Code: a.Code, Name: a.Description, Encrypted: a.Encrypted, Delivered: a.Delivered}
	if a.Direction == event.In {
		said.Direction = "received"
	}
	return said
}

func (b *builder) handshakeOK(h *event.HandshakeOK) {
	b.Auth, b.Identity = h.Auth, h.Identity
	if h.Rule != "" {
		b.Rule = h.Rule
	}
	if h.Leaf != nil && len(b.Certificates) == 0 {
		b.Certificates = []event.Certificate{*h.Leaf}
	}
	b.state(h.TLS)
	b.phases(h.Phases)
}

func (b *builder) failed(f *event.Failure) {
	b.failure, b.reason = f, f.Reason
	if f.Alert != nil {
		b.alert(f.Alert)
	}
	if len(f.AdvertisedCAs) > 0 {
		b.TLS.AdvertisedCAs = f.AdvertisedCAs
	}
	if len(f.Chain) > 0 && len(b.Certificates) == 0 {
		b.Certificates = f.Chain
	}
	b.TLS.LastMessage = f.LastMessage
	b.state(f.TLS)
	b.phases(f.Phases)
}

// state takes over what was agreed on, where it is said.
func (b *builder) state(s event.TLSState) {
	t := &b.TLS
	for _, f := range []struct {
		to   *string
		from string
	}{
		{&t.Version, s.Version}, {&t.Cipher, s.Cipher}, {&t.Group, s.Group}, {&t.SNI, s.ServerName},
		{&t.ALPN, s.ALPN}, {&t.Resumption, s.Resumption},
	} {
		if f.from != "" {
			*f.to = f.from
		}
	}
	t.Resumed = t.Resumed || s.Resumed
}

func (b *builder) phases(list []event.HandshakePhase) {
	if len(list) == 0 {
		return
	}
	b.Phases = make([]Phase, len(list))
	for i, p := range list {
		b.Phases[i] = Phase{Name: p.Name, Start: p.Start.Microseconds(), Duration: p.Duration.Microseconds()}
	}
}

func (b *builder) closed(c *event.ConnClosed) {
	if a := b.Alert; a != nil && a.Direction == "sent" && a.Delivered == "" {
		a.Delivered = c.Delivered
	}
	if c.Reason != event.OK && b.reason == event.OK {
		b.reason = c.Reason
	}
	b.suspect, b.likely = c.Suspect, c.Confidence
	b.kernel(c.Kernel)
	b.Bytes = &Bytes{In: c.BytesIn, Out: c.BytesOut, WireIn: c.WireIn, WireOut: c.WireOut}
	b.End = &End{Cause: string(c.Cause), By: c.By, How: string(c.How), Detail: c.Detail, Duration: c.Duration.Microseconds()}
	if c.Identity != "" {
		b.Identity = c.Identity
	}
	if b.Upstream == nil && c.Upstream != "" {
		b.Upstream = &Upstream{Address: c.Upstream}
	}
	switch c.By {
	case "client", "upstream":
		b.TCP.ClosedBy = c.By
	default:
		b.TCP.ClosedBy = "proxy"
	}
	if b.TCP.Close == "" {
		b.TCP.Close = string(c.How)
	}
}

// finish puts the steps in order and says why.
func (b *builder) finish(j *Journal) {
	b.Reason = b.reason.String()
	slices.SortStableFunc(b.Steps, func(x, y Step) int {
		switch {
		case x.T < y.T:
			return -1
		case x.T > y.T:
			return 1
		}
		return cmp.Compare(tcpOrder(&x), tcpOrder(&y))
	})
	b.TCP.End = b.client.end(event.ClientSide)
	if b.Upstream != nil {
		b.Upstream.End = b.upstreamLeg.end(event.UpstreamSide)
	}
	b.AdvertisedCAs = append(b.AdvertisedCAs, b.TLS.AdvertisedCAs...)
	switch {
	case b.reason != event.OK:
		b.Diagnosis = b.diagnose(b.reason, "")
	case b.suspect != event.OK:
		b.Diagnosis = b.diagnose(b.suspect, b.likely)
		b.Diagnosis.Title = "The handshake went well, but what followed hints at more."
	default:
		return
	}
	if b.reason != event.OK {
		b.Fix = append(b.Fix, b.Diagnosis.Fix...)
	}
}
