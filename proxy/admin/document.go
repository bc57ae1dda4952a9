package admin

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"mtlsproxy/proxy/event"
)

// Outcome says in one word how a connection went.
type Outcome string

// The outcomes.
const (
	Open     Outcome = "open"     // it goes on
	OK       Outcome = "ok"       // the client was let in, and the upstream reached
	Reported Outcome = "reported" // let in, although the policy would refuse (enforcement: report)
	Failed   Outcome = "failed"
	Probe    Outcome = "probe" // closed before a byte arrived: no failure
)

// Outcomes returns all outcomes.
func Outcomes() []Outcome { return []Outcome{OK, Failed, Probe, Reported, Open} }

// Document tells one connection. It is the contract shared by the API, the
// commands' -o json and the pages: names and meanings do not change once
// released, new fields may come. Durations and times since accept are whole
// microseconds.
type Document struct {
	ID       string  `json:"id"`
	Seq      uint64  `json:"seq"` // its number among the connections of the process
	Started  Time    `json:"started"`
	Listener string  `json:"listener"`
	Outcome  Outcome `json:"outcome"`
	Reason   string  `json:"reason"` // the code of an event.Reason; ok for one that is open

	Client Endpoint  `json:"client"`
	Listen *Endpoint `json:"listen,omitempty"` // our end, as the client addressed it
	Alert  *Alert    `json:"alert,omitempty"`
	TCP    TCP       `json:"tcp"`
	TLS    TLS       `json:"tls"`

	// Fix and AdvertisedCAs repeat what is in Diagnosis and TLS, for scripts.
	Fix           []Fix    `json:"fix"`
	AdvertisedCAs []string `json:"advertised_cas"`

	Steps        []Step              `json:"steps,omitempty"`        // in order of time
	Certificates []event.Certificate `json:"certificates,omitempty"` // the client's, as presented
	Phases       []Phase             `json:"phases,omitempty"`

	Auth     string    `json:"auth,omitempty"` // what the certificate counted for: verified, flagged, missing, none
	Identity string    `json:"identity,omitempty"`
	Rule     string    `json:"rule,omitempty"`
	Upstream *Upstream `json:"upstream,omitempty"`
	Bytes    *Bytes    `json:"bytes,omitempty"` // once it is closed
	End      *End      `json:"end,omitempty"`   // once it is closed

	Diagnosis *Diagnosis `json:"diagnosis,omitempty"`
	Dropped   int        `json:"events_dropped,omitempty"` // events beyond the bound of one connection
}

// letIn reports whether the handshake was finished and the client allowed,
// whatever came afterwards.
func (d *Document) letIn() bool {
	for i := range d.Steps {
		if s := &d.Steps[i]; s.Kind == KindVerdict && s.Detail.Result == "ok" {
			return true
		}
	}
	return false
}

// Summary returns d without what fills pages: steps, certificates and phases.
func (d Document) Summary() Document {
	d.Steps, d.Certificates, d.Phases = nil, nil, nil
	return d
}

// Time is a point in time that JSON shows in UTC and to the microsecond, with all
// six digits (RFC 3339).
type Time struct{ time.Time }

const timeLayout = "2006-01-02T15:04:05.000000Z"

// MarshalJSON implements [json.Marshaler].
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(t.UTC().Format(`"` + timeLayout + `"`)), nil
}

// UnmarshalJSON reads any time of RFC 3339.
func (t *Time) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return fmt.Errorf("time %q: want RFC 3339", s)
	}
	t.Time = at.UTC()
	return nil
}

// Endpoint is an address and port; both are zero on a unix socket.
type Endpoint struct {
	Address string `json:"address"`
	Port    uint16 `json:"port"`
}

func endpoint(a netip.AddrPort) Endpoint {
	if !a.IsValid() {
		return Endpoint{}
	}
	return Endpoint{Address: a.Addr().Unmap().String(), Port: a.Port()}
}

// String returns "address:port", or "unix socket".
func (e Endpoint) String() string {
	a, err := netip.ParseAddr(e.Address)
	if err != nil {
		if e.Address == "" {
			return "unix socket"
		}
		return fmt.Sprintf("%s:%d", e.Address, e.Port)
	}
	return netip.AddrPortFrom(a, e.Port).String()
}

// Alert is the alert with which a handshake was broken off.
type Alert struct {
	Direction string `json:"direction"` // sent or received
	Level     string `json:"level"`     // fatal or warning
	Code      uint8  `json:"code"`
	Name      string `json:"name"`
	Encrypted bool   `json:"encrypted"`
	Delivered string `json:"delivered,omitempty"` // of one we sent: acked or unknown
}

// TCP is what is known of the client's TCP connection. The kernel reports it.
// Segments, as far as they are known, are steps.
type TCP struct {
	SYN           *SYN   `json:"syn,omitempty"`
	RTT           int64  `json:"rtt_us,omitempty"`
	Retransmits   uint32 `json:"retransmits"`
	InAcceptQueue int64  `json:"accept_queue_us,omitempty"`
	ClosedBy      string `json:"closed_by,omitempty"` // client, proxy or upstream
	Close         string `json:"close,omitempty"`     // fin, rst, timeout or alert

	End *SocketEnd `json:"end,omitempty"`
}

// SYN is what the client's first segment said.
type SYN struct {
	TTL        uint8  `json:"ttl"`
	MSS        uint16 `json:"mss,omitempty"`
	WScale     *int   `json:"wscale,omitempty"`
	SACK       bool   `json:"sack"`
	Timestamps bool   `json:"timestamps"`
	Signature  string `json:"signature,omitempty"`
}

// TLS is what the handshake had agreed on, as far as it got.
type TLS struct {
	Version       string   `json:"version,omitempty"`
	Cipher        string   `json:"cipher,omitempty"`
	Group         string   `json:"group,omitempty"`
	SNI           string   `json:"sni,omitempty"`
	ALPN          string   `json:"alpn,omitempty"`
	ALPNOffered   []string `json:"alpn_offered,omitempty"`
	Resumed       bool     `json:"resumed"`
	Resumption    string   `json:"resumption,omitempty"` // of a session the client offered: accepted, unknown_ticket, refused
	AdvertisedCAs []string `json:"advertised_cas,omitempty"`
	JA3           string   `json:"ja3,omitempty"`
	JA4           string   `json:"ja4,omitempty"`
	LastMessage   string   `json:"last_message,omitempty"` // where the handshake broke off
}

// Phase is one stretch of the handshake's time.
type Phase struct {
	Name     string `json:"name"`
	Start    int64  `json:"start_us"`
	Duration int64  `json:"duration_us"`
}

// Upstream is where the connection was carried on to.
type Upstream struct {
	Name     string `json:"name,omitempty"`
	Address  string `json:"address"`
	Dial     int64  `json:"dial_us"`
	Attempts int    `json:"attempts,omitempty"`

	End *SocketEnd `json:"end,omitempty"`
}

// String returns "name address", or the address alone where that is its name.
func (u *Upstream) String() string {
	if u.Name == "" || u.Name == u.Address {
		return u.Address
	}
	return u.Name + " " + u.Address
}

// Bytes counts both directions: payload, and bytes on the client's TCP
// connection.
type Bytes struct {
	In      int64 `json:"in"` // client to upstream
	Out     int64 `json:"out"`
	WireIn  int64 `json:"wire_in"`
	WireOut int64 `json:"wire_out"`
}

// End is how a connection ended.
type End struct {
	Cause    string `json:"cause"`
	By       string `json:"by"`
	How      string `json:"how"`
	Detail   string `json:"detail,omitempty"`
	Duration int64  `json:"duration_us"`
}

// String says in words what ended the connection, and after what time.
func (e *End) String() string { return endWords(e) }

// Diagnosis says why, and what to do.
type Diagnosis struct {
	Reason     string `json:"reason"`
	Title      string `json:"title"` // one sentence about this connection
	What       string `json:"what"`  // what the reason means in general
	Why        string `json:"why,omitempty"`
	Confidence string `json:"confidence,omitempty"` // likely or possible; absent where certain
	Fix        []Fix  `json:"fix,omitempty"`
	Check      string `json:"check,omitempty"`   // a command that shows whether it is mended
	Library    string `json:"library,omitempty"` // the TLS library's own words
	Note       string `json:"note,omitempty"`    // why those mislead, where they do
	Received   string `json:"received,omitempty"`
	Seen       *Seen  `json:"seen,omitempty"` // how often, among the connections kept
	Doc        string `json:"doc"`            // where it is explained
}

// Fix is one thing to do, by one side.
type Fix struct {
	Side    string `json:"side"` // client or server
	Text    string `json:"text"`
	Command string `json:"command,omitempty"`
}
