package proxy

import "sync"

// apart makes steps on a goroutine of its own, and waits for it. The goroutine of
// a session lives as long as its connection, and keeps the stack that it needed
// once, or half of it: while the client is silent, the handshake's would be a good
// part of what the connection costs.
func (s *session) apart(steps func() bool) (ok bool) {
	var wg sync.WaitGroup
	wg.Go(func() {
		defer s.guard(func() {})
		ok = steps()
	})
	wg.Wait()
	return ok
}

// deepStack is what a handshake and its inspection need of a stack.
const deepStack = 12 << 10 // bytes

// growStack makes room on the stack at once. Goroutines begin with a few
// kilobytes, and their stack is copied into one of twice the size each time it is
// full. To be called is enough: with a negative i the room is not cleared as well.
//
//go:noinline
func growStack(i int) byte {
	if i < 0 {
		return 0
	}
	var room [deepStack]byte
	return room[i]
}
