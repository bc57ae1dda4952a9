package proxy

import (
	"fmt"
	"net/netip"
	"runtime/debug"
	"time"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tcpwatch"
)

// teller makes events of what the kernel does with one leg of a connection. It is
// needed until the kernel is done with the socket, two minutes after the close
// perhaps: of the session it then holds the journal alone.
type teller struct {
	*journal
	session *session // whose leg it is; nil once that is closed
	side    event.Side
	began   time.Time      // accept, or dial
	first   *event.TCPInfo // how the connection stood when it was opened; nil once told
}

// Broke implements [tcpwatch.Owner].
func (t *teller) Broke(silent bool) {
	if t.session != nil {
		t.session.broke(t.side, silent)
	}
}

// Released implements [tcpwatch.Owner].
func (t *teller) Released() { t.session = nil }

// Tell implements [tcpwatch.Teller].
func (t *teller) Tell(f *tcpwatch.Fact) {
	defer guardTeller(t.sink)
	at := f.Time
	if f.Kind <= tcpwatch.SawEstablished && t.side == event.ClientSide && at.After(t.began) {
		at = t.began // it was established before it could be accepted
	}
	if body := t.body(f); body != nil {
		t.emit(at, body)
	}
}

// body makes an event of a fact; nil for one that is no event. Each kind is made in
// a function of its own: the room for all of them would be the greatest part of the
// stack a session needs.
func (t *teller) body(f *tcpwatch.Fact) event.Body {
	switch f.Kind {
	case tcpwatch.SawSYN:
		return t.syn(f)
	case tcpwatch.SawSYNACK:
		return t.synACK(f)
	case tcpwatch.SawEstablished:
		return t.established(f)
	case tcpwatch.SawRetransmit:
		return t.retransmit(f)
	case tcpwatch.SawFIN:
		return t.fin(f)
	case tcpwatch.SawRST:
		return t.rst(f)
	case tcpwatch.SawState:
		return t.state(f)
	case tcpwatch.SawEnd:
		return t.end(f)
	}
	return nil
}

func (t *teller) syn(f *tcpwatch.Fact) event.Body {
	return event.TCPSYN{Side: t.side, By: t.by(f.By), Attempt: f.Attempt, Segment: segmentOf(&f.Observation), Witness: witness(&f.Observation)}
}

func (t *teller) synACK(f *tcpwatch.Fact) event.Body {
	return event.TCPSYNACK{Side: t.side, By: t.by(f.By), Attempt: f.Attempt, Segment: segmentOf(&f.Observation), Witness: witness(&f.Observation)}
}

func (t *teller) established(f *tcpwatch.Fact) event.Body {
	return event.TCPEstablished{Side: t.side, Local: plain(f.ID.Local), Remote: plain(f.ID.Remote), Kernel: t.first, Witness: witness(&f.Observation)}
}

func (t *teller) retransmit(f *tcpwatch.Fact) event.Body {
	return event.TCPRetransmit{
		Side: t.side, By: t.by(f.By), Timeout: f.Timeout, Attempt: f.Attempt, Segment: segmentOf(&f.Observation), Witness: witness(&f.Observation),
	}
}

func (t *teller) fin(f *tcpwatch.Fact) event.Body {
	return event.TCPFIN{
		Side: t.side, By: t.by(f.By), First: f.First, Kernel: ofFirst(f), Segment: segmentOf(&f.Observation), Witness: witness(&f.Observation),
	}
}

func (t *teller) rst(f *tcpwatch.Fact) event.Body {
	return event.TCPRST{
		Side: t.side, By: t.by(f.By), First: f.First, Kernel: ofFirst(f), Segment: segmentOf(&f.Observation), Witness: witness(&f.Observation),
	}
}

func (t *teller) state(f *tcpwatch.Fact) event.Body {
	body := event.TCPState{Side: t.side, To: f.To.String(), Witness: witness(&f.Observation)}
	if f.From.Known() {
		body.From = f.From.String()
	}
	return body
}

// end is the last event of a leg.
func (t *teller) end(f *tcpwatch.Fact) event.Body {
	body := event.TCPTimeWait{
		Side: t.side, Expires: f.Expires, First: t.by(f.FirstBy), Verdict: f.Verdict.String(), Words: f.Verdict.Words(),
		Witness: witness(&f.Observation),
	}
	if f.To.Known() {
		body.State = f.To.String()
	}
	if len(f.Passed) > 0 {
		body.Passed = make([]event.Passage, len(f.Passed))
		for i, p := range f.Passed {
			body.Passed[i] = event.Passage{State: p.State.String(), After: p.Time.Sub(t.began)}
		}
	}
	return body
}

// by names a party of the leg.
func (t *teller) by(p tcpwatch.Party) event.Side {
	switch p {
	case tcpwatch.Us:
		return event.ProxySide
	case tcpwatch.Peer:
		return t.side
	}
	return ""
}

// ofFirst is how the connection stood when its end began.
func ofFirst(f *tcpwatch.Fact) *event.TCPInfo {
	if !f.First || f.Info == nil {
		return nil
	}
	return event.TCPInfoOf(f.Info)
}

func witness(o *tcpwatch.Observation) event.Witness {
	return event.Witness{Source: o.Source.String(), Quality: o.Quality.String()}
}

// segmentOf is what is known of an observed segment: all of it where its bytes
// were seen, the numbers where those of the beginning are known.
func segmentOf(o *tcpwatch.Observation) *event.Segment {
	if s := o.Segment; s != nil {
		return &event.Segment{
			Numbered: true, Seq: s.Seq, Ack: s.Ack, Bytes: true, Flags: s.Flags.String(), Window: s.Window, TTL: s.TTL,
			MSS: s.MSS, WScale: s.WScale, SACK: s.SACKPermitted, Timestamps: s.Timestamps, TSVal: s.TSVal, TSEcr: s.TSEcr,
		}
	}
	if o.Kind == tcpwatch.SawRetransmit && o.Seq != 0 {
		return &event.Segment{Numbered: true, Seq: o.Seq, WScale: -1}
	}
	if o.ISN == nil {
		return nil
	}
	seq, other := o.ISN.Us, o.ISN.Peer
	if o.By == tcpwatch.Peer {
		seq, other = other, seq
	}
	switch o.Kind {
	case tcpwatch.SawSYN:
		return &event.Segment{Numbered: true, Seq: seq, WScale: -1}
	case tcpwatch.SawSYNACK: // a SYN counts as one (RFC 9293, Section 3.4)
		return &event.Segment{Numbered: true, Seq: seq, Ack: other + 1, WScale: -1}
	}
	return nil
}

// plain writes an address in its shortest form.
func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// HalfOpen returns an observer for a [tcpwatch.Watcher] that tells sink about
// clients which began to connect and did not go on. They belong to no connection.
func HalfOpen(sink event.Sink) tcpwatch.Observer { return halfOpen{sink} }

type halfOpen struct{ sink event.Sink }

// Observe implements [tcpwatch.Observer].
func (h halfOpen) Observe(o tcpwatch.Observation) {
	defer guardTeller(h.sink)
	if o.Kind != tcpwatch.SawHalfOpen {
		return
	}
	h.sink.Emit(event.Event{Time: o.Time, Body: event.TCPHalfOpen{
		Listen: plain(o.ID.Local).String(), Client: plain(o.ID.Remote).String(), SYNACKs: o.Attempt,
		Segment: segmentOf(&o), Witness: witness(&o),
	}})
}

// guardTeller keeps a fault of ours in telling one connection's story from ending
// the watcher, and with it the process.
func guardTeller(sink event.Sink) {
	if v := recover(); v != nil {
		sink.Emit(event.Event{Time: time.Now(), Body: event.Panic{Value: fmt.Sprint(v), Stack: string(debug.Stack())}})
	}
}
