package tcpwire

import "errors"

// The three ways in which bytes are not what they should be. Every error of the
// package wraps one of them.
var (
	ErrTruncated = errors.New("truncated")         // more bytes were announced than are there
	ErrMalformed = errors.New("malformed")         // lengths or versions that contradict each other
	ErrNotTCP    = errors.New("not a TCP segment") // another protocol, or a later fragment
)
