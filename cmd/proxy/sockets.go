package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/proxy/tcpwatch"
)

// socketsOptions are the flags of proxy sockets.
type socketsOptions struct {
	Ports  []uint16
	Watch  bool
	Every  time.Duration
	Output string
}

// minSurvey is the shortest pause between two looks: each walks the kernel's
// whole table of sockets.
const minSurvey = time.Second

// maxSurveyPorts bounds how many ports are looked at in one go.
const maxSurveyPorts = 16

func newSocketsCommand() *cobra.Command {
	var o socketsOptions
	var ports []int
	cmd := &cobra.Command{
		Use:   "sockets --port N",
		Short: "show a port's TCP sockets by state, and what a pile-up means",
		Long: `sockets shows in which of the eleven TCP states the sockets of a port are: those
accepted at it, and those dialed to it from this machine. It says which peers hold
them, how full the accept queue is, and, where sockets pile up, what that means and
which setting mends it.

It needs no privilege, and sees the sockets of every process of this network
namespace. Give --port a listener's port, and the upstream's to see that side.`,
		Example: `  proxy sockets --port 8443
  proxy sockets --port 8443 --port 8080 --watch
  proxy sockets --port 8443 -o json | jq .findings`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(o.Output, "text", "json"); err != nil {
				return err
			}
			if err := o.setPorts(ports); err != nil {
				return exitWith(exUsage, err)
			}
			return showSockets(cmd, o)
		},
	}
	cmd.Flags().IntSliceVarP(&ports, "port", "p", nil, "a port that is listened at, or dialed; may be repeated")
	cmd.Flags().BoolVarP(&o.Watch, "watch", "w", false, "look again and again, until interrupted")
	cmd.Flags().DurationVar(&o.Every, "every", 2*time.Second, "with --watch: how often, 1s at least")
	addOutput(cmd, &o.Output, "text", "json")
	return cmd
}

func (o *socketsOptions) setPorts(ports []int) error {
	if len(ports) == 0 {
		return errors.New("no port given: name one with --port, as in --port 8443")
	}
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
	if o.Every < minSurvey {
		return fmt.Errorf("--every %s is too often, each look walks all sockets of the kernel: at least %s", o.Every, minSurvey)
	}
	return nil
}

func showSockets(cmd *cobra.Command, o socketsOptions) error {
	ctx := cmd.Context()
	var done <-chan struct{}
	if ctx != nil {
		done = ctx.Done()
	}
	for first := true; ; first = false {
		s, err := tcpwatch.SurveyPorts(o.Ports...)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return exitWith(exNoPerm, fmt.Errorf("looking at the sockets: %w", err))
		case err != nil:
			return exitWith(exOSErr, fmt.Errorf("looking at the sockets: %w", err))
		}
		switch {
		case o.Output == "json" && o.Watch:
			err = writeJSONLine(cmd.OutOrStdout(), surveyDocument(s))
		case o.Output == "json":
			err = writeJSONTo(cmd.OutOrStdout(), surveyDocument(s))
		default:
			err = printSurvey(cmd.OutOrStdout(), s, o.Watch && !first)
		}
		if err != nil || !o.Watch {
			return err
		}
		select {
		case <-done:
			return nil
		case <-time.After(o.Every):
		}
	}
}
