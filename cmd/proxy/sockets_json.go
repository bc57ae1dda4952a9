package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"time"

	"mtlsproxy/proxy/tcpwatch"
)

// The document that proxy sockets -o json writes.
type (
	socketsDocument struct {
		Time      time.Time         `json:"time"`
		Ports     []uint16          `json:"ports"`
		Listeners []socketsListener `json:"listeners"`
		States    []socketsState    `json:"states"`
		Findings  []socketsFinding  `json:"findings"`
	}
	socketsListener struct {
		Address    netip.AddrPort `json:"address"`
		Queue      int            `json:"accept_queue"`
		Backlog    int            `json:"backlog"`
		SYNQueue   int            `json:"syn_queue"`
		SYNBacklog string         `json:"syn_backlog"`
		UID        uint32         `json:"uid"`
	}
	socketsState struct {
		State          string  `json:"state"`
		Accepted       int     `json:"accepted"`
		Dialed         int     `json:"dialed"`
		AcceptedOldest float64 `json:"accepted_oldest_ms,omitempty"`
		DialedOldest   float64 `json:"dialed_oldest_ms,omitempty"`
	}
	socketsFinding struct {
		ID       string            `json:"id"`
		Urgent   bool              `json:"urgent"`
		State    string            `json:"state"`
		Side     string            `json:"side"`
		Count    int               `json:"count"`
		OldestMS float64           `json:"oldest_ms,omitempty"`
		Title    string            `json:"title"`
		Meaning  string            `json:"meaning"`
		Advice   string            `json:"advice"`
		Settings map[string]string `json:"settings,omitempty"`
		Peers    []socketsPeer     `json:"peers,omitempty"`
		Others   int               `json:"other_peers_sockets,omitempty"`
	}
	socketsPeer struct {
		Address netip.Addr `json:"address"`
		Count   int        `json:"count"`
	}
)

func surveyDocument(s *tcpwatch.Survey) socketsDocument {
	d := socketsDocument{
		Time: s.Time, Ports: s.Ports,
		Listeners: []socketsListener{}, Findings: []socketsFinding{},
	}
	for _, l := range s.Listeners {
		d.Listeners = append(d.Listeners, socketsListener{
			Address: l.Local, Queue: l.Queue.Length, Backlog: l.Queue.Backlog, SYNQueue: l.Pending, SYNBacklog: synBacklog(s), UID: l.UID,
		})
	}
	for _, state := range tcpwatch.RFCStates {
		d.States = append(d.States, socketsState{
			State: state.String(), Accepted: s.Accepted.Count[state], Dialed: s.Dialed.Count[state],
			AcceptedOldest: inMS(s.Accepted.Oldest[state]), DialedOldest: inMS(s.Dialed.Oldest[state]),
		})
	}
	for _, f := range s.Findings {
		d.Findings = append(d.Findings, findingDocument(&f))
	}
	return d
}

func findingDocument(f *tcpwatch.Finding) socketsFinding {
	d := socketsFinding{
		ID: f.ID, Urgent: f.Urgent, State: f.State.String(), Side: sideOf(f), Count: f.Group.Count, OldestMS: inMS(f.Group.Oldest),
		Title: f.Title, Meaning: f.Meaning, Advice: f.Advice, Others: f.Group.Others,
	}
	for _, set := range f.Settings {
		if d.Settings == nil {
			d.Settings = make(map[string]string)
		}
		d.Settings[set.Name] = set.Value
	}
	for _, p := range f.Group.Peers {
		d.Peers = append(d.Peers, socketsPeer{p.Addr, p.Count})
	}
	return d
}

func sideOf(f *tcpwatch.Finding) string {
	if f.Group.Dialed {
		return "dialed"
	}
	return "accepted"
}

func inMS(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// synBacklog is how many handshakes may be under way at a listener.
func synBacklog(s *tcpwatch.Survey) string {
	return s.Settings["net.ipv4.tcp_max_syn_backlog"]
}

// writeJSONLine writes v on one line.
func writeJSONLine(w io.Writer, v any) error {
	out, err := json.Marshal(v)
	if err != nil {
		return exitWith(exIOErr, fmt.Errorf("writing output: %w", err))
	}
	return write(w, append(out, '\n'))
}
