package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"mtlsproxy/policy"
	"mtlsproxy/proxy/sockopt"
	"mtlsproxy/proxy/tcpwatch"
)

// Settings is what a listener does with the connections it accepts. It is
// constant once given to [Listen] or [Listener.Apply].
type Settings struct {
	// Upstream is where the connections go; must be set.
	Upstream *Upstream

	TLS TLS

	// ClientAuth is the client-certificate policy of the listener, ByName those
	// of some server names, which hold in its place for clients that ask for one.
	ClientAuth policy.ClientAuth
	ByName     []policy.Named

	// Recheck says what becomes of an open connection whose client would not be
	// let in any more, RecheckByName the same under the policies of ByName, by
	// their names.
	Recheck       Recheck
	RecheckByName map[string]Recheck

	Timeouts Timeouts
	Limits   Limits
	Close    Close

	// Socket tunes accepted connections. What they inherit was given to
	// sockopt.Listen and cannot change here.
	Socket sockopt.Options

	// Effective is what the kernel made of the options that accepted connections
	// inherit, "name=value" each; it is told with every connection.
	Effective []string

	// CloseOnPlainHTTP closes connections that speak plain HTTP. If false, they
	// get an answer that says why it does not work (plain_http: explain).
	CloseOnPlainHTTP bool

	// Inspect says how much of each handshake is recorded.
	Inspect Inspect
}

// TLS is the server's half of the handshake.
type TLS struct {
	// Certificates are chosen by SNI; the first serves where none fits. At
	// least one must be set, each with its Leaf parsed.
	Certificates []tls.Certificate

	MinVersion   uint16        // 0 means TLS 1.2
	MaxVersion   uint16        // 0 means TLS 1.3
	CipherSuites []uint16      // TLS 1.2 only; nil means the library's choice
	Curves       []tls.CurveID // nil means the library's choice
	ALPN         []string      // nil means that no protocol is negotiated

	// RejectUnknownSNI ends handshakes that name a server none of the
	// certificates is for, with the alert unrecognized_name. A handshake that
	// names none gets the first certificate.
	RejectUnknownSNI bool

	// NoSessionTickets turns resumption off.
	NoSessionTickets bool

	// TicketSecrets, where there are any, take the place of keys of our own, so
	// that several instances behind one address open each other's tickets. The
	// first seals, all of them open; a new one is put in front and the last taken
	// away once its tickets have run out.
	TicketSecrets [][32]byte
}

// Recheck says what becomes of an open connection whose client would not be let
// in any more: its certificate has run out, or the policy, the CAs or the
// revocation lists have changed.
type Recheck uint8

// The ways to deal with it.
const (
	RecheckEnd    Recheck = iota // end it, with RST
	RecheckReport                // tell it and let it go on
	RecheckNone                  // do not look
)

// Timeouts bound a connection's phases. 0 means no bound, except where noted.
type Timeouts struct {
	FirstByte   time.Duration // from accept to the client's first byte
	Handshake   time.Duration // from accept to the verdict; 0 means 10 s: there is always a bound
	Idle        time.Duration // no byte in either direction
	Lifetime    time.Duration // from accept, whatever happens
	HalfClose   time.Duration // nothing moves after one direction has ended, or what is left after both have
	AlertLinger time.Duration // how long a refused client may take to read its alert
}

// Close says what becomes of an end that is not an orderly one.
type Close struct {
	Abort      Abort
	Truncation Truncation
}

// Abort says what one side gets when the other breaks off: with RST, by vanishing,
// or, as a client, with a fatal alert.
type Abort uint8

// The ways to deal with it.
const (
	// PropagateAbort passes it on as RST, so that nobody takes what has come so
	// far for all there was.
	PropagateAbort Abort = iota

	// AbsorbAbort makes an orderly end of it: close_notify and FIN to the client,
	// FIN to the upstream. It is for applications that delimit their messages
	// themselves and take RST amiss. What cannot be an orderly end is not made one:
	// a TLS record cut short, or one that does not decrypt.
	AbsorbAbort
)

// Truncation says what the upstream gets when the client's FIN came without
// close_notify, so that somebody on the path may have cut what it sent (RFC 8446,
// Section 6.1). A FIN inside a record is always an abort. An upstream is spoken to
// without TLS: there is no telling whether its FIN came too early.
type Truncation uint8

// The ways to deal with it.
const (
	PassTruncation  Truncation = iota // FIN, as after close_notify: many clients never send that
	AbortTruncation                   // RST, so that it never takes a cut request for a whole one
)

// Limits bound what a listener takes on. 0 means no bound.
type Limits struct {
	Connections          int     // open at once
	FewDescriptors       bool    // Connections is what there are descriptors for, and not what was asked for
	Unauthenticated      int     // of them, those that have not been let in
	Handshakes           int     // handshakes that compute at once; those that wait for the client do not count
	PerIP                int     // open at once from one IPv4 address or one IPv6 /64
	PerIPUnauthenticated int     // of them, those that have not been let in
	AcceptRate           float64 // connections a second
	WaitAtConnection     bool    // at a limit, leave connections in the kernel's queue instead of closing them
}

// Inspect says how much of a connection is told.
type Inspect struct {
	Level        Level
	Fingerprints bool // JA3 and JA4 of the ClientHello

	// TCP tells what the kernel does with both legs, from SYN to TIME-WAIT, at any
	// level but [InspectNone]. If nil, all that is told is how a connection stood
	// when it was accepted, dialed and closed; and the RST of a side from which nobody
	// reads, as it has ended its direction or the other side takes nothing, is met by
	// who next writes to it, or by a clock.
	TCP *tcpwatch.Watcher
}

// Level says which events a handshake gives rise to.
type Level uint8

// The levels, each with all that the one before it tells.
const (
	InspectNone     Level = iota // only the outcome
	InspectSummary               // and what was agreed on, with times
	InspectMessages              // and every message and alert
	InspectRecords               // and every record, without its payload
)

const defaultHandshakeTimeout = 10 * time.Second

// check returns what makes the settings unusable.
func (s *Settings) check() error {
	var errs []error
	if s.Upstream == nil || len(s.Upstream.Addresses) == 0 {
		errs = append(errs, errors.New("no upstream"))
	}
	if len(s.TLS.Certificates) == 0 {
		errs = append(errs, errors.New("no server certificate"))
	}
	for i, c := range s.TLS.Certificates {
		if c.Leaf == nil {
			errs = append(errs, fmt.Errorf("server certificate %d is not parsed", i))
		}
	}
	if s.ClientAuth.Mode != policy.None && s.ClientAuth.Verifier.Roots == nil {
		errs = append(errs, errors.New("client certificates are asked for, but there are no client CAs"))
	}
	return errors.Join(errs...)
}
