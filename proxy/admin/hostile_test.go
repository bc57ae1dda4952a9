package admin

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/terminal"
)

// noise makes journals out of random numbers: bodies in any order, with texts
// nobody would write.
type noise struct {
	*rand.Rand
	texts []string
}

func (n noise) text() string { return n.texts[n.IntN(len(n.texts))] }

func (n noise) textsUpTo(most int) []string {
	out := make([]string, n.IntN(most+1))
	for i := range out {
		out[i] = n.text()
	}
	return out
}

func (n noise) duration() time.Duration { return time.Duration(n.Int64() >> n.IntN(63)) }

func (n noise) chain() []event.Certificate {
	out := make([]event.Certificate, n.IntN(4))
	for i := range out {
		out[i] = event.Certificate{Subject: n.text(), Issuer: n.text(), Serial: n.text(),
			NotBefore: began.Add(n.duration()), NotAfter: began.Add(-n.duration())}
	}
	return out
}

func (n noise) message() event.Message {
	return event.Message{Direction: event.Direction(n.text()), Type: n.text(), Bytes: n.IntN(1 << 20), Encrypted: n.IntN(2) == 0, Records: n.IntN(3)}
}

func (n noise) reason() event.Reason { return event.Reason(n.IntN(len(event.Reasons()) + 2)) }

func (n noise) alert() event.Alert {
	dir := event.In
	if n.IntN(2) == 0 {
		dir = event.Out
	}
	return event.Alert{Direction: dir, Fatal: n.IntN(2) == 0, Code: uint8(n.IntN(256)), Description: n.text(), Encrypted: n.IntN(2) == 0, Delivered: n.text()}
}

func (n noise) failure() event.Failure {
	a := n.alert()
	return event.Failure{Reason: n.reason(), By: event.Side(n.text()), Detail: n.text(), LibraryError: n.text(), Confidence: n.text(), LastMessage: n.text(),
		Alert: &a, AdvertisedCAs: n.textsUpTo(9), Received: []byte(n.text()), Duration: n.duration(), Chain: n.chain(),
		TLS: event.TLSState{Version: n.text(), Cipher: n.text(), Group: n.text(), ServerName: n.text(), ALPN: n.text()}}
}

func (n noise) party() event.Side {
	return [...]event.Side{event.ClientSide, event.UpstreamSide, event.ProxySide, event.Side(n.text())}[n.IntN(4)]
}

func (n noise) state() string {
	return [...]string{"FIN-WAIT-2", "TIME-WAIT", "CLOSE-WAIT", "CLOSED", "LAST-ACK", n.text()}[n.IntN(6)]
}

func (n noise) witness() event.Witness {
	return event.Witness{Source: n.text(), Quality: [...]string{"exact", "derived", "inferred", n.text()}[n.IntN(4)]}
}

func (n noise) segment() *event.Segment {
	if n.IntN(3) == 0 {
		return nil
	}
	return &event.Segment{Numbered: n.IntN(2) == 0, Seq: n.Uint32(), Ack: n.Uint32(), Bytes: n.IntN(2) == 0, Flags: [...]string{"SYN", "FIN,ACK", n.text()}[n.IntN(3)],
		Window: uint16(n.Uint32()), TTL: uint8(n.Uint32()), MSS: uint16(n.Uint32()), WScale: n.IntN(300) - 2, SACK: true, Timestamps: true, TSVal: n.Uint32(), TSEcr: n.Uint32()}
}

func (n noise) body() event.Body {
	side := event.ClientSide
	if n.IntN(2) == 0 {
		side = event.UpstreamSide
	}
	switch n.IntN(25) {
	case 18:
		return event.TCPSYN{Side: side, By: n.party(), Attempt: n.IntN(4), Segment: n.segment(), Witness: n.witness()}
	case 19:
		return event.TCPSYNACK{Side: side, By: n.party(), Attempt: n.IntN(4), Segment: n.segment(), Witness: n.witness()}
	case 20:
		return event.TCPState{Side: side, From: n.text(), To: n.state(), Witness: n.witness()}
	case 21:
		return event.TCPRetransmit{Side: side, By: n.party(), Timeout: true, Attempt: n.IntN(70), Segment: n.segment(), Witness: n.witness()}
	case 22:
		return event.TCPFIN{Side: side, By: n.party(), First: n.IntN(2) == 0, Segment: n.segment(), Witness: n.witness()}
	case 23:
		return event.TCPRST{Side: side, By: n.party(), First: n.IntN(2) == 0, Segment: n.segment(), Witness: n.witness()}
	case 24:
		return event.TCPTimeWait{Side: side, State: n.state(), Expires: n.duration(), First: n.party(), Verdict: n.text(), Words: n.text(),
			Passed: []event.Passage{{State: n.text(), After: n.duration()}}, Witness: n.witness()}
	case 0:
		return event.TCPAccepted{SYN: &event.SYN{WScale: n.IntN(16) - 1}, Kernel: &event.TCPInfo{RTT: n.duration()}, Options: n.textsUpTo(9)}
	case 1:
		return event.TCPEstablished{Side: side}
	case 2:
		return event.TCPHalfClosed{Side: side, How: event.How(n.text()), Truncated: true, Bytes: n.Int64()}
	case 3:
		return event.TCPClosed{Side: side, How: event.How(n.text())}
	case 4:
		return event.ClientHello{Message: n.message(), ServerName: n.text(), Versions: n.textsUpTo(3), Groups: n.textsUpTo(3), ALPN: n.textsUpTo(3), Resumption: n.text()}
	case 5:
		return event.ServerHello{Message: n.message(), Version: n.text(), Cipher: n.text(), Curve: n.text(), Retry: n.IntN(2) == 0}
	case 6:
		return event.CertificateRequest{Message: n.message(), AdvertisedCAs: n.textsUpTo(9)}
	case 7:
		return event.ClientCertificate{Message: n.message(), Chain: n.chain()}
	case 8:
		return event.ServerCertificate{Message: n.message(), Chain: n.chain()}
	case 9:
		return event.Verify{Result: n.text(), Reason: n.reason(), Detail: n.text()}
	case 10:
		return event.Finished{Message: n.message()}
	case 11:
		return event.OtherMessage{Message: n.message()}
	case 12:
		return n.alert()
	case 13:
		return event.HandshakeOK{Identity: n.text(), Rule: n.text(), Auth: n.text(), Duration: n.duration(), Phases: phases13[:n.IntN(5)]}
	case 14:
		return event.HandshakeFailed{Failure: n.failure()}
	case 15:
		return event.UpstreamFailed{Upstream: n.text(), Address: n.text(), Reason: n.reason(), Detail: n.text(), Attempt: n.IntN(4)}
	case 16:
		return event.Panic{Value: n.text()}
	}
	return event.LimitHit{Reason: n.reason(), Key: n.text(), Action: n.text()}
}

// checkLadder holds what every ladder must keep to, whatever it shows.
func checkLadder(t *testing.T, out []byte, o LadderOptions) {
	t.Helper()
	width := max(o.Width, minWidth)
	if o.Width == 0 {
		width = defaultWidth
	}
	text := string(out)
	if !utf8.ValidString(text) || !strings.HasSuffix(text, "\n") {
		t.Fatalf("not text:\n%q", text)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if n := terminal.Cells(line); n > width {
			t.Fatalf("%d cells of %d: %q", n, width, line)
		}
		for _, r := range line {
			if !unicode.IsPrint(r) || o.ASCII && r > '~' {
				t.Fatalf("%U in %q", r, line)
			}
		}
	}
}

func FuzzLadder(f *testing.F) {
	f.Add(uint64(1), uint16(0), false, false, "CN=a\x1b[2Jb\r\nc\u202e\u0301é日本語"+strings.Repeat("x", 300))
	f.Add(uint64(2), uint16(80), true, true, "\xff\x00 · ─ ▶ ✔ 🔒")
	f.Add(uint64(3), uint16(1), true, false, "")
	f.Fuzz(func(t *testing.T, seed uint64, width uint16, ascii, short bool, text string) {
		n := noise{rand.New(rand.NewPCG(seed, 1)), []string{text, "in", "out", "fin", "ok", "ClientHello", "Finished", "ServerHello", "client", "likely", "", "x y z"}}
		js := NewJournals(JournalsOptions{Ring: 1})
		c := &event.Conn{ID: n.text(), Listener: n.text(), Started: began}
		if n.IntN(2) == 0 {
			c.Client, c.Listen = netip.MustParseAddrPort("[2001:db8::1]:443"), netip.MustParseAddrPort("[::ffff:10.0.0.1]:8443")
		}
		for i := range n.IntN(30) + 1 {
			js.Emit(event.Event{Conn: c, Seq: uint64(i + 1), Time: began.Add(n.duration() - n.duration()/2), Body: n.body()})
		}
		if n.IntN(2) == 0 {
			js.Emit(event.Event{Conn: c, Seq: 99, Time: began, Body: event.ConnClosed{Reason: n.reason(), Cause: event.Cause(n.text()), By: n.text(),
				How: event.How(n.text()), BytesIn: n.Int64(), BytesOut: n.Int64(), Duration: n.duration(), Suspect: n.reason()}})
		}
		j, ok := js.Find(c.ID)
		if !ok {
			t.Fatal("not kept")
		}
		o := LadderOptions{Width: int(width) % 400, ASCII: ascii, Short: short}
		checkLadder(t, AppendLadder(nil, j.Document(), o), o)
	})
}

func TestLadderOfAnEmptyDocument(t *testing.T) {
	checkLadder(t, AppendLadder(nil, &Document{}, LadderOptions{}), LadderOptions{})
}

func TestColoursAreTheOnlyControls(t *testing.T) {
	for _, s := range slices.Concat(samples(), watched()) {
		d := document(t, s)
		painted := AppendLadder(nil, d, LadderOptions{Color: true})
		for _, c := range []tone{good, bad, warn, faint, bold, "\x1b[0m"} {
			painted = bytes.ReplaceAll(painted, []byte(c), nil)
		}
		if got, want := string(painted), string(AppendLadder(nil, d, LadderOptions{})); got != want {
			t.Errorf("%s: colours change the text:\n%s", s.name, got)
		}
	}
}
