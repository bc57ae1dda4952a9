package tcpwatch

import "fmt"

// Verdict is how a connection ended, as far as its end can be told from the
// states it passed.
type Verdict uint8

// The verdicts.
const (
	// ClosedHere: we sent the first FIN and are the one to keep TIME-WAIT.
	ClosedHere Verdict = iota + 1
	// ClosedThere: the peer sent the first FIN, ours followed, and nothing is
	// left here. TIME-WAIT, if there is one, is the peer's.
	ClosedThere
	// ClosedByBoth: both FINs crossed (CLOSING); both ends keep TIME-WAIT.
	ClosedByBoth
	// AbortedHere: we asked for a reset.
	AbortedHere
	// UnreadHere: our close met bytes that nobody had read, which the kernel
	// answers with a reset in place of FIN (RFC 2525, Section 2.17).
	UnreadHere
	// ResetThere: the peer reset the connection while we had it open.
	ResetThere
	// ResetAfterFIN: the peer sent the first FIN, and reset when more came from us.
	// Who closes without waiting for our close_notify, as many clients do, answers
	// it so; one that closed in the middle of an answer does, too.
	ResetAfterFIN
	// ResetAfterClose: a reset ended it after our close. The usual cause is
	// harmless: the peer answers our FIN with data that nobody is left to read,
	// such as its close_notify, and our own kernel resets. A reset by the peer
	// looks the same from here.
	ResetAfterClose
	// Dismissed: we closed first, and our kernel was asked to keep nothing of the
	// connection (TCP_LINGER2 of -1, tcp(7)): it answered the peer's
	// acknowledgment of our FIN, or our close after it, with a reset.
	Dismissed
	// FinWait2Expired: the peer acknowledged our FIN and never sent its own, until
	// the kernel forgot the connection. The peer sits in CLOSE-WAIT.
	FinWait2Expired
	// GaveUp: the peer stopped answering.
	GaveUp
	// Recycled: a new connection took over the four-tuple, so this one was in
	// TIME-WAIT.
	Recycled
	// StillOpen: it was still there when we stopped looking.
	StillOpen
	// Lost: too many connections were being followed.
	Lost
)

var verdicts = [...]struct{ name, words string }{
	ClosedHere:      {"closed_here", "we closed first; TIME-WAIT is ours"},
	ClosedThere:     {"closed_there", "the peer closed first; nothing is left here"},
	ClosedByBoth:    {"closed_by_both", "both sides closed at the same time"},
	AbortedHere:     {"aborted_here", "we reset the connection"},
	UnreadHere:      {"unread_here", "we closed with unread bytes, so the kernel sent RST instead of FIN"},
	ResetThere:      {"reset_there", "the peer reset the connection"},
	ResetAfterFIN:   {"reset_after_fin", "the peer closed first, and answered what we still sent with a reset: nobody was left to read it, be it only our close_notify"},
	ResetAfterClose: {"reset_after_close", "a reset ended it after our close: the peer answered our FIN with data, as a late close_notify does, or reset it"},
	Dismissed:       {"dismissed", "we closed first and kept nothing: once our FIN was acknowledged, our kernel sent RST and forgot the connection"},
	FinWait2Expired: {"fin_wait_2_expired", "the peer acknowledged our FIN but never closed: it sits in CLOSE-WAIT"},
	GaveUp:          {"gave_up", "the peer stopped answering"},
	Recycled:        {"recycled", "a new connection took over its TIME-WAIT"},
	StillOpen:       {"still_open", "still not over when we stopped looking"},
	Lost:            {"lost", "not followed: too many connections at once"},
}

// String returns the name that events and metrics use, such as "closed_here".
func (v Verdict) String() string {
	if v < ClosedHere || v > Lost {
		return fmt.Sprintf("verdict %d", uint8(v))
	}
	return verdicts[v].name
}

// Words says it in a sentence without a full stop.
func (v Verdict) Words() string {
	if v < ClosedHere || v > Lost {
		return v.String()
	}
	return verdicts[v].words
}
