package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/proxy/admin"
	"mtlsproxy/proxy/tcpwatch"
)

// socketsOptions are the flags of proxy sockets.
type socketsOptions struct {
	Ports  []uint16 // none: the running instance is asked
	Watch  bool
	Every  time.Duration
	Output string
}

// surveyEvery is the shortest pause between two looks: each walks the kernel's
// whole table of sockets, and whoever does that all the time slows the machine
// down.
const surveyEvery = 5 * time.Second

// maxSurveyPorts bounds how many ports are looked at in one go.
const maxSurveyPorts = 16

func newSocketsCommand() *cobra.Command {
	var o socketsOptions
	var ports []int
	cmd := &cobra.Command{
		Use:   "sockets [--port N]",
		Short: "show TCP sockets by state, and what a pile-up means",
		Long: `sockets shows in which of the eleven TCP states the sockets of the running instance
are: those accepted at its listeners, and those dialed to its upstreams. It says
which peers hold them, how full the accept queue is, and, where sockets pile up, what
that means and which setting mends it, with the value it has now.

With --port no instance is needed: it looks at the sockets of any local port, those
accepted at it, and those dialed to it from this machine. That needs no privilege,
and sees the sockets of every process of this network namespace.

Each look walks the kernel's whole table, so the shortest pause between two is 5s;
an instance that is asked sooner answers with what it saw last.`,
		Example: `  proxy sockets
  proxy sockets --watch
  proxy sockets -o json | jq .findings
  proxy sockets --port 8443 --port 8080`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(o.Output, "text", "json"); err != nil {
				return err
			}
			if err := o.set(ports); err != nil {
				return exitWith(exUsage, err)
			}
			if len(o.Ports) > 0 {
				return o.show(cmd, o.portSockets)
			}
			c, err := dialAdmin(cmd)
			if err != nil {
				return exitWith(exUnavailable, fmt.Errorf("%w\n       without an instance, `proxy sockets --port N` shows the sockets of any local port", err))
			}
			defer c.Close()
			return o.show(cmd, instanceSockets(c))
		},
	}
	addAdmin(cmd)
	cmd.Flags().IntSliceVarP(&ports, "port", "p", nil, "look at a port that is listened at, or dialed, and ask no instance; may be repeated")
	cmd.Flags().BoolVarP(&o.Watch, "watch", "w", false, "look again and again, until interrupted")
	cmd.Flags().DurationVar(&o.Every, "every", surveyEvery, "with --watch: how often, 5s at least")
	cmd.MarkFlagsMutuallyExclusive("port", "admin")
	addOutput(cmd, &o.Output, "text", "json")
	return cmd
}

func (o *socketsOptions) set(ports []int) error {
	if len(ports) > maxSurveyPorts {
		return fmt.Errorf("%d ports given, at most %d can be looked at", len(ports), maxSurveyPorts)
	}
	seen := make(map[int]bool)
	for _, p := range ports {
		if p < 1 || p > 65535 {
			return fmt.Errorf("--port %d is not between 1 and 65535", p)
		}
		if !seen[p] {
			seen[p] = true
			o.Ports = append(o.Ports, uint16(p))
		}
	}
	if o.Every < surveyEvery {
		return fmt.Errorf("--every %s is too often, each look walks all sockets of the kernel: at least %s", o.Every, surveyEvery)
	}
	return nil
}

// portSockets looks at the ports itself.
func (o *socketsOptions) portSockets(context.Context) (*admin.Sockets, error) {
	s, err := tcpwatch.SurveyPorts(o.Ports...)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, exitWith(exNoPerm, fmt.Errorf("looking at the sockets: %w", err))
	case err != nil:
		return nil, exitWith(exOSErr, fmt.Errorf("looking at the sockets: %w", err))
	}
	return socketsOf(s), nil
}

// instanceSockets asks the running instance.
func instanceSockets(c *admin.Client) func(context.Context) (*admin.Sockets, error) {
	return func(ctx context.Context) (*admin.Sockets, error) {
		s, err := c.Sockets(ctx)
		var p *admin.Problem
		switch {
		case err == nil:
			return s, nil
		case errors.As(err, &p) && p.Status == http.StatusNotFound:
			return nil, exitWith(exUnavailable, errors.New("the running instance is older than this command and cannot be asked\n       `proxy sockets --port N` shows the sockets of any local port"))
		case errors.As(err, &p) && p.Status >= http.StatusInternalServerError:
			return nil, exitWith(exOSErr, err)
		}
		return nil, adminError(err)
	}
}

// cmdContext is the context a command is run with.
func cmdContext(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// show looks, once or again and again, and writes what it saw.
func (o *socketsOptions) show(cmd *cobra.Command, look func(context.Context) (*admin.Sockets, error)) error {
	ctx, stop := signal.NotifyContext(cmdContext(cmd), os.Interrupt)
	defer stop()
	for first := true; ; first = false {
		s, err := look(ctx)
		if ctx.Err() != nil && !first {
			return nil // interrupted while it was asking
		}
		if err != nil {
			return err
		}
		switch {
		case o.Output == "json" && o.Watch:
			err = writeJSONLine(cmd.OutOrStdout(), s)
		case o.Output == "json":
			err = writeJSONTo(cmd.OutOrStdout(), s)
		default:
			err = printSockets(cmd.OutOrStdout(), s, o.Watch && !first)
		}
		if err != nil || !o.Watch {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(o.Every):
		}
	}
}
