package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/configs"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/admin"
	"mtlsproxy/proxy/event"
)

const (
	defaultDemoDir = ".mtls-demo"
	demoAddress    = "127.0.0.1:8443" // while it is free
)

// demoOptions are the flags of `proxy demo`. The zero value, with a directory,
// is what a bare `proxy` does.
type demoOptions struct {
	Scenarios    []string // by name; nil means the five that show the most
	NoTraffic    bool
	Dir          string
	UpstreamOnly bool
	PortFile     string
	JSON         bool
}

func newDemoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "run on loopback with throwaway certificates, and play handshakes, good and bad",
		Long: `demo makes a throwaway CA with a server certificate, one good client
certificate and a set of bad ones, starts a proxy in front of a built-in echo
service, plays handshakes against itself, and keeps serving until Ctrl-C.

Everything stays on loopback and in one directory. The certificates are valid
for a day and used again while they last. Nothing is installed anywhere.

Off a terminal the first line on standard output is a JSON object whose event is
demo.ready; the log follows on standard error, one JSON object a line.`,
		Example: `  proxy demo --scenario ok,resumed,tls12
  proxy demo --no-traffic --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd, o) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Scenarios, "scenario", nil, "what to play, separated by commas: all, or any of "+strings.Join(scenarioNames(), ", "))
	f.BoolVar(&o.NoTraffic, "no-traffic", false, "play nothing, only serve")
	f.StringVar(&o.Dir, "dir", defaultDemoDir, "where the certificates are kept")
	f.BoolVar(&o.UpstreamOnly, "upstream-only", false, "run only the echo service, without certificates and proxy")
	f.StringVar(&o.PortFile, "port-file", "", "write the address of the proxy (of the echo service with --upstream-only) to this file")
	f.BoolVar(&o.JSON, "json", false, "write JSON lines also on a terminal")
	cmd.MarkFlagsMutuallyExclusive("scenario", "no-traffic")
	cmd.MarkFlagsMutuallyExclusive("scenario", "upstream-only")
	return cmd
}

// runDemo is `proxy demo` from its flags to its exit.
func runDemo(cmd *cobra.Command, o demoOptions) error {
	for _, name := range []string{"config", "set"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			return exitWith(exUsage, fmt.Errorf("the demo takes no configuration; with --%s you want `proxy run`", name))
		}
	}
	play, err := chooseScenarios(o)
	if err != nil {
		return exitWith(exUsage, err)
	}
	signal.Ignore(syscall.SIGPIPE)
	signals := heedSignals() // here SIGHUP is a terminal that was closed
	defer signal.Stop(signals)

	upstream, err := startEchoUpstream()
	if err != nil {
		return exitWith(exOSErr, fmt.Errorf("starting the echo service: %w", err))
	}
	defer upstream.stop()
	d := &demo{cmd: cmd, options: o, out: newDemoOutput(cmd, o), upstream: upstream}
	if o.UpstreamOnly {
		return d.serveUpstream(signals)
	}
	if d.files, err = openDemoFiles(filepath.Clean(o.Dir)); err != nil {
		return err
	}
	if err := d.start(); err != nil {
		return err
	}
	defer d.svc.log.close()
	defer d.svc.plan.unwatchTCP(0)
	defer d.door.close()
	return d.serve(play, signals)
}

// demo is a running demo.
type demo struct {
	cmd      *cobra.Command
	options  demoOptions
	out      demoOutput
	upstream *echoUpstream
	files    *demoFiles
	address  string // of the proxy
	moved    bool   // the usual port was taken
	svc      *service
	door     *door
	tally    *demoTally
}

// serveUpstream runs the echo service alone.
func (d *demo) serveUpstream(signals <-chan os.Signal) error {
	address := d.upstream.addr()
	if err := writePortFile(d.options.PortFile, address); err != nil {
		return err
	}
	d.out.readyUpstream(address)
	<-signals
	return nil
}

// start opens the proxy. Its configuration is made of the same keys and goes the
// same way as that of `proxy run`.
func (d *demo) start() error {
	loaded, err := configs.Load(configs.Source{Flags: d.settings()})
	if err != nil {
		return exitWith(exNo, fmt.Errorf("the demo's own settings: %w", err))
	}
	p, findings := makePlan(loaded.Config, nil)
	if p == nil {
		return reportFindings(d.cmd.ErrOrStderr(), findings)
	}
	log, err := openLog(d.cmd, &loaded.Config.Logging)
	if err != nil {
		return err
	}
	d.tally = newDemoTally()
	d.door = newDoor(&loaded.Config.Inspect)
	told := d.door.sink(event.Tee(d.out.sift(log), d.tally))
	told.Emit(processEvent(event.ProxyStart{Version: version, Go: runtime.Version(), PID: os.Getpid()}))
	listeners, err := d.open(p, told)
	if err != nil {
		log.close()
		return err
	}
	d.svc = &service{loaded: loaded, plan: p, log: log, server: proxy.NewServer(listeners...), sockets: d.door.sockets}
	d.svc.sockets.use(loaded, p)
	d.address = listeners[0].Addr().String()
	ready := d.svc.ready(p, listeners)
	// Two doors: one that is found without being told where, and one of its own
	// for a second demo beside it.
	own := admin.Socket{Path: d.files.path("admin.sock"), From: "the demo's directory"}
	if err := d.door.open(append(adminSockets(&loaded.Config.Admin), own), d.svc.info(ready), log); err != nil {
		log.close()
		return err
	}
	told.Emit(processEvent(ready))
	return nil
}

// settings is the demo's configuration.
func (d *demo) settings() []configs.Flag {
	format := "auto"
	if d.out.json {
		format = "json"
	}
	var flags []configs.Flag
	for _, s := range [][2]string{
		{"listeners.main.address", demoAddress},
		{"listeners.main.upstream", "echo"},
		{"listeners.main.tls.certificates.default.cert", d.files.path("server.pem")},
		{"listeners.main.tls.certificates.default.key", d.files.path("server-key.pem")},
		{"listeners.main.client_auth.mode", "require"},
		{"listeners.main.client_auth.ca", d.files.path("ca.pem")},
		{"upstreams.echo.address", d.upstream.addr()},
		{"logging.format", format},
		{"logging.probes", "info"}, // who tries things out wants to see everything that comes
		{"shutdown.timeout", "5s"},
	} {
		flags = append(flags, configs.Flag{Name: "demo", Key: s[0], Value: s[1]})
	}
	return flags
}

// open opens the listener, on a free port if the usual one is taken.
func (d *demo) open(p *plan, told event.Sink) ([]*proxy.Listener, error) {
	const tries = 5
	for range tries {
		if !freeOnIPv6(p.listeners[0].address) {
			d.moved = true
			p.listeners[0].address = "127.0.0.1:0"
		}
		listeners, err := openListeners(p, told)
		if errors.Is(err, syscall.EADDRINUSE) && !d.moved {
			d.moved = true
			p.listeners[0].address = "127.0.0.1:0"
			continue
		}
		if err != nil || freeOnIPv6(listeners[0].Addr().String()) {
			return listeners, err
		}
		proxy.NewServer(listeners...).Shutdown(context.Background())
		p.unwatchTCP(0)
	}
	return nil, exitWith(exOSErr, errors.New("no port is free on both 127.0.0.1 and ::1"))
}

// freeOnIPv6 tells whether nobody listens on the same port of ::1. A client that
// is given "localhost" tries that address first, and would speak to the wrong
// server. Where there is no IPv6, nobody does.
func freeOnIPv6(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err != nil || port == "0" {
		return true
	}
	ln, err := net.Listen("tcp6", net.JoinHostPort("::1", port))
	if err != nil {
		return !errors.Is(err, syscall.EADDRINUSE)
	}
	ln.Close()
	return true
}

// serve plays the scenarios and goes on serving until a signal, then drains.
func (d *demo) serve(play []scenario, signals <-chan os.Signal) error {
	accepting, stopAccepting := context.WithCancel(context.Background())
	defer stopAccepting()
	served := make(chan error, 1)
	go func() { served <- d.svc.server.Serve(accepting) }()

	if err := writePortFile(d.options.PortFile, d.address); err != nil {
		return err
	}
	d.out.ready(d)
	playing, stopPlaying := context.WithCancel(accepting)
	defer stopPlaying()
	played := make(chan struct{})
	go func() {
		defer close(played)
		d.play(playing, play)
	}()

	select {
	case err := <-served:
		return exitWith(exOSErr, fmt.Errorf("the listener broke: %w", err))
	case <-signals:
	}
	stopPlaying()
	<-played
	err := d.svc.shutdown(signals, stopAccepting)
	d.svc.log.close()
	d.out.done(d.tally)
	return err
}

// play plays the scenarios one after the other, so that their lines in the log
// do not mix. What did not go as it should is a fault of ours and said as such.
func (d *demo) play(ctx context.Context, scenarios []scenario) {
	p := player{address: d.address, files: d.files, tally: d.tally}
	for _, s := range scenarios {
		if err := s.play(ctx, &p); err != nil && ctx.Err() == nil {
			fmt.Fprintf(d.cmd.ErrOrStderr(), "proxy: scenario %s: %v\n", s.name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if d.svc.log.Flush(ctx) == nil {
		d.out.played(len(scenarios))
	}
}

// writePortFile writes an address to a file that appears whole or not at all.
func writePortFile(path, address string) error {
	if path == "" {
		return nil
	}
	if err := writeFileAtomic(path, []byte(address+"\n"), 0o644); err != nil {
		return exitWith(exCantCreat, fmt.Errorf("--port-file: %w", err))
	}
	return nil
}

// writeFileAtomic replaces a file, so that a reader sees the old content or all of
// the new.
func writeFileAtomic(path string, data []byte, mode os.FileMode) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
