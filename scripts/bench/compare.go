package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// run does what the options say and writes the results to standard output.
func (o *options) run(ctx context.Context) error {
	if o.from != "" {
		d, err := readDocument(o.from)
		if err != nil {
			return err
		}
		return o.print(os.Stdout, d)
	}
	tell := func(text string) { fmt.Fprintln(os.Stderr, text) }
	b, err := o.prepare(ctx, tell)
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if o.guard {
		return o.guardRun(ctx, b, os.Stdout, tell)
	}
	d, err := o.compare(ctx, b, tell)
	if err != nil {
		return err
	}
	if o.json != "" {
		if err := d.write(o.json); err != nil {
			return err
		}
	}
	return o.print(os.Stdout, d)
}

func (o *options) print(w io.Writer, d *document) error {
	if o.table {
		return d.table(w)
	}
	return d.report(w)
}

// prepare makes what all runs need: a directory, certificates, the proxy.
func (o *options) prepare(ctx context.Context, tell func(string)) (b *bench, err error) {
	b = &bench{size: o.size}
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	files, err := raiseFileLimit()
	if err != nil {
		return nil, err
	}
	// A proxied connection takes two files, and a program some for itself.
	if most := (files - 1000) / 2; b.size.conns > most {
		if most < 1 {
			return nil, fmt.Errorf("only %d files may be open, which is too few", files)
		}
		tell(fmt.Sprintf("%d idle connections in place of %d: only %d files may be open", most, b.size.conns, files))
		b.size.conns = most
	}
	if err := b.place(o.pinned); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp("", "bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(b.dir)
		}
	}()
	// A peer that gives up root still has to read its certificates.
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return nil, err
	}
	if b.base.pki, err = makePKI(b.dir); err != nil {
		return nil, err
	}
	b.base.Files, b.base.Conns = files, (files-500)/2
	b.base.Root = os.Getuid() == 0
	b.base.Bench = b.self
	if b.base.Proxy = o.proxy; o.proxy != "" {
		b.base.Proxy, err = filepath.Abs(o.proxy)
		return b, err
	}
	b.base.Proxy = filepath.Join(b.dir, "proxy")
	tell("building the proxy")
	return b, buildProxy(ctx, b.base.Proxy)
}

// compare measures every scenario on every peer that is installed.
func (o *options) compare(ctx context.Context, b *bench, tell func(string)) (*document, error) {
	present, missing := installed(o.peers, b.base)
	if o.install && len(missing) > 0 {
		if err := installPeers(ctx, missing, tell); err != nil {
			return nil, err
		}
		present, missing = installed(o.peers, b.base)
	}
	d := &document{Date: time.Now().UTC(), Machine: thisMachine(), Pinned: b.pinned(), Reference: o.reference}
	for _, p := range missing {
		tell("not installed, left out: " + p.name)
		d.Missing = append(d.Missing, p.name)
	}
	for _, p := range present {
		program, err := p.program(b.base)
		if err != nil {
			return nil, err
		}
		d.describe(p, program)
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		tell(fmt.Sprintf("peers on CPU %s, load on CPU %s; load average before: %s",
			cpuList(b.peerCPUs), cpuList(b.loadCPUs), strings.Join(strings.Fields(string(load))[:3], " ")))
	}

	limited, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	for _, s := range o.scenarios {
		rounds := o.rounds
		if s.rounds > 0 {
			rounds = min(rounds, s.rounds)
		}
		d.record(b.measure(limited, s, present, rounds, tell), b.sizeOf(s))
		if ctx.Err() != nil {
			return nil, errors.New("interrupted")
		}
		if d.Cut = limited.Err() != nil; d.Cut {
			tell(fmt.Sprintf("%v are over: this is what there is", o.limit))
			break
		}
	}
	return d, nil
}

// installed tells the peers whose program is there from the others.
func installed(peers []peer, s setting) (present, missing []peer) {
	for _, p := range peers {
		if _, err := p.program(s); err != nil {
			missing = append(missing, p)
			continue
		}
		if p.config == "nginx.conf" && s.Module("ngx_stream_module.so") == "" {
			missing = append(missing, p)
			continue
		}
		present = append(present, p)
	}
	return present, missing
}

// sizeOf says for the report how much a run does.
func (b *bench) sizeOf(s scenario) string {
	switch s.kind {
	case "down", "up":
		return fmt.Sprintf("%.3g GB a run", float64(b.size.bytes)/1e9)
	case "idle":
		return fmt.Sprintf("%d connections, held for %v", b.size.conns, b.size.hold)
	case "soak":
		return fmt.Sprintf("%d a second for %v", b.size.rate, b.size.soak)
	case "start":
		return "one start a run"
	default:
		return fmt.Sprintf("%v a run", b.size.duration)
	}
}

func (d *document) write(file string) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

func readDocument(file string) (*document, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return &d, nil
}
