package event

import (
	"context"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/proxy/tlswire"
)

func TestEveryReasonIsNamedOnceAndExplained(t *testing.T) {
	code := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	seen := map[string]Reason{}
	for _, r := range Reasons() {
		if !code.MatchString(r.String()) {
			t.Errorf("reason %d: code %q is not lower snake", r, r)
		}
		if other, twice := seen[r.String()]; twice {
			t.Errorf("reasons %d and %d share the code %q", r, other, r)
		}
		seen[r.String()] = r
		if r.Class() == "" {
			t.Errorf("%v has no class", r)
		}
		x := r.Explain()
		if x.What == "" {
			t.Errorf("%v has no explanation", r)
		}
		if r != OK && x.Fix() == "" {
			t.Errorf("%v: nobody is told what to do", r)
		}
		if got, ok := ParseReason(r.String()); !ok || got != r {
			t.Errorf("ParseReason(%q) = %v, %v", r, got, ok)
		}
	}
	if _, ok := ParseReason("no_such_reason"); ok {
		t.Error("ParseReason took an unknown code")
	}
}

func TestReasonsOutsideTheListAreInternal(t *testing.T) {
	r := Reason(255)
	if r.String() != "invalid" || r.Class() != ClassOurs || r.Explain() != Internal.Explain() {
		t.Errorf("got %q, %q", r, r.Class())
	}
}

// bodies holds one of each body, with every field that decides about output set.
var bodies = []Body{
	TCPAccepted{Listen: "127.0.0.1:1", SYN: &SYN{WScale: 7}, Kernel: &TCPInfo{State: "ESTABLISHED", RTT: time.Millisecond}},
	TCPEstablished{Side: ClientSide, Kernel: &TCPInfo{}}, TCPHalfClosed{Side: ClientSide, How: ByFIN, Truncated: true}, TCPClosed{},
	ClientHello{ServerName: "x", HelloRetry: true}, ServerHello{}, ServerHello{Retry: true}, CertificateRequest{},
	ClientCertificate{Chain: []Certificate{{}}}, ServerCertificate{Chain: []Certificate{{}}}, Verify{Reason: ClientCAUnknown},
	Finished{}, OtherMessage{}, OtherMessage{Message{Type: "NewSessionTicket", Padding: 3, Records: 2, Decoded: &tlswire.NewSessionTicket{}}}, Alert{Fatal: true}, HandshakeOK{Reported: PolicyDenied, Leaf: &Certificate{}, Phases: []HandshakePhase{{Name: PhasePolicy}}, Sign: 1}, HandshakeFailed{Failure{Reason: NotTLS, Received: []byte("SSH\x1b")}},
	HandshakeReported{Failure{Rule: "team"}}, PolicyDecision{}, PolicyDecision{Policy: "x", Nearest: "y"}, Recheck{}, ProbeSeen{}, LimitHit{}, ConnClosed{}, UpstreamDialed{}, UpstreamFailed{},
	TCPSYN{Attempt: 2, Segment: &Segment{Numbered: true, Seq: 1, Ack: 1, Bytes: true, Flags: "SYN", MSS: 1460, SACK: true, Timestamps: true}}, TCPSYNACK{}, TCPState{},
	TCPRetransmit{Timeout: true, Attempt: 2}, TCPFIN{First: true}, TCPRST{}, TCPTimeWait{Expires: 1, Verdict: "closed_here", Words: "w", First: ProxySide, Passed: []Passage{{}}, Witness: Witness{"sock", "exact"}}, TCPHalfOpen{},
	ProxyStart{}, ProxyReady{Telemetry: "x"}, Readiness{}, Readiness{Ready: true}, ProxyDraining{}, ProxyStop{Pending: 1}, TCPTiers{Active: []string{"sock"}, Missing: []TCPTier{{Tier: "packet", Need: "CAP_NET_RAW"}}, Unasked: []TCPTier{{Tier: "sockops", Detail: "not asked for"}}, Note: "x"}, ConfigLoaded{}, ConfigRejected{}, CertLoaded{}, CertExpiring{}, CertWarning{},
	SocketOption{}, SocketOptions{Options: []SocketOption{{Key: "nodelay", Asked: "true", Got: "true"}}}, AcceptPaused{}, LimitLowered{}, LogDropped{}, AdminUnavailable{}, Panic{},
}

func TestBodiesHaveStableNamesAndDistinctKeys(t *testing.T) {
	name := regexp.MustCompile(`^[a-z]+(\.[a-z]+(_[a-z]+)*)?$`)
	key := regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$`)
	for _, b := range bodies {
		if !name.MatchString(b.Name()) {
			t.Errorf("%T: name %q", b, b.Name())
		}
		if b.Level().String() == "invalid" {
			t.Errorf("%T: level %d", b, b.Level())
		}
		keys := map[string]bool{"time": true, "level": true, "event": true, "conn": true, "listener_": true, "client.address": true, "client.port": true, "t_ms": true}
		for _, fact := range FactsOf(b) {
			if !key.MatchString(fact.Key) {
				t.Errorf("%s: key %q", b.Name(), fact.Key)
			}
			if keys[fact.Key] {
				t.Errorf("%s: key %q stands twice, or is taken by the envelope", b.Name(), fact.Key)
			}
			keys[fact.Key] = true
		}
	}
}

func TestUnprintableBytesDoNotReachALog(t *testing.T) {
	var got any
	for _, fact := range FactsOf(HandshakeFailed{Failure{Reason: NotTLS, Received: []byte("a\x1b[2J\n\xffz")}}) {
		if fact.Key == "received" {
			got = fact.Value
		}
	}
	if want := "a.[2J..z"; got != want {
		t.Errorf("received = %q, want %q", got, want)
	}
}

func TestTeeHandsEveryEventToEverySink(t *testing.T) {
	var a, b Recorder
	s := Tee(&a, nil, &b)
	s.Emit(Event{Seq: 1, Body: Finished{}})
	s.Emit(Event{Seq: 2, Body: ConnClosed{}})
	if diff := cmp.Diff(a.All(), b.All()); diff != "" || len(a.All()) != 2 {
		t.Errorf("a got %d events; difference to b:\n%s", len(a.All()), diff)
	}
	Tee().Emit(Event{}) // goes nowhere, and does no harm
}

func TestRecorderWaitsForEventsToCome(t *testing.T) {
	var r Recorder
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() { r.Emit(Event{Seq: uint64(i), Body: Finished{}}) })
	}
	wg.Go(func() { r.Emit(Event{Seq: 1000, Body: ConnClosed{By: "client"}}) })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	e, body, err := WaitFor[ConnClosed](ctx, &r)
	if err != nil || e.Seq != 1000 || body.By != "client" {
		t.Errorf("got %v, %v, %v", e.Seq, body, err)
	}
	wg.Wait()
	if n := len(Bodies[Finished](r.All())); n != 100 {
		t.Errorf("got %d events, want 100", n)
	}
	cancel()
	if _, _, err := WaitFor[Panic](ctx, &r); err != context.Canceled {
		t.Errorf("waiting in an ended context: %v", err)
	}
}

func TestPhaseKeysAreMadeOfTheirNames(t *testing.T) {
	for _, name := range []string{PhaseWaitHello, PhaseReadHello, PhaseRetry, PhaseKeyExchange, PhaseServerAuth, PhaseWriteFlight,
		PhaseWaitClient, PhaseChainVerify, PhasePolicy, PhaseProof, "of another day"} {
		if got, want := phaseKey(name), "phase."+name+"_ms"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
