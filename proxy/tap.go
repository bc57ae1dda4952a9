package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mtlsproxy/proxy/sockopt"
	"mtlsproxy/proxy/tlswire"
)

// tap is the client's connection as crypto/tls sees it. It lies between
// crypto/tls and the socket for the connection's whole life, knows every byte
// of the handshake in both directions, and afterwards only counts.
//
// The handshake reads and writes from one goroutine. Afterwards one goroutine
// reads and another writes, as with any net.Conn; the handshake's record is
// no longer touched then.
type tap struct {
	net.Conn // the accepted connection

	in, out atomic.Int64 // bytes on the wire
	waiting atomic.Int64 // see awaited: since when it is its turn, plus 1; 0 while it is not waited for

	sawEOF   atomic.Bool // the client's FIN was read
	sawReset atomic.Bool // the client's RST was met

	quiet  atomic.Bool // the handshake is over: count, and record nothing
	ending atomic.Bool // what is written now is the last before our FIN

	dry bool // reads return errDry; belongs to whoever reads

	// What was read before crypto/tls was there, and is handed to it first.
	first              *[firstRead]byte // nil while nothing is kept
	firstFrom, firstTo uint16

	// Of the handshake; not touched once quiet.
	log        *recording // with its secrets; nil where the handshake is not inspected
	when       moments
	spoke      time.Duration // when our last write was done; 0 before the first
	clearAlert uint8         // description of the alert in clear with which the last read ended …
	gotAlert   bool          // … if it did
	lastWord   bool          // an alert of ours went out in another's place: nothing may follow

	session *session // whose connection it is
}

// NetConn returns the accepted connection, so that crypto/tls's own NetConn
// leads on to the socket.
func (t *tap) NetConn() net.Conn { return t.Conn }

// firstRead bounds what is read to learn what the client speaks. A ClientHello
// with a post-quantum key share fits.
const firstRead = 2048 // bytes

var firstReads = sync.Pool{New: func() any { return new([firstRead]byte) }}

// await reads from the client and keeps what came for crypto/tls. It returns all
// that is kept, which is valid until the next Read, and may be called again for
// more. The error comes with no bytes of its own.
func (t *tap) await() ([]byte, error) {
	if t.first == nil {
		t.first = firstReads.Get().(*[firstRead]byte)
	}
	if t.firstTo == firstRead {
		return t.first[:], io.ErrShortBuffer
	}
	n, err := t.read(t.first[t.firstTo:])
	t.firstTo += uint16(n)
	if n > 0 {
		err = nil // if there is one, it comes again
	}
	return t.first[:t.firstTo], err
}

// Read implements net.Conn.
func (t *tap) Read(p []byte) (int, error) {
	if t.firstFrom < t.firstTo {
		n := copy(p, t.first[t.firstFrom:t.firstTo])
		if t.firstFrom += uint16(n); t.firstFrom == t.firstTo {
			firstReads.Put(t.first)
			t.first, t.firstFrom, t.firstTo = nil, 0, 0
		}
		return n, nil
	}
	if t.dry {
		return 0, errDry
	}
	return t.read(p)
}

// errDry is what a read returns that is not to wait. It is temporary, so that
// crypto/tls takes it for no end of the connection and keeps what it has of a
// record.
var errDry net.Error = dryError{}

type dryError struct{}

func (dryError) Error() string   { return "nothing is to be read from the wire now" }
func (dryError) Timeout() bool   { return true }
func (dryError) Temporary() bool { return true }

func (t *tap) read(p []byte) (int, error) {
	if !t.quiet.Load() {
		return t.listen(p)
	}
	n, err := t.Conn.Read(p)
	t.in.Add(int64(n))
	if err != nil {
		t.note(err)
	}
	return n, err
}

// listen reads during the handshake.
func (t *tap) listen(p []byte) (int, error) {
	t.session.rest()
	t.waiting.Store(1 + int64(t.spoke))
	began := time.Now()
	n, err := t.Conn.Read(p)
	done := time.Now()
	t.in.Add(int64(n))
	t.when.sawRead(n, t.age(began), t.age(done))
	if n > 0 {
		t.heard(p[:n], done)
	}
	if err != nil {
		t.waiting.Store(0)
		t.note(err)
		return n, err
	}
	err = t.session.enlarge()
	t.waiting.Store(0)
	if err != nil {
		return n, err
	}
	return n, t.session.compute()
}

// awaited tells whether the client is waited for during the handshake, to speak or
// to read, and since when it has been its turn, counted from accept: 0 until its
// hello was answered. What it sends in between changes nothing about that: bytes
// one by one buy no time. It may be called from any goroutine.
func (t *tap) awaited() (since time.Duration, waits bool) {
	w := t.waiting.Load()
	return time.Duration(w - 1), w != 0
}

// heard keeps what the client sent during the handshake, and asks the kernel to
// acknowledge it at once: a client that sends one small segment and waits for its
// acknowledgment before the next would otherwise lose 40 ms. A hello that came
// whole is acknowledged by our answer.
func (t *tap) heard(p []byte, at time.Time) {
	if t.log == nil && t.session.record {
		t.log = recordings.Get().(*recording) // no earlier: a silent client costs none
	}
	if t.log != nil {
		t.log.add(chunkIn, p, t.age(at))
	}
	t.clearAlert, t.gotAlert = clearAlert(p)
	if tcp, ok := t.Conn.(*net.TCPConn); ok && !(t.in.Load() == int64(len(p)) && isRecord(p)) {
		_ = sockopt.QuickAck(tcp)
	}
}

// isRecord tells whether p is one TLS record, as long as its header says.
func isRecord(p []byte) bool {
	const header = 5
	return len(p) > header && len(p) == header+int(p[3])<<8+int(p[4])
}

// age is how long after accept at is.
func (t *tap) age(at time.Time) time.Duration { return at.Sub(t.session.about.Started) }

// clearAlert returns the alert with which p ends, if it ends with one in clear
// that ends the handshake: a plaintext record of two bytes. OpenSSL's clients send
// one like it when they refuse our certificate under TLS 1.3, and crypto/tls takes
// it for a damaged encrypted record. A warning that ends nothing is none of it.
//
// It is for handshakes that are not recorded, and so cannot be read record by
// record.
func clearAlert(p []byte) (description uint8, ok bool) {
	const size = 5 + 2
	if len(p) < size {
		return 0, false
	}
	r := p[len(p)-size:]
	if r[0] != byte(tlswire.AlertRecord) || r[1] != 3 || r[3] != 0 || r[4] != 2 {
		return 0, false
	}
	level, description := tlswire.AlertLevel(r[5]), r[6]
	orderly := description == uint8(tlswire.AlertCloseNotify)
	return description, level == tlswire.AlertLevelFatal || orderly
}

// Write implements net.Conn.
func (t *tap) Write(p []byte) (int, error) {
	if !t.quiet.Load() {
		return t.speak(p)
	}
	n, err := t.pass(p)
	t.out.Add(int64(n))
	if err != nil {
		t.note(err)
	}
	return n, err
}

// pass writes after the handshake.
func (t *tap) pass(p []byte) (int, error) {
	if t.ending.Load() {
		return sockopt.WriteHeld(t.Conn, p)
	}
	return t.Conn.Write(p)
}

// SetWriteDeadline does nothing. Only crypto/tls calls it, which gives its
// close_notify five seconds: a client that reads slowly may need longer until
// there is room for it, and would miss it for good. Those who bound a session set
// the deadlines of the connection below.
func (*tap) SetWriteDeadline(time.Time) error { return nil }

// speak writes during the handshake.
func (t *tap) speak(p []byte) (int, error) {
	if t.lastWord {
		return 0, errLastWord
	}
	if t.when.refused && t.session.face.auth.OwnVerification {
		p = t.rightAlert(p)
	}
	t.session.rest()
	began := t.age(time.Now())
	t.waiting.Store(1 + int64(began)) // until it has read enough that there is room
	n, err := t.Conn.Write(p)
	t.waiting.Store(0)
	t.out.Add(int64(n))
	t.spoke = t.age(time.Now())
	if n > 0 {
		t.when.sawWrite(p[:n], began, t.age(time.Now()))
		if t.log != nil {
			t.log.add(chunkOut, p[:n], began)
		}
	}
	if err != nil {
		t.note(err)
	}
	return n, err
}

// note keeps what an error says about the client's end of the connection:
// crypto/tls reports a FIN and a close_notify alike.
func (t *tap) note(err error) {
	switch {
	case errors.Is(err, io.EOF):
		t.sawEOF.Store(true)
	case isReset(err):
		t.sawReset.Store(true)
	}
}

// forget gives back what was recorded of the handshake, bytes and secrets. It
// may be called more than once.
func (t *tap) forget() {
	if t.log != nil {
		t.log.release()
		t.log = nil
	}
}

// hush ends the record of the handshake. It must be called before a second
// goroutine uses the connection. One that has said its last word is left as it
// is, so that no write gets through.
func (t *tap) hush() { t.quiet.Store(!t.lastWord) }

// CloseWrite sends FIN. It matches crypto/tls's and net's methods of the name.
func (t *tap) CloseWrite() error { return closeWrite(t.Conn) }

// closeWrite sends FIN on a TCP connection, or its like on a unix socket.
func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// isReset tells whether err says that the other end reset the connection, or
// was gone when we wrote to it.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
