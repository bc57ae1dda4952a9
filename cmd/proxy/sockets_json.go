package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"mtlsproxy/proxy/admin"
	"mtlsproxy/proxy/tcpwatch"
)

// socketsOf writes a survey as the document that people and programs read.
func socketsOf(s *tcpwatch.Survey) *admin.Sockets {
	d := &admin.Sockets{
		Time: admin.Time{Time: s.Time}, Ports: s.Ports,
		Listeners: []admin.SocketListener{}, Findings: []admin.SocketFinding{},
	}
	for _, l := range s.Listeners {
		d.Listeners = append(d.Listeners, admin.SocketListener{
			Address: l.Local, Queue: l.Queue.Length, Backlog: l.Queue.Backlog, SYNQueue: l.Pending, SYNBacklog: synBacklog(s), UID: l.UID,
		})
	}
	for _, state := range tcpwatch.RFCStates {
		d.States = append(d.States, admin.SocketState{
			State: state.String(), Accepted: s.Accepted.Count[state], Dialed: s.Dialed.Count[state],
			AcceptedOldest: inMS(s.Accepted.Oldest[state]), DialedOldest: inMS(s.Dialed.Oldest[state]),
		})
	}
	for i := range s.Findings {
		d.Findings = append(d.Findings, findingOf(&s.Findings[i]))
	}
	return d
}

func findingOf(f *tcpwatch.Finding) admin.SocketFinding {
	d := admin.SocketFinding{
		ID: f.ID, Urgent: f.Urgent, State: f.State.String(), Side: "accepted", Count: f.Group.Count, OldestMS: inMS(f.Group.Oldest),
		Title: f.Title, Meaning: f.Meaning, Advice: f.Advice, Others: f.Group.Others,
	}
	if f.Group.Dialed {
		d.Side = "dialed"
	}
	for _, set := range f.Settings {
		if d.Settings == nil {
			d.Settings = make(map[string]string)
		}
		d.Settings[set.Name] = set.Value
	}
	for _, p := range f.Group.Peers {
		d.Peers = append(d.Peers, admin.SocketPeer{Address: p.Addr, Count: p.Count})
	}
	return d
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
