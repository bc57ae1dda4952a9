package proxy

import (
	"crypto/x509"
	"sync"
	"time"

	"mtlsproxy/policy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

// transcript is what the wire said about a handshake, beside the events that were
// made of it: the facts on which a diagnosis rests.
type transcript struct {
	clientAlert, serverAlert *event.Alert // the last one each way that ended its side, close_notify included
	last                     string       // the last handshake message, "ClientHello"
	lastFromClient           string
	chosen                   event.TLSState
	modern                   bool // TLS 1.3 was chosen
	clientSentCertificate    bool // a Certificate message, be it empty
	clientWithheld           bool // … and it was
	flightDone               bool // our first flight was complete: ServerHelloDone, or our Finished
	serverFinished           bool
	clientFinished           bool
	fault                    error           // what of the client's could not be read, and where
	partial                  tlswire.Partial // what of the client's last message had come
	isPartial                bool
}

// What is told of one handshake. An honest one has at most some twenty messages,
// and some two thousand records when a large ClientHello comes byte by byte.
const (
	maxMessages = 256
	maxRecords  = 4096
)

// reading is what it takes to read one recorded handshake.
type reading struct {
	tr     tlswire.Transcript
	viewer viewer
	see    func(*tlswire.Message) // the viewer's, made once: a method value is an allocation
}

var readings = sync.Pool{New: func() any {
	r := new(reading)
	r.see = r.viewer.see
	return r
}}

// release forgets the handshake and its secrets.
func (r *reading) release() {
	r.viewer = viewer{}
	r.tr.OnRecord(nil)
	r.tr.Reset()
	readings.Put(r)
}

// inspect decodes the recorded handshake, tells every message of it, and
// forgets the bytes and the secrets. It is called once, when the handshake is
// over, well or not.
func (s *session) inspect(peer []*x509.Certificate, resumed bool) transcript {
	log := s.tap.log
	if log == nil {
		return transcript{}
	}
	defer s.tap.forget()
	if s.tlsDone && s.Inspect.Level < InspectMessages {
		return transcript{} // nothing failed, and nobody wants to hear of it
	}
	r := readings.Get().(*reading)
	tr, v := &r.tr, &r.viewer
	v.session, v.peer, v.resumed, v.omitted.Bytes = s, peer, resumed, log.missing
	tr.SetSecrets(&log.secrets)
	if s.Inspect.Level >= InspectRecords {
		tr.OnRecord(v.record)
	}
	log.feed(tr, r.see)
	v.wire.partial, v.wire.isPartial = tr.Stream(tlswire.ClientToServer).Partial()
	v.wire.modern = tr.Context().Version >= tlswire.VersionTLS13
	if v.omitted != (event.Omitted{}) {
		s.emit(time.Now(), v.omitted)
	}
	wire := v.wire
	r.release()
	return wire
}

// tellVerdict tells what was decided about the client's chain, at the time it was.
func (s *session) tellVerdict() {
	d := &s.decision
	if d.Standing == "" || d.Standing == policy.Unasked || d.Standing == policy.Missing {
		return
	}
	body := event.Verify{Result: "ok"}
	body.Duration = s.tap.when.decided - s.tap.when.presented
	if !d.Verdict.OK() {
		body.Reason, body.Detail, body.Result = faultReason(d.Verdict.Fault), d.Verdict.Detail, "failed"
		switch {
		case d.Reported:
			body.Result = "reported"
		case d.Allowed:
			body.Result = "flagged"
		}
	}
	if len(d.Verdict.Chains) > 0 {
		chain := d.Verdict.Chains[0]
		body.Chain = make([]string, len(chain))
		for i, c := range chain {
			body.Chain[i] = descriptions.of(c).Subject
		}
	}
	s.emit(s.about.Started.Add(s.tap.when.decided), body)
}
