package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"
)

// loadHandshakes connects, shakes hands, has one byte come back from the
// backend and closes in order, again and again.
func loadHandshakes(o *order, c *client) (outcome, error) {
	once := func(c *client, resumed bool) error {
		conn, err := c.open(time.Now().Add(patience))
		if err != nil {
			return err
		}
		state := conn.ConnectionState()
		end(conn)
		if resumed != state.DidResume {
			if resumed {
				return errNotResumed
			}
			return errResumed
		}
		_, err = agreed(state)
		return err
	}

	workers := make([]work, o.Workers)
	for i := range workers {
		mine := c
		if o.Resume {
			mine = c.resuming()
			if err := once(mine, false); err != nil { // gets the first ticket
				return outcome{}, err
			}
		}
		workers[i] = func() error { return once(mine, o.Resume) }
	}
	conn, err := c.open(time.Now().Add(patience))
	if err != nil {
		return outcome{}, err
	}
	suite, err := agreed(conn.ConnectionState())
	end(conn)
	if err != nil {
		return outcome{}, err
	}
	repeat(workers, o.Duration/10) // warm-up

	m, err := o.start()
	if err != nil {
		return outcome{}, err
	}
	out := repeat(workers, o.Duration)
	out.Agreed = suite
	return out, m.stop(&out)
}

// loadDown has the backend send a volume, in equal parts over a few connections.
func loadDown(o *order, c *client) (outcome, error) {
	buffers := make([][]byte, o.Workers)
	for i := range buffers {
		buffers[i] = make([]byte, 64<<10)
	}
	return relay(o, c, func(i int, conn *tls.Conn, part int64) error {
		if _, err := conn.Write(request(askSend, part)); err != nil {
			return err
		}
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(conn, part), buffers[i])
		return err
	})
}

// loadUp sends the volume; the backend's answer says that all of it arrived.
func loadUp(o *order, c *client) (outcome, error) {
	return relay(o, c, func(_ int, conn *tls.Conn, part int64) error {
		if _, err := conn.Write(request(askTake, part)); err != nil {
			return err
		}
		if err := send(conn, part); err != nil {
			return err
		}
		var one [1]byte
		_, err := io.ReadFull(conn, one[:])
		return err
	})
}

func relay(o *order, c *client, move func(i int, conn *tls.Conn, part int64) error) (outcome, error) {
	conns := make([]*tls.Conn, o.Workers)
	for i := range conns {
		conn, err := c.dial(time.Now().Add(maxDuration))
		if err != nil {
			return outcome{}, err
		}
		defer end(conn)
		conns[i] = conn
	}
	// Records and windows start small; neither is what a long transfer costs.
	const warmUp = 4 << 20
	all := func(part int64) error {
		return each(len(conns), len(conns), func(i int) error { return move(i, conns[i], part) })
	}
	if err := all(warmUp); err != nil {
		return outcome{}, err
	}
	m, err := o.start()
	if err != nil {
		return outcome{}, err
	}
	part := o.Bytes / int64(len(conns))
	if err := all(part); err != nil {
		return outcome{}, err
	}
	out := outcome{Done: part * int64(len(conns))}
	return out, m.stop(&out)
}

// loadRoundTrips sends messages of 64 bytes and waits for each to come back.
func loadRoundTrips(o *order, c *client) (outcome, error) {
	workers := make([]work, o.Workers)
	for i := range workers {
		conn, err := c.open(time.Now().Add(maxDuration))
		if err != nil {
			return outcome{}, err
		}
		defer end(conn)
		message := make([]byte, 64)
		workers[i] = func() error { return exchange(conn, message) }
	}
	repeat(workers, o.Duration/10)
	m, err := o.start()
	if err != nil {
		return outcome{}, err
	}
	out := repeat(workers, o.Duration)
	return out, m.stop(&out)
}

// loadIdle opens connections, uses each once, and then only holds them. Done
// counts the connections; CPU is what the peer spent while nothing happened.
func loadIdle(o *order, c *client) (outcome, error) {
	first, err := c.open(time.Now().Add(patience)) // what a peer sets up once is not a connection's
	if err != nil {
		return outcome{}, err
	}
	end(first)
	before, err := settle(o.Peer, 2*time.Second)
	if err != nil {
		return outcome{}, err
	}
	conns := make([]*tls.Conn, o.Conns)
	defer func() {
		for _, conn := range conns {
			if conn != nil {
				conn.NetConn().Close()
			}
		}
	}()
	err = each(o.Conns, o.Workers, func(i int) (err error) {
		conns[i], err = c.open(time.Now().Add(maxDuration))
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	m, err := o.start()
	if err != nil {
		return outcome{}, err
	}
	time.Sleep(o.Duration)
	out := outcome{Done: int64(o.Conns)}
	if err := m.stop(&out); err != nil {
		return out, err
	}
	// One connection still works, so what was measured was alive.
	if err := exchange(conns[0], make([]byte, 1)); err != nil {
		return out, fmt.Errorf("an idle connection, used again: %w", err)
	}
	after, err := readUsage(o.Peer)
	out.Resident = after.resident - before.resident
	return out, err
}

// soakSlices is how many parts a soak's account has: a cost that grows with
// what went before shows as a rise from the first to the last.
const soakSlices = 6

// loadSoak opens connections at a fixed rate, whether or not the earlier ones
// are done, each a full handshake. Source addresses take turns, so that a port
// that is not to be had is the peer's, on its way to its one upstream.
func loadSoak(o *order, c *client) (outcome, error) {
	var sources []*client
	for i := range 16 {
		sources = append(sources, c.from(netip.AddrFrom4([4]byte{127, 0, 1, byte(i + 1)})))
	}
	m, err := o.start()
	if err != nil {
		return outcome{}, err
	}
	var (
		out     outcome
		mu      sync.Mutex
		wg      sync.WaitGroup
		inHand  = make(chan struct{}, maxInHand)
		began   = time.Now()
		step    = time.Second / time.Duration(o.Rate)
		total   = int(o.Duration / step)
		last    = m.peer
		counted int64
	)
	fail := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		out.Failed++
		if out.Error == "" {
			out.Error = text
		}
	}
	cut := func() error {
		now, err := readUsage(o.Peer)
		if err != nil {
			return err
		}
		cpu, err := now.since(last)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		out.Slices = append(out.Slices, slice{Done: out.Done - counted, CPU: cpu})
		last, counted = now, out.Done
		return nil
	}
	for i := range total {
		time.Sleep(time.Until(began.Add(time.Duration(i) * step)))
		if i > 0 && i%max(1, total/soakSlices) == 0 && len(out.Slices) < soakSlices-1 {
			if err := cut(); err != nil {
				return out, err
			}
		}
		select {
		case inHand <- struct{}{}:
		default:
			fail(fmt.Sprintf("%d connections were still in hand", maxInHand))
			continue
		}
		wg.Go(func() {
			defer func() { <-inHand }()
			conn, err := sources[i%len(sources)].open(time.Now().Add(patience))
			if err != nil {
				fail(oneLine(err))
				return
			}
			end(conn)
			mu.Lock()
			out.Done++
			mu.Unlock()
		})
	}
	wg.Wait()
	if err := cut(); err != nil {
		return out, err
	}
	return out, m.stop(&out)
}
