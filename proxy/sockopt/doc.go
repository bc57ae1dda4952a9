// Package sockopt knows what a socket can be told and what it then says it was
// told: every TCP, IP and socket-level option of the configuration's socket
// sections, on the object where Linux wants it set, with the value that the
// kernel made of it.
//
// Three objects carry options. The listener carries everything that Linux hands
// down to accepted sockets, so an accepted connection costs no system call of
// its own under the default [Options]. The client connection carries the rest
// ([Accepted]). The upstream connection gets its options before connect
// ([Dialer]) and what crypto and net would overwrite after it ([Dialed]).
//
// # Guarantees
//
// Every option is read back with getsockopt. A [Setting] holds the value asked
// for and the effective one in the notation of the configuration file, and a
// note where they differ: doubled, rounded, clamped, and by which kernel
// setting. An option that the kernel refuses is a Setting with Err and the
// capability or sysctl that would allow it; with [Options.Strict] it is an
// [OptionError] and no socket is left open.
//
// SO_LINGER is never set to a positive value: close would then block an
// operating-system thread for each connection. A lingering close is done in user
// space by whoever owns the connection.
//
// Listeners and dials are plain TCP, never Multipath TCP, on which Linux does not
// implement TCP_SAVE_SYN, TCP_LINGER2, TCP_USER_TIMEOUT, TCP_SYNCNT, TCP_QUICKACK
// and TCP_WINDOW_CLAMP.
//
// A dial never binds before it connects unless [Options.Source] is set; it then
// sets IP_BIND_ADDRESS_NO_PORT, so that local ports stay shared between
// destinations.
//
// The package keeps no state, starts no goroutine and logs nothing. It imports
// none of ours. Off Linux it listens and dials, and reports each option asked for
// as unsupported.
package sockopt
