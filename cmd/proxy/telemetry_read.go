package main

import (
	"time"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sink"
	"mtlsproxy/proxy/tcpwire"
)

// inUseSince returns since when a certificate is in use: a reload that finds the
// same again does not begin it anew.
func (t *telemetry) inUseSince(c *event.CertLoaded, now time.Time) time.Time {
	before := t.inUse.Load()
	if before == nil {
		return now
	}
	for i := range before.held {
		old := &before.held[i]
		if old.Kind != c.Kind || old.Key != c.Key || old.Serial != c.Serial || !old.NotAfter.Equal(c.NotAfter) || old.Subject != c.Subject {
			continue
		}
		for _, r := range before.certificates {
			if r.Kind == c.Kind && r.Name == c.Key {
				return r.Loaded
			}
		}
	}
	return now
}

// firstOfEach keeps of those with one name the one that runs out first.
func firstOfEach(all []sink.CertificateReading) []sink.CertificateReading {
	at := map[[2]string]int{}
	var out []sink.CertificateReading
	for _, c := range all {
		key := [2]string{c.Kind, c.Name}
		i, twice := at[key]
		if !twice {
			at[key] = len(out)
			out = append(out, c)
		} else if c.NotAfter.Before(out[i].NotAfter) {
			out[i] = c
		}
	}
	return out
}

func (t *telemetry) certificates() []sink.CertificateReading {
	if p := t.inUse.Load(); p != nil {
		return p.certificates
	}
	return nil
}

// traffic reads what the connections count.
func (t *telemetry) traffic() []sink.TrafficReading {
	s := t.server.Load()
	if s == nil {
		return nil
	}
	carried := s.Traffic()
	all := make([]sink.TrafficReading, len(carried))
	for i, c := range carried {
		all[i] = sink.TrafficReading(c)
	}
	return all
}

// sockets reads what the TCP watcher knows. It asks the kernel nothing.
func (t *telemetry) sockets() *sink.SocketReading {
	p := t.inUse.Load()
	if p == nil || p.watcher == nil {
		return nil
	}
	stats := p.watcher.Stats()
	r := &sink.SocketReading{
		HalfOpen: stats.HalfOpen,
		Lost: map[string]uint64{
			"closed_connections": stats.Evicted, "early_observations": stats.EarlyEvicted,
			"sockops_records": stats.LostRecords, "packets": stats.LostPackets,
			"late_observations": stats.Late, "hangups": stats.Deaf,
		},
		Counters: map[string]uint64{},
	}
	accepted, dialed := p.watcher.Census()
	r.Client, r.Upstream = byState(accepted[:]), byState(dialed[:])
	for _, g := range p.watcher.Gauges() {
		r.Queues = append(r.Queues, sink.QueueReading{Listener: g.Name, Length: g.Length, Limit: g.Backlog})
	}
	for _, name := range queueCounters {
		r.Counters[name] = 0
	}
	for name, n := range p.watcher.Counters() {
		r.Counters[name] = n
	}
	return r
}

// queueCounters are those of the kernel's counters that tell of full queues. They
// are served from the start, at 0.
var queueCounters = []string{
	"ListenOverflows", "ListenDrops", "TCPReqQFullDoCookies", "TCPReqQFullDrop", "SyncookiesSent", "TCPSynRetrans", "TCPTimeWaitOverflow",
}

// byState names the states of the connections that are followed. Listeners and
// handshakes that are not complete are none of them.
func byState(counts []int) map[string]int {
	out := map[string]int{}
	for _, s := range []tcpwire.State{
		tcpwire.Established, tcpwire.FinWait1, tcpwire.FinWait2, tcpwire.Closing, tcpwire.TimeWait, tcpwire.CloseWait, tcpwire.LastAck,
	} {
		out[s.String()] = counts[s]
	}
	return out
}
