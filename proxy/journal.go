package proxy

import (
	"sync"
	"time"

	"mtlsproxy/proxy/event"
)

// journal is what is told of one connection. The kernel goes on with its sockets
// after the session is over, so a journal may outlive its session, and holds
// nothing of it.
type journal struct {
	about *event.Conn
	sink  event.Sink

	telling sync.Mutex // protects what follows
	seq     uint64
}

// emit adds a fact. at is when it happened. Sinks do not block, and the lock keeps
// the order in which they see the journal equal to its Seq.
func (j *journal) emit(at time.Time, body event.Body) {
	j.telling.Lock()
	defer j.telling.Unlock()
	j.seq++
	j.sink.Emit(event.Event{Conn: j.about, Seq: j.seq, Time: at, Body: body})
}
