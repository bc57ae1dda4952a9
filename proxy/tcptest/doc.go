// Package tcptest is a network for tests: namespaces of their own ([Isolate]), and
// in them a TUN device ([OpenTUN]) whose other end is the test, so that no kernel
// answers there. A [Peer] is a TCP of a few lines on it, which sends what it is told
// and answers nothing by itself: every state of the kernel's end can be held as long
// as one likes, and every segment looked at.
//
// All but [Pair], a connection over loopback, and [NeedsAddress] needs Linux and a
// kernel that lets the caller make user namespaces; tests are skipped, with the
// reason, where that is not so.
package tcptest
