package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

// order is one run of load, as the runner gives it to the load generator on
// standard input.
type order struct {
	Kind     string // one of loads
	Address  string // of the peer
	Peer     int    // its process
	Backend  int    // the backend's
	PKI      pki
	Version  uint16        // tls.VersionTLS12 or 13
	Resume   bool          // handshakes: after the first of each worker
	Workers  int           // operations in flight; connections that carry data
	Duration time.Duration // of what is counted
	Bytes    int64         // relay: in all
	Conns    int           // idle
	Rate     int           // soak: new connections a second
}

// outcome is what came of it. CPU is the peer's.
type outcome struct {
	Done     int64         `json:"done"` // operations, or bytes
	Failed   int64         `json:"failed,omitempty"`
	Error    string        `json:"error,omitempty"` // the first
	Elapsed  time.Duration `json:"elapsed"`
	CPU      time.Duration `json:"cpu"`
	Others   float64       `json:"others"` // CPUs that the rest of the machine kept busy
	P50      time.Duration `json:"p50,omitempty"`
	P99      time.Duration `json:"p99,omitempty"`
	Resident int64         `json:"resident,omitempty"` // bytes, idle: what the connections added
	Slices   []slice       `json:"slices,omitempty"`   // soak
	Agreed   string        `json:"agreed,omitempty"`   // version and cipher suite
}

// slice is a part of a soak.
type slice struct {
	Done int64         `json:"done"`
	CPU  time.Duration `json:"cpu"`
}

var loads = map[string]func(*order, *client) (outcome, error){
	"handshake": loadHandshakes,
	"down":      loadDown,
	"up":        loadUp,
	"roundtrip": loadRoundTrips,
	"idle":      loadIdle,
	"soak":      loadSoak,
}

// runLoad is the load generator: a process of its own, so that its CPU and its
// memory are not the runner's.
func runLoad() error {
	debug.SetGCPercent(400) // its own garbage is not what is measured
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return fmt.Errorf("reading the order: %w", err)
	}
	if err := o.check(); err != nil {
		return err
	}
	c, err := newClient(o.Address, o.Version, o.PKI.ClientCert, o.PKI.ClientKey)
	if err != nil {
		return err
	}
	out, err := loads[o.Kind](&o, c)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

func (o *order) check() error {
	if loads[o.Kind] == nil {
		return fmt.Errorf("no load is called %q", o.Kind)
	}
	return errors.Join(
		requireWithin("workers", o.Workers, 1, maxWorkers),
		requireWithin("duration", o.Duration, time.Millisecond, maxDuration),
		requireWithin("bytes", o.Bytes, 0, maxBytes),
		requireWithin("connections", o.Conns, 0, maxConns),
		requireWithin("rate", o.Rate, 0, maxRate),
	)
}

// meter reads what the peer and the machine spend between start and stop.
type meter struct {
	order   *order
	began   time.Time
	peer    usage
	machine time.Duration
	known   time.Duration // of machine: the load generator's and the backend's
}

func (o *order) start() (*meter, error) {
	peer, err := settle(o.Peer, 2*time.Second)
	if err != nil {
		return nil, err
	}
	m := &meter{order: o, peer: peer}
	if m.machine, m.known, err = m.surroundings(); err != nil {
		return nil, err
	}
	m.began = time.Now()
	return m, nil
}

// stop waits until the peer is done with what it was given, so that the CPU time
// is that of exactly the operations counted, and fills it in.
func (m *meter) stop(out *outcome) error {
	out.Elapsed = time.Since(m.began)
	peer, err := settle(m.order.Peer, 2*time.Second)
	if err != nil {
		return err
	}
	if out.CPU, err = peer.since(m.peer); err != nil {
		return err
	}
	machine, known, err := m.surroundings()
	if err != nil {
		return err
	}
	others := machine - m.machine - (known - m.known) - out.CPU
	out.Others = max(0, others.Seconds()/time.Since(m.began).Seconds())
	return nil
}

func (m *meter) surroundings() (machine, known time.Duration, err error) {
	if machine, err = machineBusy(); err != nil {
		return 0, 0, err
	}
	for _, pid := range []int{os.Getpid(), m.order.Backend} {
		cpu, err := cpuTime(pid)
		if err != nil {
			return 0, 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
		}
		known += cpu
	}
	return machine, known, nil
}

// work is what one worker does; each call is one operation.
type work func() error

// repeat has every worker do its operation again and again for the time given;
// what has begun then is finished, and counts.
func repeat(workers []work, duration time.Duration) outcome {
	var (
		mu     sync.Mutex
		out    outcome
		all    []time.Duration
		wg     sync.WaitGroup
		finish = time.Now().Add(duration)
	)
	for _, do := range workers {
		wg.Go(func() {
			var took []time.Duration
			var failed int64
			var first error
			for began := time.Now(); began.Before(finish); {
				err := do()
				now := time.Now()
				if err != nil {
					failed++
					if first == nil {
						first = err
					}
					time.Sleep(10 * time.Millisecond) // what is broken is not hammered
					now = time.Now()
				} else {
					took = append(took, now.Sub(began))
				}
				began = now
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			out.Done += int64(len(took))
			out.Failed += failed
			if out.Error == "" && first != nil {
				out.Error = oneLine(first)
			}
		})
	}
	wg.Wait()
	slices.Sort(all)
	out.P50, out.P99 = percentile(all, 0.50), percentile(all, 0.99)
	return out
}

// each runs f for 0 to n-1, width at a time, and returns the first error.
func each(n, width int, f func(i int) error) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		next  int
	)
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		i := next
		next++
		return i, i < n && first == nil
	}
	for range min(n, width) {
		wg.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				if err := f(i); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return first
}

func oneLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}
