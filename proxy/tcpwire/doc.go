// Package tcpwire knows RFC 9293 and linux/tcp.h as bytes: IP and TCP headers with
// every option in order ([ParseSegment]), the kernel's struct tcp_info of whatever
// length ([ParseInfo]), and the states a connection can be in ([State]).
//
// It does no I/O, keeps no state, logs nothing and imports none of ours. Nothing
// it returns refers to the bytes it was given. Every input is safe: what is too
// short or contradicts itself is an error that matches [ErrTruncated],
// [ErrMalformed] or [ErrNotTCP], except for TCP options, which are kept as far as
// they can be read, because a segment with a broken option is accepted by every
// stack.
package tcpwire
