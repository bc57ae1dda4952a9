package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// bench is what all runs of one call share.
type bench struct {
	self     string // this program
	dir      string // temporary, removed at the end
	base     setting
	peerCPUs []int
	loadCPUs []int
	size     size
	runs     int
}

// size says how much one run does.
type size struct {
	duration time.Duration // counted, of handshakes and round trips
	bytes    int64         // relayed
	conns    int           // idle
	hold     time.Duration // how long they are held
	soak     time.Duration
	rate     int // of the soak, connections a second
}

// run starts a peer and a backend of its own, has the scenario's load work on
// it, stops both, and returns the figures, and a note if some operations of a soak
// failed. Fresh processes on fresh ports mean
// that no run pays for another's memory, tickets or ports in TIME_WAIT.
func (b *bench) run(ctx context.Context, p peer, s scenario) (f figures, note string, err error) {
	b.runs++
	dir := filepath.Join(b.dir, fmt.Sprintf("run%d", b.runs))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(dir) // logs of a long benchmark would fill the disk
	backend, upstream, err := startBackend(b.self, dir, b.loadCPUs)
	if err != nil {
		return nil, "", err
	}
	defer backend.stop()

	began := time.Now()
	proxy, address, err := b.startPeer(p, dir, upstream)
	if err != nil {
		return nil, "", err
	}
	defer proxy.stop()
	defer func() {
		if gone := proxy.ended(); err != nil && gone != nil {
			err = errors.Join(err, gone)
		}
	}()
	first, err := b.awaitFirstByte(ctx, proxy, address)
	if err != nil {
		return nil, "", fmt.Errorf("waiting for the first byte: %w", err)
	}
	if s.kind == "start" {
		f, err = b.startFigures(proxy, first.Sub(began))
		return f, "", err
	}
	o := b.order(s)
	o.Address, o.Peer, o.Backend = address, proxy.pid(), backend.pid()
	out, err := placeOrder(ctx, b.self, dir, b.loadCPUs, o)
	if err != nil {
		return nil, "", err
	}
	f, err = s.figures(out)
	if err == nil && s.kind == "soak" && out.Failed > 0 {
		note = fmt.Sprintf("%d of %d connections failed, the first with: %s", out.Failed, out.Failed+out.Done, out.Error)
	}
	return f, note, err
}

func (b *bench) startPeer(p peer, dir, upstream string) (*child, string, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	s := b.base
	s.Dir, s.Listen, s.Upstream = dir, address, upstream
	s.Host, s.Port, _ = net.SplitHostPort(address)
	_, s.UpstreamPort, _ = net.SplitHostPort(upstream)
	if err := p.writeConfig(&s); err != nil {
		return nil, "", err
	}
	args, err := p.arguments(s)
	if err != nil {
		return nil, "", err
	}
	if args[0], err = p.program(s); err != nil {
		return nil, "", err
	}
	c, err := startChild(p.name, dir, b.peerCPUs, nil, args...)
	return c, address, err
}

// order is the load of a scenario in this call's size.
func (b *bench) order(s scenario) order {
	o := order{
		Kind: s.kind, Version: s.version, Resume: s.resume, Workers: s.workers,
		PKI: b.base.pki, Duration: b.size.duration, Bytes: b.size.bytes,
	}
	switch s.kind {
	case "idle":
		o.Conns, o.Duration = b.size.conns, b.size.hold
	case "soak":
		o.Rate, o.Duration = b.size.rate, b.size.soak
	}
	return o
}

// freeAddress is a loopback address with a port that nobody holds. Someone may
// take it before the peer does; the peer then ends, and says so.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// awaitFirstByte tries until one byte came back from the backend, and returns
// when it did.
func (b *bench) awaitFirstByte(ctx context.Context, proxy *child, address string) (time.Time, error) {
	c, err := newClient(address, versionOfStart, b.base.pki.ClientCert, b.base.pki.ClientKey)
	if err != nil {
		return time.Time{}, err
	}
	// Here, and only here, the certificate is verified: what answers is the peer.
	c.config.InsecureSkipVerify = false
	if c.config.RootCAs, err = loadPool(b.base.pki.CA); err != nil {
		return time.Time{}, err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(500 * time.Microsecond) {
		conn, err := c.open(deadline)
		if err == nil {
			now := time.Now()
			end(conn)
			return now, nil
		}
		if gone := proxy.ended(); gone != nil {
			return time.Time{}, gone
		}
		if ctx.Err() != nil {
			return time.Time{}, context.Cause(ctx)
		}
		if time.Now().After(deadline) {
			return time.Time{}, fmt.Errorf("%w; %s", err, lastWords(proxy.log))
		}
	}
}

func (b *bench) startFigures(proxy *child, took time.Duration) (figures, error) {
	u, err := settle(proxy.pid(), 2*time.Second)
	if err != nil {
		return nil, err
	}
	return figures{
		"start_ms": took.Seconds() * 1e3,
		"start_mb": float64(u.resident) / 1e6,
	}, nil
}

// buildProxy builds this project's program from the tree around the working
// directory, with its symbols, for whoever wants to look with perf.
func buildProxy(ctx context.Context, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", to, "mtlsproxy/cmd/proxy")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the proxy: %w\n%s", err, out)
	}
	return nil
}

// place decides which CPUs are whose. Pinned, the peer has one CPU with one
// worker and the load another; with one CPU alone there is nothing to pin.
func (b *bench) place(pinned bool) error {
	cpus, err := usableCPUs()
	if err != nil {
		return err
	}
	b.peerCPUs, b.loadCPUs = cpus, cpus
	if pinned && len(cpus) > 1 {
		b.peerCPUs, b.loadCPUs = cpus[:1], cpus[1:2]
		b.base.Workers = 1
	}
	return nil
}

func (b *bench) pinned() bool { return b.base.Workers == 1 }

func cpuList(cpus []int) string {
	text := ""
	for i, cpu := range cpus {
		if i > 0 {
			text += ","
		}
		text += strconv.Itoa(cpu)
	}
	return text
}
