package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs"
	"mtlsproxy/configs"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
)

// processStart is when this process began, near enough.
var processStart = time.Now()

func newRunCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [-c FILE]",
		Short: "run the proxy as a service",
		Long: `run opens the listeners of the configuration and serves until SIGTERM or SIGINT.
It then drains: no new connections, and the open ones may finish within
shutdown.timeout. A second signal stops at once. SIGHUP reloads.

The configuration is the file, over it the environment (MTLSPROXY_…), over it
the flags. The short flags alone are a complete configuration:

  proxy run --listen 127.0.0.1:8443 --upstream 127.0.0.1:9000 \
            --cert server.pem --key server-key.pem \
            --client-ca ca.pem --client-auth require`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			src, err := configSource(cmd)
			if err != nil {
				return err
			}
			return runService(cmd, src)
		},
	}
	addShortFlags(cmd)
	return cmd
}

// runService is `proxy run` from configuration to exit.
func runService(cmd *cobra.Command, src configs.Source) error {
	roomyHeap()
	signal.Ignore(syscall.SIGPIPE) // a reader of our output that goes away must not end us
	stderr := cmd.ErrOrStderr()
	loaded, p, err := loadPlan(stderr, src)
	if err != nil {
		return err
	}
	log, err := openLog(cmd, &loaded.Config.Logging)
	if err != nil {
		return err
	}
	defer log.close()

	door := newDoor(&loaded.Config.Inspect)
	log.Emit(processEvent(event.ProxyStart{Version: version, Go: runtime.Version(), Config: loaded.File, PID: os.Getpid()}))
	watched := newTelemetry(loaded.Config, p, log, door)
	listeners, err := openListeners(p, watched.sink(door.sink(log)))
	if err != nil {
		return err
	}
	svc := &service{src: src, loaded: loaded, plan: p, log: log, server: proxy.NewServer(listeners...), sockets: door.sockets, telemetry: watched}
	svc.sockets.use(loaded, p)
	watched.count(svc.server)
	watched.use(p)
	defer func() { svc.plan.unwatchTCP(0) }()
	signals := heedSignals() // before ready is told: who reads it may signal at once
	defer signal.Stop(signals)
	ready := svc.ready(p, listeners)
	if err := door.open(adminSockets(&loaded.Config.Admin), svc.info(ready), log); err != nil {
		return err
	}
	defer door.close()
	if ready.Telemetry, err = watched.open(); err != nil {
		return err
	}
	defer watched.close()
	log.Emit(processEvent(ready))
	return svc.serve(p, signals)
}

// heedSignals returns the signals with which we are asked to end or to reload.
func heedSignals() chan os.Signal {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	return signals
}

// loadPlan reads the configuration and the files it names. What is wrong is
// written to stderr, all of it at once.
func loadPlan(stderr io.Writer, src configs.Source) (*configs.Loaded, *plan, error) {
	if src.File == "" && len(src.Flags) == 0 && !hasVariables(src.Environ) {
		return nil, nil, exitWith(exConfig, errors.New(
			"no configuration: give -c FILE, or --listen, --upstream, --cert, --key and --client-ca; `proxy config init` writes a file to start from"))
	}
	loaded, err := configs.Load(src)
	var bad *configs.Error
	switch {
	case errors.As(err, &bad):
		return nil, nil, reportFindings(stderr, bad.Findings)
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, exitWith(exNoPerm, fmt.Errorf("%w\n       %s", err, unreadableHint(src.File)))
	case err != nil:
		return nil, nil, exitWith(exNoInput, err)
	}
	p, findings := makePlan(loaded.Config, nil)
	for i, f := range findings {
		findings[i] = loaded.Locate(f)
	}
	findings = append(findings, loaded.Warnings...)
	configs.SortFindings(findings)
	if p == nil {
		return nil, nil, reportFindings(stderr, findings)
	}
	for _, f := range findings {
		fmt.Fprintln(stderr, f)
	}
	return loaded, p, nil
}

// unreadableHint says what to do about a configuration that may not be read. Who
// did not name it may not know that it is looked for in another user's home.
func unreadableHint(path string) string {
	hint := "make it readable for the user the proxy runs as"
	if home := os.Getenv("HOME"); home != "" && strings.HasPrefix(path, home+"/") {
		hint += ", give another with -c, or set HOME, which is now " + home
	}
	return hint
}

// reportFindings writes the findings and returns the error that ends the process.
func reportFindings(w io.Writer, findings []configs.Finding) error {
	for _, f := range findings {
		fmt.Fprintln(w, f)
	}
	errs, warnings := configs.Count(findings)
	fmt.Fprintf(w, "%s, %s\n", plural(errs, "error"), plural(warnings, "warning"))
	return exitWith(exConfig, nil)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// hasVariables tells whether the environment holds settings of ours.
func hasVariables(environ []string) bool {
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "MTLSPROXY_") && name != "MTLSPROXY_ADMIN" && value != "" {
			return true
		}
	}
	return false
}

// openListeners opens every listener of the plan, or none.
func openListeners(p *plan, log event.Sink) ([]*proxy.Listener, error) {
	undo := func() {
		for i := range p.listeners {
			if ln := p.listeners[i].open; ln != nil {
				ln.Close()
			}
		}
		p.unwatchTCP(0)
	}
	for i := range p.listeners {
		pl := &p.listeners[i]
		ln, options, err := sockopt.Listen(context.Background(), pl.network, pl.address, pl.socket)
		if err != nil {
			undo()
			return nil, listenError(*pl, err)
		}
		pl.open = ln
		tellOptions(log, event.SocketOptions{Listener: pl.name}, options)
		pl.settings.Effective = effective(options)
	}
	for _, u := range p.upstreams() {
		options, err := sockopt.Check(u.Addresses[0].Network, sockopt.Upstream, u.Socket)
		if err != nil {
			undo()
			return nil, exitWith(exOSErr, fmt.Errorf("upstream %s: %w", u.Name, err))
		}
		tellOptions(log, event.SocketOptions{Upstream: u.Name}, options)
	}
	if _, err := p.watchTCP(log); err != nil {
		undo()
		return nil, err
	}
	var open []*proxy.Listener
	for i := range p.listeners {
		pl := &p.listeners[i]
		l, err := proxy.NewListener(pl.name, pl.open, pl.settings, log)
		if err != nil {
			undo()
			return nil, exitWith(exConfig, fmt.Errorf("listener %s: %w", pl.name, err))
		}
		open = append(open, l)
	}
	for _, body := range p.news {
		log.Emit(processEvent(body))
	}
	return open, nil
}

// listenError says what to do about a listener that cannot be opened, and gives
// it its exit code.
func listenError(pl plannedListener, err error) error {
	hint, code := "", exOSErr
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "another program holds the address; `ss -ltnp` names it"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "no interface of this machine has the address"
	case errors.Is(err, fs.ErrPermission):
		hint, code = "use a port from 1024 up, or lower net.ipv4.ip_unprivileged_port_start, or grant CAP_NET_BIND_SERVICE", exNoPerm
		if pl.network == "unix" {
			hint = "this user may not create the socket's file there"
		}
	}
	err = fmt.Errorf("listener %s: %w", pl.name, err)
	if hint != "" {
		err = fmt.Errorf("%w\n       %s", err, hint)
	}
	return exitWith(code, err)
}

// tellOptions tells what the kernel made of the socket options: one line of all
// that was asked for, and one for each refusal.
func tellOptions(log event.Sink, table event.SocketOptions, options []sockopt.Setting) {
	for _, o := range options {
		line := event.SocketOption{
			Listener: table.Listener, Upstream: table.Upstream, Object: string(o.Object), Option: o.Name, Key: o.Key,
			Asked: o.Asked, Got: o.Effective, Need: o.Need, Note: o.Note,
		}
		if o.Err != nil {
			line.Err = o.Err.Error()
			log.Emit(processEvent(line))
		}
		if o.Asked != "" {
			table.Object = line.Object
			table.Options = append(table.Options, line)
		}
	}
	if len(table.Options) > 0 {
		log.Emit(processEvent(table))
	}
}

// effective returns what the kernel made of the options that were asked for.
func effective(options []sockopt.Setting) []string {
	var out []string
	for _, o := range options {
		if o.Asked != "" && o.Effective != "" {
			out = append(out, o.Key+"="+o.Effective)
		}
	}
	return out
}

func processEvent(body event.Body) event.Event { return event.Event{Time: time.Now(), Body: body} }

// service is a running proxy.
type service struct {
	src       configs.Source
	loaded    *configs.Loaded
	plan      *plan
	log       *logOutput
	server    *proxy.Server
	sockets   *ownSockets
	telemetry *telemetry // nil where none is served
}

// tell tells what is about the process as a whole, to the log and to who counts.
func (svc *service) tell(body event.Body) { svc.telemetry.sink(svc.log).Emit(processEvent(body)) }

func (svc *service) ready(p *plan, listeners []*proxy.Listener) event.ProxyReady {
	body := event.ProxyReady{Duration: time.Since(processStart)}
	for i, l := range listeners {
		address := l.Addr().String()
		if p.listeners[i].network == "unix" {
			address = "unix:" + address
		}
		body.Listeners = append(body.Listeners, event.ListenerReady{
			Name: l.Name(), Address: address, Upstream: p.listeners[i].settings.Upstream.Name,
			ClientAuth: p.listeners[i].settings.ClientAuth.Mode.String(),
		})
	}
	return body
}

// serve runs until a signal says to stop, and returns the error that the process
// ends with.
func (svc *service) serve(p *plan, signals <-chan os.Signal) error {
	accepting, stopAccepting := context.WithCancel(context.Background())
	defer stopAccepting()
	served := make(chan error, 1)
	go func() { served <- svc.server.Serve(accepting) }()

	files := svc.watch(accepting, p.files, certs.Look{})
	for {
		select {
		case err := <-served:
			return exitWith(exOSErr, fmt.Errorf("a listener broke: %w", err))
		case <-files.Changes():
			files = files.reload("file")
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				return svc.shutdown(signals, stopAccepting)
			}
			svc.log.reopen()
			files = files.reload("signal")
		}
	}
}

// shutdown drains the connections and stops. A second signal ends it at once;
// one to reload is not heard any more.
func (svc *service) shutdown(signals <-chan os.Signal, stopAccepting func()) error {
	began := time.Now()
	how := svc.loaded.Config.Shutdown
	hard := make(chan struct{})
	go func() {
		for sig := range signals {
			if sig != syscall.SIGHUP {
				close(hard)
				return
			}
		}
	}()
	svc.telemetry.drain()
	select {
	case <-time.After(how.Delay):
	case <-hard:
		return svc.stopped(began, 0, svc.server.Active(), exInterrupted)
	}
	stopAccepting()
	active := svc.server.Active()
	svc.tell(event.ProxyDraining{Active: active, Timeout: how.Timeout})

	ctx, cancel := context.WithTimeout(context.Background(), how.Timeout)
	defer cancel()
	drained := make(chan int, 1)
	go func() { drained <- svc.server.Shutdown(ctx) }()
	select {
	case cut := <-drained:
		code := exOK
		if cut > 0 {
			code = exTempFail
		}
		return svc.stopped(began, active-cut, cut, code)
	case <-hard:
		return svc.stopped(began, 0, svc.server.Active(), exInterrupted)
	}
}

// settleFor is how long a stop waits for what the kernel is about to finish. It
// is more than a tier needs to say what it saw, and goes unnoticed.
const settleFor = 300 * time.Millisecond

// stopped writes the last line and returns what the process ends with.
func (svc *service) stopped(began time.Time, drained, cut, code int) error {
	settle := settleFor
	if code == exInterrupted {
		settle = 0
	}
	pending := svc.plan.unwatchTCP(settle)
	svc.log.Emit(processEvent(event.ProxyStop{Drained: max(drained, 0), Cut: cut, Pending: pending, Duration: time.Since(began)}))
	if code == exOK {
		return nil
	}
	return exitWith(code, nil)
}
