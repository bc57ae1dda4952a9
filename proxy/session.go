package proxy

import (
	"container/list"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"mtlsproxy/policy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
	"mtlsproxy/proxy/tcpwatch"
)

// session is one connection, from accept to its end.
type session struct {
	*epoch         // the settings it was accepted under
	face     *face // of the policy for the server name it asked for; until then the listener's
	listener *Listener
	*journal
	active int      // connections open when it came, itself included
	places []func() // gives back what the limits count

	unsettle func()        // gives back a newcomer's places; nil once settled
	newcomer *list.Element // among the newcomers; protected by their lock

	tap *tap      // the client's connection
	tls *tls.Conn // over tap

	hello         hello               // what the ClientHello said
	ticketOffered bool                // a session to resume was offered …
	ticketOpened  bool                // … and sealed with a key we have
	shaking       bool                // the handshake is going on …
	computing     bool                // … and has a turn at the CPU
	begun         bool                // it has had one
	large         bool                // it has a place among the large ones
	tlsDone       bool                // the handshake is finished
	decision      policy.Decision     // made in VerifyConnection
	presented     []*x509.Certificate // what it was made about
	state         event.TLSState
	leaf          *event.Certificate // the client's; nil where it showed none
	reached       string             // the upstream's address

	clientFlow, upstreamFlow *tcpwatch.Flow // what the kernel does with the legs; nil where nobody watches

	toUpstream, toClient half
	firstEnd             atomic.Bool // one of them has come to its orderly end

	hurried atomic.Bool // the close is to wait for nothing
	told    bool        // its last line in the journal is written

	mu       sync.Mutex // protects what follows
	upstream net.Conn   // nil until dialed
	cancel   func()     // calls off the dial; nil while there is none
	admitted bool       // the client was let in
	ended    bool       // over is decided
	over     outcome
	closing  bool // nothing is left to interrupt
}

// outcome is how a connection ended: the first thing that ended it, and what
// that was.
type outcome struct {
	reason event.Reason
	cause  event.Cause
	by     string
	how    event.How
	detail string
	hit    *event.LimitHit // the limit that ended it; nil where none did
}

// Whose hand it was; values of conn.closed.by and of the metric's label.
const (
	byClient   = "client"
	byUpstream = "upstream"
	byIdle     = "idle"
	byLifetime = "lifetime"
	byDrain    = "drain"
	byError    = "error"
)

func newSession(l *Listener, conn net.Conn, at time.Time) *session {
	s := &session{
		epoch:    l.epoch.Load(),
		listener: l,
		journal: &journal{sink: l.sink, about: &event.Conn{
			ID:       connectionIDs().take(),
			Listener: l.name,
			Client:   addrPort(conn.RemoteAddr()),
			Listen:   addrPort(conn.LocalAddr()),
			Started:  at,
		}},
	}
	s.face, s.hello.offer = s.own, noOffer
	s.tap = &tap{Conn: conn, session: s}
	return s
}

// run is the life of a connection. A step that cannot go on has said why through
// end; the later ones are left out, and the close fits what was said.
//
// What comes before the relay needs a deep stack, and an idle connection none.
func (s *session) run() {
	if s.apart(func() bool { return s.openTCP() && s.handshake() && s.authorize() && s.dial() }) {
		s.relay()
	}
	s.close()
}

// serve runs the session and gives back what it holds.
func (s *session) serve() {
	defer s.listener.sessions.remove(s)
	defer s.leavePlaces()
	defer s.settle()
	defer s.guard(s.abandon)
	s.run()
}

// abandon closes a session in which something of ours went wrong, if that was not
// the close itself.
func (s *session) abandon() {
	defer s.guard(s.drop)
	s.mu.Lock()
	closing := s.closing
	s.mu.Unlock()
	if closing {
		s.drop()
		return
	}
	s.close()
}

// drop gives back the sockets of a session whose close went wrong.
func (s *session) drop() {
	abort(s.tap.Conn, s.clientFlow)
	if s.upstream != nil {
		abort(s.upstream, s.upstreamFlow)
	}
	s.tellLast(s.over, nil)
}

// abort closes a leg with RST, as far as it is open.
func abort(conn net.Conn, flow *tcpwatch.Flow) {
	flow.Closing(&tcpwatch.Leave{Abort: true})
	sockopt.Abort(conn)
	flow.Closed()
}

// tellLast writes the session's last line in the journal, once.
func (s *session) tellLast(o outcome, info *event.TCPInfo) {
	if !s.told {
		s.told = true
		s.tellClosed(o, info)
	}
}

// guard keeps a fault of ours in one session from ending the others. It is
// deferred by each goroutine of the session; then runs what is left to do.
func (s *session) guard(then func()) {
	v := recover()
	if v == nil {
		return
	}
	s.emit(time.Now(), event.Panic{Value: fmt.Sprint(v), Stack: string(debug.Stack())})
	s.cut(outcome{reason: event.Internal, cause: event.CauseInternal, by: byError, how: event.ByRST, detail: fmt.Sprint(v)})
	then()
}

// end says why the connection is over. The first to speak is heard: what others
// meet afterwards follows from it. It reports whether it was the first.
func (s *session) end(o outcome) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.ended, s.over = true, o
	return true
}

// ending returns the outcome, once there is one.
func (s *session) ending() (o outcome, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over, s.ended
}

// cut ends the session from outside. It may come at any time, from any
// goroutine; whatever the session waits for returns at once.
//
// It reports false, and does nothing, when the session has been ended before.
func (s *session) cut(o outcome) bool {
	if !s.end(o) {
		return false
	}
	s.interrupt()
	return true
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// interrupt makes every pending read, write and dial return.
func (s *session) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return
	}
	s.tap.Conn.SetDeadline(longAgo)
	if s.upstream != nil {
		s.upstream.SetDeadline(longAgo)
	}
	if s.cancel != nil {
		s.cancel()
	}
}

// hurry ends what a session that is over still waits for on behalf of the other
// sides.
func (s *session) hurry() {
	s.hurried.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tap.Conn.SetReadDeadline(longAgo)
	if s.upstream != nil {
		s.upstream.SetReadDeadline(longAgo)
	}
}

func (s *session) leavePlaces() {
	for _, leave := range s.places {
		leave()
	}
	s.places = nil
}
