// Package proxy is the life of a connection: accepted, its TLS handshake
// answered, its client judged, an upstream dialed, bytes carried both ways, and
// an end that says whose it was.
//
// # Where to read
//
// [session.run] is that life from top to bottom, each step a method in a file of
// its own: open.go, handshake.go, authorize.go, dial.go, relay.go, close.go. A
// [Server] holds the [Listener]s; a Listener accepts, keeps the limits and starts
// sessions.
//
// The tap (tap.go) lies under crypto/tls and sees what is on the wire. It records
// the handshake (recording.go), with the secrets of this one connection
// (keylog.go), and cuts its time into phases (phases.go). When the handshake is
// over, well or not, inspect.go reads the recording, viewer.go makes events of it
// (hellos.go and usual.go: what comes again is not decoded again), and both bytes
// and secrets are forgotten. diagnose.go then finds the true reason
// of a failure, by what was on the wire before the library's words (texts.go), and
// sharpen.go says what did not fit; suspicion.go doubts what ended too well.
//
// # What holds
//
// Nothing in here logs. Each fact about a connection is an event of its journal,
// stamped by [journal.emit] and handed to the listener's sink; the session's last
// one is always conn.closed. A step that ends a connection says so once, through
// [session.end]; what is said later is a consequence and is not heard.
//
// What the kernel does with a socket is told by whoever watches it (tcp.go), in
// its own time: it goes on after the session is over, and what it saw may come
// later than what followed from it.
//
// A connection is judged by the settings it was accepted under. [Listener.Apply]
// changes what later ones get; open connections keep theirs.
//
// # What is left to others
//
// Sockets are opened and tuned by proxy/sockopt, the kernel is asked by
// proxy/tcpwatch, certificates are held by certs, who may pass is decided by
// policy. Settings come from whoever builds the server; this package reads no
// file.
package proxy
