// Package tcpwatch knows how the kernel is asked about a connection: what it
// remembers of the three-way handshake when accept returns ([Open]), how the
// connection stands now ([Info]), how long a listener's queue is ([Queue]), and
// what becomes of a socket after it was closed ([Diag]).
//
// Everything here works without any privilege, on Linux. Elsewhere, and on sockets
// that are not TCP, each function returns an error that matches
// errors.ErrUnsupported.
//
// # What is exact and what is not
//
// The bytes of the SYN, the cookie and the counters are exact. The times of the
// SYN and of the third segment are inferred from what TCP_INFO counts in jiffies,
// so they are right to some 4 ms ([Snapshot.Handshake]). The server's initial
// sequence number, the bytes of the SYN-ACK and of the third segment, and
// connections that never completed are not to be had this way at all.
//
// The socket cookie is the key under which the kernel knows a connection from its
// SYN to the end of TIME_WAIT. It is created when first asked for, so Open is to be
// called once, right after accept.
//
// Listeners must not be Multipath TCP, and have TCP_SAVE_SYN set; package sockopt
// sees to both.
package tcpwatch
