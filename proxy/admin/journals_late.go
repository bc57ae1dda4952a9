package admin

import (
	"strings"

	"mtlsproxy/proxy/event"
)

// What the kernel does with a socket after our close is told up to two minutes
// later, when the session is long over. It belongs to the same journal, for as
// long as there is one: until each socket that was watched is gone or in
// TIME-WAIT, or until the journal has to make room.

// late appends e to a journal whose session is over.
func (js *Journals) late(j *journal, e event.Event) {
	if !isTCP(e.Body) {
		js.counts.DroppedEvents++
		return
	}
	if js.keep(j, e) {
		j.grow(estimate(e.Body))
	}
	j.sockets.note(e.Body)
	js.unindex(j)
	js.trim() // a journal that is kept has grown
}

// miss counts an event that has no journal. What is told of the sockets of a
// connection that is not kept went with it, and was counted with it.
func (js *Journals) miss(b event.Body) {
	if !isTCP(b) {
		js.counts.DroppedEvents++
	}
}

func isTCP(b event.Body) bool { return strings.HasPrefix(b.Name(), "tcp.") }

// unindex has j take no more events, where none can come or nobody could ask for
// them: its session is over, and so are its sockets or its time in the rings.
func (js *Journals) unindex(j *journal) {
	if j.closed && (j.in == nil || j.sockets.done()) {
		delete(js.index, j.conn)
		if js.last == j {
			js.last = nil
		}
	}
}

// sockets says which of a connection's two sockets there were, and which of them
// the kernel has done with.
type sockets struct {
	had, over socketSet
}

type socketSet uint8

const (
	clientSocket socketSet = 1 << iota
	upstreamSocket
)

func socketOf(side event.Side) socketSet {
	switch side {
	case event.ClientSide:
		return clientSocket
	case event.UpstreamSide:
		return upstreamSocket
	}
	return 0
}

// socketsOf returns what a connection begins with: a client's TCP socket, unless it
// came by a unix socket.
func socketsOf(c *event.Conn) sockets {
	if c.Client.IsValid() {
		return sockets{had: clientSocket}
	}
	return sockets{}
}

// note takes over what a body says about the sockets. One that is not watched is
// taken for one that goes on: the journal then waits in vain, at no cost.
func (s *sockets) note(b event.Body) {
	switch b := b.(type) {
	case event.UpstreamDialed:
		s.had |= upstreamSocket
	case event.TCPTimeWait:
		s.over |= socketOf(b.Side)
	}
}

// gone reports whether the end of a side's socket has been told, or there is no
// such socket.
func (s sockets) gone(side event.Side) bool {
	of := socketOf(side)
	return of == 0 || s.over&of != 0
}

// done reports whether the end of each socket has been told.
func (s sockets) done() bool { return s.had&^s.over == 0 }
