package admin

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

// bodies holds one of each body a connection may have.
var bodies = []event.Body{
	event.ProbeSeen{}, event.LimitHit{}, event.ConnClosed{}, event.HandshakeOK{}, event.HandshakeFailed{}, event.HandshakeReported{},
	event.PolicyDecision{}, event.Recheck{}, event.Panic{}, event.Record{}, event.Omitted{}, event.TCPAccepted{}, event.TCPEstablished{},
	event.TCPHalfClosed{}, event.TCPClosed{}, event.TCPSYN{}, event.TCPSYNACK{}, event.TCPState{}, event.TCPRetransmit{}, event.TCPFIN{},
	event.TCPRST{}, event.TCPTimeWait{}, event.OtherMessage{}, event.ClientHello{}, event.ServerHello{}, event.CertificateRequest{},
	event.ClientCertificate{}, event.ServerCertificate{}, event.Verify{}, event.Finished{}, event.Alert{}, event.UpstreamDialed{}, event.UpstreamFailed{},
}

// messages holds one of each message that may be in a body.
var messages = []tlswire.Body{
	&tlswire.Certificate{}, &tlswire.CertificateRequest{}, &tlswire.ClientHello{}, &tlswire.EncryptedExtensions{}, &tlswire.ServerKeyExchange{},
	&tlswire.ClientKeyExchange{}, &tlswire.CertificateVerify{}, &tlswire.Finished{}, &tlswire.NewSessionTicket{}, &tlswire.KeyUpdate{},
	&tlswire.CertificateStatus{}, &tlswire.CompressedCertificate{}, &tlswire.HelloRequest{}, &tlswire.ServerHelloDone{}, &tlswire.EndOfEarlyData{},
	&tlswire.ChangeCipherSpec{}, &tlswire.Alert{}, &tlswire.UnknownHandshake{}, &tlswire.ServerHello{},
}

// filler makes up values.
type filler struct {
	*rand.Rand
	started time.Time
}

func (f filler) fill(v reflect.Value, depth int) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf([]time.Time{{}, f.started.Add(time.Duration(f.Int64N(1e9)) - 5e8), time.Unix(f.Int64N(1<<34), f.Int64N(1e9)).UTC()}[f.IntN(3)]))
		return
	case netip.AddrPort:
		v.Set(reflect.ValueOf([]netip.AddrPort{{}, netip.MustParseAddrPort("127.0.0.1:80"), netip.MustParseAddrPort("[fe80::1%eth0]:443")}[f.IntN(3)]))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(f.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(f.Int64() >> f.IntN(64) * int64(1-2*f.IntN(2)))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(f.Uint64() >> f.IntN(64))
	case reflect.Float64:
		v.SetFloat(f.NormFloat64())
	case reflect.String:
		v.SetString(strings.Repeat([]string{"", "a", "word", "another word", "\xff\u202e"}[f.IntN(5)], 1+f.IntN(30)/10*f.IntN(10)))
	case reflect.Slice:
		if n := f.IntN(4); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
			f.elements(v, depth)
		}
	case reflect.Array:
		f.elements(v, depth)
	case reflect.Pointer:
		if f.IntN(3) > 0 && depth < 6 {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), depth+1)
		}
	case reflect.Interface:
		if f.IntN(4) > 0 {
			m := reflect.New(reflect.TypeOf(messages[f.IntN(len(messages))]).Elem())
			f.fill(m.Elem(), depth+1)
			v.Set(m)
		}
	}
}

func (f filler) elements(v reflect.Value, depth int) {
	for i := range v.Len() {
		f.fill(v.Index(i), depth+1)
	}
}

func TestEveryBodyCanBePacked(t *testing.T) {
	p := newPacker()
	for _, b := range bodies {
		if !p.fit(reflect.TypeOf(b)) {
			t.Errorf("%T does not fit", b)
		}
	}
	for _, m := range messages {
		if !p.fit(reflect.TypeOf(m)) {
			t.Errorf("%T does not fit", m)
		}
	}
}

// exactly compares also what is unexported: times and addresses.
var exactly = cmp.Exporter(func(reflect.Type) bool { return true })

func TestWhatIsPackedComesOutAsItWas(t *testing.T) {
	for _, started := range []time.Time{began, time.Now()} { // the latter with a reading of the monotonic clock
		f := filler{rand.New(rand.NewPCG(1, 2)), started}
		p := newPacker()
		c := &event.Conn{ID: "x", Started: started}
		for round := range 50 {
			var want []event.Event
			var entries []entry
			for i, b := range bodies {
				v := reflect.New(reflect.TypeOf(b)).Elem()
				f.fill(v, 0)
				e := event.Event{Conn: c, Seq: uint64(3*i + 1), Time: started.Add(time.Duration(f.Int64N(1e10)) - 5e9), Body: v.Interface().(event.Body)}
				want, entries = append(want, e), append(entries, newEntry(e))
			}
			packed := p.pack(started, entries)
			if n := len(packed.whole); n != 2 {
				t.Fatalf("%d bodies were not packed, want the two that are shared", n)
			}
			got := packed.unpack(nil, p.book(), c)
			if diff := cmp.Diff(want, got, exactly); diff != "" {
				t.Fatalf("round %d: -want +got:\n%s", round, diff)
			}
		}
		if len(p.words.list) == 0 {
			t.Error("no words were learned")
		}
	}
}

// odd is a body of a kind that does not exist: it has something nobody can pack.
type odd struct {
	event.Finished
	hidden int
}

func TestWhatCannotBePackedIsKept(t *testing.T) {
	p := newPacker()
	local := time.Date(2026, 11, 22, 12, 0, 0, 0, time.FixedZone("", 7200))
	want := []event.Event{
		{Conn: sampleConn("x", 1), Seq: 1, Time: began, Body: event.TCPAccepted{Active: 1}},
		{Seq: 2, Time: began, Body: odd{hidden: 7}},
		{Seq: 3, Time: began, Body: event.Finished{Message: event.Message{First: local}}},
		{Seq: 5, Time: began, Body: event.TCPClosed{Side: event.ClientSide}},
	}
	var entries []entry
	for i := range want {
		want[i].Conn = want[0].Conn
		entries = append(entries, newEntry(want[i]))
	}
	packed := p.pack(began, entries)
	got := packed.unpack(nil, p.book(), want[0].Conn)
	if diff := cmp.Diff(want, got, exactly); diff != "" || len(packed.whole) != 2 {
		t.Errorf("%d kept whole; -want +got:\n%s", len(packed.whole), diff)
	}
}

func TestVocabularyIsBounded(t *testing.T) {
	w := newWords()
	for range 3 {
		for i := range 3 * maxWords {
			w.append(nil, fmt.Sprint("a client's name ", i))
		}
	}
	long := strings.Repeat("x", maxWord+1)
	w.append(w.append(nil, long), long)
	if len(w.list) > maxWords || len(w.list) != len(w.places) || w.places[long] != 0 {
		t.Errorf("%d words, %d places", len(w.list), len(w.places))
	}
}

func TestTextsThatComeOnceAreNoWords(t *testing.T) {
	w := newWords()
	for i := range 8 {
		w.append(nil, fmt.Sprint("serial ", i))
	}
	if len(w.list) != 0 {
		t.Errorf("%d words", len(w.list))
	}
	w.append(nil, "serial 7")
	if len(w.list) != 1 || w.list[0] != "serial 7" {
		t.Errorf("words %q", w.list)
	}
}

// manyOpen emits n connections that have done their handshakes, and returns them.
func manyOpen(to event.Sink, n int) []*sample {
	open := make([]*sample, n)
	for i := range open {
		s := mutual13()
		s.conn.ID = fmt.Sprint("c", i)
		open[i] = s
		for _, e := range s.events[:len(s.events)-5] {
			to.Emit(e)
		}
	}
	return open
}

func TestPackedJournalsReadLikeOthers(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 2 * maxLoose})
	open := manyOpen(js, maxLoose+10)
	if js.index[open[9].conn].packed.n == 0 || js.index[open[10].conn].packed.n != 0 {
		t.Fatal("the wrong ones are packed")
	}
	compare := func(s *sample, n int) {
		t.Helper()
		j, ok := js.Find(s.conn.ID)
		if diff := cmp.Diff(s.events[:n], j.Events, exactly); !ok || diff != "" {
			t.Fatalf("found %v; -want +got:\n%s", ok, diff)
		}
	}
	for _, s := range open {
		compare(s, len(s.events)-5)
	}
	before, _ := js.Find("c0")
	for _, s := range open {
		for _, e := range s.events[len(s.events)-5:] {
			js.Emit(e)
		}
		compare(s, len(s.events))
	}
	if len(before.Events) != len(open[0].events)-5 {
		t.Error("what was read before has grown")
	}
	if got := len(js.List(Filter{})); got != len(open) {
		t.Errorf("%d listed", got)
	}
	var sum int64
	for i := range js.ring.len() {
		sum += js.ring.at(i).size
	}
	packed, loose := js.ring.at(0).size, js.ring.at(20).size
	if sum != js.ring.bytes || packed <= journalSize || packed >= loose {
		t.Errorf("%d bytes, want %d; one packed %d, another %d", js.ring.bytes, sum, packed, loose)
	}
	if js.loose != [maxLoose]*journal{} {
		t.Error("closed connections are still held")
	}
}

func TestFullRingIsPackedBeforeAnythingIsDropped(t *testing.T) {
	const size = 512 << 10
	one := NewJournals(JournalsOptions{Ring: 1})
	mutual13().emit(one)
	loose := int(size / one.Counts().KeptBytes)

	js := NewJournals(JournalsOptions{Ring: 10_000, Size: size})
	for i := range 1000 {
		s := mutual13()
		s.conn.ID = fmt.Sprint("c", i)
		s.emit(js)
		if c := js.Counts(); c.KeptBytes > size || uint64(c.Kept)+c.Dropped != uint64(i+1) || i < loose && c.Dropped > 0 {
			t.Fatalf("counts %+v", c)
		}
	}
	list := js.List(Filter{})
	if len(list) < 2*loose {
		t.Errorf("%d connections kept, and %d would be without packing", len(list), loose)
	}
	oldest := list[len(list)-1]
	if diff := cmp.Diff(bodiesOf(mutual13().events), bodiesOf(oldest.Events), exactly); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func bodiesOf(events []event.Event) []event.Body {
	var list []event.Body
	for i := range events {
		list = append(list, events[i].Body)
	}
	return list
}

// A journal is packed once; the bound on its events counts those too.
func TestBoundHoldsForPackedJournals(t *testing.T) {
	js := NewJournals(JournalsOptions{Ring: 10, Events: 24})
	s := manyOpen(js, maxLoose+1)[0]
	for i := range 50 {
		js.Emit(event.Event{Conn: s.conn, Seq: uint64(100 + i), Time: began, Body: event.OtherMessage{Message: msg(event.In, "KeyUpdate", 1, true)}})
	}
	js.Emit(event.Event{Conn: s.conn, Seq: 200, Time: began, Body: event.UpstreamDialed{}})
	js.Emit(event.Event{Conn: s.conn, Seq: 201, Time: began, Body: event.ConnClosed{}})
	j, _ := js.Find(s.conn.ID)
	if len(j.Events) != 24+2 || j.Dropped != len(s.events)-5+50-24 {
		t.Errorf("%d events, %d dropped", len(j.Events), j.Dropped)
	}
}

func BenchmarkPack(b *testing.B) {
	s := mutual13()
	var entries []entry
	for _, e := range s.events[:len(s.events)-5] {
		entries = append(entries, newEntry(e))
	}
	p := newPacker()
	packed := p.pack(began, entries)
	b.Run("pack", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			packed = p.pack(began, entries)
		}
		b.ReportMetric(float64(packed.size()), "B/journal")
	})
	b.Run("unpack", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			packed.unpack(nil, p.book(), s.conn)
		}
	})
}
