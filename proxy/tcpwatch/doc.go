// Package tcpwatch knows how the kernel is asked about a connection: what it
// remembers of the three-way handshake when accept returns ([Open]), how the
// connection stands now ([Info]), how long a listener's queue is ([Queue]), what
// becomes of a socket after it was closed ([Diag]), how all sockets of a port or of
// this process stand and what that means ([SurveyPorts], [SurveyEndpoints]), and
// the whole life of each connection from its SYN to the end of its TIME-WAIT
// ([Watcher], [Flow]).
//
// It works on Linux. Elsewhere, and on sockets that are not TCP, each function
// returns an error that matches errors.ErrUnsupported.
//
// # Tiers
//
// The kernel tells more to who may ask more. [Start] tries the tiers, lets each
// prove itself with a connection of its own on loopback, and says what those need
// that do not work ([Watcher.Tiers]). None is needed for another.
//
//	sock     no privilege   saved SYN, TCP_INFO, the moment the peer's FIN or RST
//	                        comes, sock_diag after our close, queues, counters
//	sockops  CAP_BPF and    the kernel's times of SYN, each SYN-ACK, each change of
//	         CAP_NET_ADMIN  state, retransmissions; both initial sequence numbers;
//	                        attempts that were never completed
//	packet   CAP_NET_RAW    the segments: flags, numbers, window, options
//
// The capabilities are needed by Start alone and may be dropped afterwards. BPF
// wants them in the first user namespace, and a cgroup2 file system; packets are
// content with those of a user namespace that owns the network namespace.
//
// # What a Flow guarantees
//
// Facts come to the [Teller] one at a time. Each is told once, by the best witness:
// where better tiers work, what a lesser one sees is held for some 100 ms. Of the
// same time, they come in the order of the protocol. The last fact is of kind
// [SawEnd], and there is exactly one of it, at the latest 130 s after our close or
// when the watcher closes. Nothing is told after it.
//
// The socket cookie is the key under which the kernel knows a connection from its
// SYN to the end of TIME-WAIT. It is created when first asked for, so Open is to
// be called once, right after accept. Packets carry no cookie: they are joined by
// four-tuple and the client's initial sequence number.
//
// Everything is bounded: 28,000 closed connections are followed, as many
// observations kept of connections not yet accepted, 64 retransmissions told of a
// connection. What is dropped or lost is counted ([Stats]), so that silence can be
// told from absence.
//
// # What is exact and what is not
//
// The bytes of the SYN, the cookie and the counters are exact. Without the higher
// tiers the times of the SYN and of the third segment are inferred from what
// TCP_INFO counts in jiffies, so they are right to some 4 ms
// ([Snapshot.Handshake]); the server's initial sequence number, the bytes of the
// SYN-ACK and connections that never completed are not to be had at all. Each fact
// says by whom it was seen and how well it is known ([Source], [Quality]).
//
// What became of a socket is not asked where it is known when it is closed: the
// peer's FIN came first and ours was acknowledged, so that nothing is left; or ours
// was first and TCP_INFO counts both, so that it is in TIME-WAIT ([Leave]). The
// kernel may have thrown that away: there are net.ipv4.tcp_max_tw_buckets at most.
//
// Listeners must not be Multipath TCP, and have TCP_SAVE_SYN set; package sockopt
// sees to both.
//
// # The states, and what they mean for a proxy
//
// The eleven of RFC 9293, Section 3.3.2. A proxy has two sides, and each its own
// end of the story: sockets it accepted, and sockets it dialed.
//
//	LISTEN        one a listener. TCP_INFO of it is the length of the accept queue
//	SYN-SENT      we dial, and nobody answered yet
//	SYN-RECEIVED  a client's handshake is under way; many, sent again: answers are
//	              lost, or SYNs forged. With TCP_DEFER_ACCEPT also clients that
//	              completed it and are silent
//	ESTABLISHED   in use, or waiting in the accept queue
//	FIN-WAIT-1    our FIN is on its way. Long: the peer is gone, or does not read
//	FIN-WAIT-2    our FIN arrived, the peer sent none; see below
//	CLOSING       both FINs crossed. Passes in a round trip
//	TIME-WAIT     we closed first; see below
//	CLOSE-WAIT    the peer closed, we did not; see below
//	LAST-ACK      the peer closed, then we; our FIN is on its way
//	CLOSED        nothing is left
//
// # The FIN-WAIT-2 story
//
// Thousands of sockets in FIN-WAIT-2 have one of two causes, and what helps
// against one does nothing about the other. What tells them apart is whether a
// process still holds the socket. This is what proxy sockets --port 8443 says where
// 300 connections were closed and 100 only half-closed, and no client closes:
//
//	STATE            ACCEPTED   OLDEST       DIALED   OLDEST
//	LISTEN                  1                     -
//	…
//	FIN-WAIT-2            400     4.1s            -
//	…
//
//	! our half-close leak: 100 accepted in FIN-WAIT-2, the oldest for 4.1s
//	  means  we sent FIN, the peer acknowledged it and sent none, and a process of ours
//	         still holds the socket open. The kernel never ends this state while the
//	         socket is open
//	  do     close what is half-closed after a while: timeouts.half_close of the listener
//	  peers  127.0.0.2 (71), 127.0.0.3 (29)
//
//	· client in CLOSE_WAIT: 300 accepted in FIN-WAIT-2, the oldest for 4.1s
//	  means  we closed, the peer acknowledged our FIN and has not closed its end: its
//	         application forgot the socket, or has not got to it yet. The kernel drops
//	         ours when the time is over; their number is closes a second times that time
//	  do     lower socket.linger2 of the listener, and tell the owners of these clients
//	  now    net.ipv4.tcp_fin_timeout = 60
//	  now    net.ipv4.tcp_max_tw_buckets = 131072
//	  peers  127.0.0.2 (215), 127.0.0.3 (85)
//
// A running instance that is asked without --port shows its own sockets alone, and
// adds its own settings as they are: now listeners.main.timeouts.half_close = 1m.
//
// Held ones are ours to close: tcp_fin_timeout does not touch them, and keepalive
// ends them only if the peer is dead. Those that nobody holds are small (256 bytes),
// and bounded by themselves: 100 closes a second for 60 s are 6,000. The fault is in
// the client, which sits in CLOSE-WAIT.
//
// # The CLOSE-WAIT story
//
// The peer closed, and we have not. No timer ends this; it is always the fault of
// the program that holds the socket. Unread bytes say whether its reader is stuck,
// or it read the end and did not close:
//
//	· we do not read to the end: 15 accepted in CLOSE-WAIT, the oldest for 3s
//	  means  the peer closed, and what it sent waits unread: our reader is stuck behind
//	         the other side
//	  do     see whether the other side takes the data; timeouts.idle bounds how long it
//	         may not
//	  peers  127.0.0.1 (15)
//
//	· we do not close: 25 accepted in CLOSE-WAIT, the oldest for 3s
//	  means  the peer closed, we have read everything, and the socket is still open: the
//	         other direction is still in use, or the close was forgotten
//	  do     timeouts.half_close of the listener bounds how long the other direction may
//	         go on; what is older is a fault of the program that holds it
//	  peers  127.0.0.1 (25)
//
// # The TIME-WAIT story
//
// Who closes first keeps TIME-WAIT for 60 s, whatever tcp_fin_timeout says, so that
// segments still on their way cannot reach a later connection of the same
// four-tuple. At a port that is listened at it costs memory alone, and not much:
//
//	· we close first: 1200 accepted in TIME-WAIT, the oldest for 1.1s
//	  means  who closes first keeps TIME-WAIT for 60 s. At a port that is listened at it
//	         does no harm: 256 bytes each
//	  do     nothing; letting clients close first moves them there
//	  now    net.ipv4.tcp_max_tw_buckets = 131072
//	  peers  127.0.0.1 (1200)
//
// On the dialed side it takes a local port of the 28,000 or so there are for one
// upstream address: there it pays to let the upstream close first.
//
// That a connection has no TIME-WAIT though we closed first is no fault either: a
// client that answers our close with a close_notify of its own meets a socket that
// is closed, and the kernel answers with RST, which ends both ends at once
// ([ResetAfterClose]).
package tcpwatch
