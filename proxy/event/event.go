// Package event is the vocabulary of what can be said about a connection.
//
// Every fact is an [Event]: a value that owns its bytes, made once by the
// party that saw the fact and handed to a [Sink]. The data path says nothing in
// any other way; it does not log. One file holds one category of bodies
// (tcp.go, tls.go, handshake.go, …), reason.go the closed list of reasons and
// explain.go what each of them means and what to do about it.
//
// # Guarantees
//
// The events of one connection form its journal. Seq counts from 1 without gaps
// in the order in which the facts became known; Time is when they happened, so a
// later Seq may carry an earlier Time (the kernel is asked after the fact, a
// handshake is decoded when it is over). There is exactly one [ConnClosed]: the last
// the session itself has to say. What may follow, for some two minutes, is what the
// kernel does with the sockets, or did before and is told late, in events whose
// names begin with "tcp.", up to one [TCPTimeWait] a socket that is watched.
//
// # What is left to others
//
// The package decides nothing and writes nothing. How a fact looks in a log, a
// metric or a page belongs to the sinks; names and fields are fixed here, because
// people build on them: once released, a name does not change.
package event

import (
	"net/netip"
	"time"
)

// Event is one fact. The zero value is not a valid event.
type Event struct {
	Conn *Conn     // the connection it is about; nil for the process as a whole
	Seq  uint64    // its place in the connection's journal, from 1; 0 where Conn is nil
	Time time.Time // when it happened
	Body Body      // what happened; never nil
}

// Conn is what is constant about a connection. It is shared by all events of its
// journal and must not be changed once the first of them has been emitted.
type Conn struct {
	ID       string         // short, unique within the process: "7q41"
	Listener string         // the listener's name in the configuration
	Client   netip.AddrPort // the client's end; the zero value on a unix socket
	Listen   netip.AddrPort // our end; the zero value on a unix socket
	Started  time.Time      // when accept returned it
}

// Body says what happened. Implementations are plain structs of this package;
// sinks tell them apart by type.
type Body interface {
	// Name is the stable name of the event, "category.name" in lower snake.
	Name() string

	// Level says who should hear of it by default.
	Level() Level

	// Tell says the facts in order of meaning. Keys carry their unit where the
	// value is a bare number. A fact that is not known is left out, never given
	// a made-up value.
	Tell(f Facts)
}

// Level says who an event is for. Remote faults are at most [Warn]: [Error] is
// for ours alone, and always actionable.
type Level int8

// The levels, least urgent first. Phase and Probe are resolved by the operator's
// settings (logging.phases, logging.probes) rather than fixed here.
const (
	Debug Level = iota // of use to whoever hunts a fault
	Probe              // a connection that never spoke: health checks, scanners
	Phase              // one phase of a connection
	Info               // something was done
	Warn               // somebody else's failure, or one that may become ours
	Error              // our failure
)

var levels = [...]string{"debug", "probe", "phase", "info", "warn", "error"}

// String returns the level's name in lower case.
func (l Level) String() string {
	if l < 0 || int(l) >= len(levels) {
		return "invalid"
	}
	return levels[l]
}

// Side names a party: the one at the other end of a leg of the connection, or
// the proxy itself.
type Side string

// The parties.
const (
	ClientSide   Side = "client"
	UpstreamSide Side = "upstream"
	ProxySide    Side = "proxy"
)
