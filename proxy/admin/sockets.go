package admin

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
)

// Sockets is what GET /api/v1/sockets answers: how the TCP sockets of an instance
// stand, or those of some ports, and what that means. It is the document of
// `proxy sockets -o json`.
type Sockets struct {
	Time      Time             `json:"time"`          // of the look at the kernel's table, which may be some seconds old
	PID       int              `json:"pid,omitempty"` // of the instance; 0 where none was asked
	Ports     []uint16         `json:"ports"`
	Listeners []SocketListener `json:"listeners"`
	Upstreams []SocketUpstream `json:"upstreams,omitempty"` // of an instance only
	States    []SocketState    `json:"states"`              // the eleven of RFC 9293, in the order of a connection's life
	Findings  []SocketFinding  `json:"findings"`            // what it means, the worst first

	Watcher  *SocketWatcher    `json:"watcher,omitempty"`  // of an instance that watches TCP
	Counters map[string]uint64 `json:"counters,omitempty"` // of the kernel, of the network namespace, what they have grown since the instance began
}

// SocketListener is a socket in LISTEN.
type SocketListener struct {
	Name       string         `json:"name,omitempty"` // in the configuration
	Address    netip.AddrPort `json:"address"`
	Queue      int            `json:"accept_queue"` // connections that wait for accept
	Backlog    int            `json:"backlog"`      // as many as that, and one more, can
	SYNQueue   int            `json:"syn_queue"`    // in SYN-RECEIVED
	SYNBacklog string         `json:"syn_backlog"`  // net.ipv4.tcp_max_syn_backlog; "" is not known
	UID        uint32         `json:"uid"`
}

// SocketUpstream is where connections are dialed to.
type SocketUpstream struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
}

// SocketState counts the sockets in one state. Ages are those of the oldest, as
// far as the kernel lets one tell.
type SocketState struct {
	State          string  `json:"state"`
	Accepted       int     `json:"accepted"`
	Dialed         int     `json:"dialed"`
	AcceptedOldest float64 `json:"accepted_oldest_ms,omitempty"`
	DialedOldest   float64 `json:"dialed_oldest_ms,omitempty"`
}

// SocketFinding says what a group of sockets means and what to do about it.
type SocketFinding struct {
	ID       string  `json:"id"`     // stable, such as half_close_leak
	Urgent   bool    `json:"urgent"` // it will not go away by itself, or is much
	State    string  `json:"state"`
	Side     string  `json:"side"` // accepted or dialed
	Count    int     `json:"count"`
	OldestMS float64 `json:"oldest_ms,omitempty"`
	Title    string  `json:"title"`
	Meaning  string  `json:"meaning"`
	Advice   string  `json:"advice"`

	// Settings are those named in the advice, as they are now: of the instance by
	// their keys, and of the kernel.
	Settings map[string]string `json:"settings,omitempty"`
	Peers    []SocketPeer      `json:"peers,omitempty"`               // who holds most
	Others   int               `json:"other_peers_sockets,omitempty"` // sockets of peers that are not named
}

// SocketPeer is an address and how many of a finding's sockets are with it.
type SocketPeer struct {
	Address netip.Addr `json:"address"`
	Count   int        `json:"count"`
}

// SocketWatcher counts what the instance's watcher does. But for Open and
// Following the numbers are since it began.
type SocketWatcher struct {
	Tiers   []string     `json:"tiers"`             // at work: sock, sockops, packet
	Missing []SocketTier `json:"missing,omitempty"` // and those that are not
	Unasked []string     `json:"unasked,omitempty"` // not asked for by inspect.tcp

	Open      int `json:"open"`      // connections that are open
	Following int `json:"following"` // closed ones whose sockets the kernel is not done with

	Followed     uint64 `json:"followed"` // closed connections whose end was awaited
	Lookups      uint64 `json:"lookups"`
	Dumps        uint64 `json:"dumps"`
	HalfOpen     uint64 `json:"half_open"` // attempts that came to nothing
	Evicted      uint64 `json:"evicted"`   // closed connections no longer followed, because there were too many
	EarlyEvicted uint64 `json:"early_evicted"`
	LostRecords  uint64 `json:"lost_records"` // lost in the sockops tier's ring
	LostPackets  uint64 `json:"lost_packets"`
	Late         uint64 `json:"late"` // observations that came after a connection's end was told
	Deaf         uint64 `json:"deaf"` // connections whose hangups the kernel would not report
}

// SocketTier is a way to watch TCP that does not work here.
type SocketTier struct {
	Tier string `json:"tier"`
	Why  string `json:"why"`
	Need string `json:"need"` // what would make it work
}

func (a API) sockets(w http.ResponseWriter, r *http.Request) {
	if a.Sockets == nil {
		writeProblem(w, http.StatusNotImplemented, "this instance does not look at sockets")
		return
	}
	s, err := a.Sockets(r.Context())
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		writeProblem(w, http.StatusNotImplemented, "looking at the sockets: "+err.Error())
	case err != nil:
		writeProblem(w, http.StatusInternalServerError, "looking at the sockets: "+err.Error())
	default:
		writeJSON(w, s)
	}
}

// Sockets asks how the instance's TCP sockets stand. Where it cannot look, the
// error is a [*Problem] with status 501.
func (c *Client) Sockets(ctx context.Context) (*Sockets, error) {
	var s Sockets
	return &s, c.get(ctx, "sockets", nil, &s)
}
