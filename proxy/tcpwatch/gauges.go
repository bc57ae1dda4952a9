package tcpwatch

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Gauge is the accept queue of one listener.
type Gauge struct {
	Name string
	QueueLength
	Peak int // the greatest Length seen since the last call of Gauges
}

// gauges are the queues and the kernel's counters, as they were read last.
type gauges struct {
	mu        sync.Mutex // protects what follows
	listeners []*gauged
	first     Counters // at the start
	last      Counters
}

type gauged struct {
	Gauge
	ln net.Listener
}

// Listen reads the accept queue of a listener from now on, until it is closed.
func (w *Watcher) Listen(name string, ln net.Listener) error {
	q, err := Queue(ln)
	if err != nil {
		return err
	}
	w.gauges.mu.Lock()
	w.gauges.listeners = append(w.gauges.listeners, &gauged{Gauge{name, q, q.Length}, ln})
	if w.gauges.first == nil {
		w.gauges.first, _ = ReadCounters()
		w.gauges.last = w.gauges.first
	}
	w.gauges.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gauge > 0 && w.nextRead.IsZero() {
		w.nextRead = time.Now().Add(w.gauge)
		w.rouse(w.nextRead)
	}
	return nil
}

// Gauges returns the listeners' accept queues as they were read last.
func (w *Watcher) Gauges() []Gauge {
	w.gauges.mu.Lock()
	defer w.gauges.mu.Unlock()
	all := make([]Gauge, 0, len(w.gauges.listeners))
	for _, g := range w.gauges.listeners {
		all = append(all, g.Gauge)
		g.Peak = g.Length
	}
	return all
}

// Counters returns by how much the kernel's counters have grown since the first
// call of Listen, those that did not left out. They are of the network namespace,
// not of a listener.
func (w *Watcher) Counters() Counters {
	w.gauges.mu.Lock()
	defer w.gauges.mu.Unlock()
	return w.gauges.last.Since(w.gauges.first)
}

// readGauges reads them when it is time.
func (w *Watcher) readGauges(now time.Time) {
	w.mu.Lock()
	if w.nextRead.IsZero() || w.nextRead.After(now) {
		w.mu.Unlock()
		return
	}
	w.nextRead = now.Add(w.gauge)
	w.mu.Unlock()

	counters, err := ReadCounters()
	w.gauges.mu.Lock()
	open := w.gauges.listeners[:0]
	for _, g := range w.gauges.listeners {
		if q, err := Queue(g.ln); err == nil {
			g.QueueLength, g.Peak = q, max(g.Peak, q.Length)
			open = append(open, g)
		}
	}
	clear(w.gauges.listeners[len(open):])
	w.gauges.listeners = open
	if err == nil {
		w.gauges.last = counters
	}
	none := len(open) == 0
	w.gauges.mu.Unlock()
	if none { // nobody listens any more: no need to wake up for it
		w.mu.Lock()
		w.nextRead = time.Time{}
		w.mu.Unlock()
	}
}

// Counters are the kernel's counters of what goes wrong with TCP connections, by
// the names of /proc/net/netstat.
type Counters map[string]uint64

// wanted are the counters that say something about a server's connections.
var wanted = map[string]bool{
	"ListenOverflows": true, "ListenDrops": true, "TCPReqQFullDoCookies": true, "TCPReqQFullDrop": true,
	"SyncookiesSent": true, "SyncookiesRecv": true, "SyncookiesFailed": true,
	"TCPTimeouts": true, "TCPSynRetrans": true,
	"TCPAbortOnData": true, "TCPAbortOnClose": true, "TCPAbortOnLinger": true, "TCPAbortOnTimeout": true,
	"TCPTimeWaitOverflow": true, "TCPFastOpenPassive": true,
}

// netstatPath is the calling thread's namespace. /proc/self is the main thread's.
const netstatPath = "/proc/thread-self/net/netstat"

// ReadCounters reads the counters of this network namespace, which start at 0
// when it is made.
func ReadCounters() (Counters, error) {
	b, err := os.ReadFile(netstatPath)
	if err != nil {
		return nil, err
	}
	return parseNetstat(b), nil
}

// parseNetstat reads pairs of lines: the names, then the values.
func parseNetstat(b []byte) Counters {
	c := make(Counters, len(wanted))
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		names := strings.Fields(lines.Text())
		if !lines.Scan() {
			break
		}
		values := strings.Fields(lines.Text())
		if len(names) == 0 || len(values) != len(names) || names[0] != values[0] {
			continue
		}
		for i, name := range names {
			if v, err := strconv.ParseUint(values[i], 10, 64); err == nil && wanted[name] {
				c[name] = v
			}
		}
	}
	return c
}

// Since returns by how much the counters have grown; those that did not are left
// out.
func (c Counters) Since(earlier Counters) Counters {
	grown := make(Counters)
	for name, v := range c {
		if v > earlier[name] {
			grown[name] = v - earlier[name]
		}
	}
	return grown
}
