package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/proxy/admin"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/terminal"
)

func newConnsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "conns",
		Short: "the connections of a running instance",
		Args:  cobra.ArbitraryArgs,
		RunE:  runGroup,
	}
	cmd.AddCommand(newConnsListCommand(), newConnsShowCommand())
	addLater(cmd, laterOf["conns"])
	return cmd
}

// addAdmin gives cmd the flag that names the instance to ask. It may stand on the
// root as well.
func addAdmin(cmd *cobra.Command) {
	cmd.Flags().String("admin", "", "socket of the running instance (default: $MTLSPROXY_ADMIN, else where run opens it)")
}

// dialAdmin connects to the running instance.
func dialAdmin(cmd *cobra.Command) (*admin.Client, error) {
	address, _ := cmd.Flags().GetString("admin")
	socket := admin.FindSocket(address, os.Getenv)
	c, err := admin.Dial(cmd.Context(), socket)
	if err != nil {
		return nil, adminError(fmt.Errorf("asking at %s: %w", socket, err))
	}
	return c, nil
}

// adminError gives an answer that is none its exit code, and says what to do.
func adminError(err error) error {
	var p *admin.Problem
	switch {
	case errors.Is(err, admin.ErrUnavailable):
		return exitWith(exUnavailable, fmt.Errorf("%w\n       start one with `proxy run` or `proxy demo`, or name its socket with --admin or MTLSPROXY_ADMIN", err))
	case errors.As(err, &p) && p.Status == http.StatusNotFound:
		return exitWith(exNo, fmt.Errorf("%w\n       `proxy conns list` shows what there is", err))
	case errors.As(err, &p) && p.Status == http.StatusBadRequest:
		return exitWith(exUsage, err)
	case errors.As(err, &p) && p.Status == http.StatusForbidden:
		return exitWith(exNoPerm, fmt.Errorf("%w\n       run this as the user of the instance, or as root", err))
	}
	return exitWith(exUnavailable, err)
}

// writePlainJSON writes v indented, with <, > and & as they are: commands in it are
// to be read and copied.
func writePlainJSON(w io.Writer, v any) error {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return exitWith(exIOErr, fmt.Errorf("writing output: %w", err))
	}
	return write(w, out.Bytes())
}

// ladderOptions fits a ladder to where it is written.
func ladderOptions(cmd *cobra.Command) admin.LadderOptions {
	var o admin.LadderOptions
	o.ASCII, _ = cmd.Flags().GetBool("ascii")
	width, tty := isTerminal(cmd.OutOrStdout())
	o.Width, o.Color = width, wantsColor(cmd, tty)
	return o
}

func newConnsListCommand() *cobra.Command {
	var output, outcome, reason, client string
	var last int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list connections, the newest first",
		Example: "  proxy conns list --outcome failed\n" +
			"  proxy conns list --reason client_cert_missing --client 10.0.0.0/8 --last 100 -o json",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			f, err := connFilter(outcome, reason, client, last)
			if err != nil {
				return exitWith(exUsage, err)
			}
			c, err := dialAdmin(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			list, err := c.Connections(cmd.Context(), f)
			if err != nil {
				return adminError(err)
			}
			if output == "json" {
				return writePlainJSON(cmd.OutOrStdout(), list)
			}
			if len(list.Connections) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "no such connection is open or kept")
				return nil
			}
			return write(cmd.OutOrStdout(), []byte(connTable(list.Connections, ladderOptions(cmd).ASCII)))
		},
	}
	addAdmin(cmd)
	addOutput(cmd, &output, "text", "json")
	cmd.Flags().StringVar(&outcome, "outcome", "", "only those that went so: "+strings.Join(outcomes(), ", "))
	cmd.Flags().StringVar(&reason, "reason", "", "only those with this reason")
	cmd.Flags().StringVar(&client, "client", "", "only clients of this address or prefix")
	cmd.Flags().IntVar(&last, "last", 20, "at most so many, up to 1000")
	complete(cmd, "outcome", outcomes()...)
	complete(cmd, "reason", reasonCodes()...)
	return cmd
}

func outcomes() []string {
	var list []string
	for _, o := range admin.Outcomes() {
		list = append(list, string(o))
	}
	return list
}

func reasonCodes() []string {
	var list []string
	for _, r := range event.Reasons() {
		list = append(list, r.String())
	}
	return list
}

// connFilter makes a filter of the flags.
func connFilter(outcome, reason, client string, last int) (f admin.Filter, err error) {
	if outcome != "" && !slices.Contains(outcomes(), outcome) {
		return f, fmt.Errorf("--outcome %q is not one of %s", outcome, strings.Join(outcomes(), ", "))
	}
	if reason != "" {
		if _, err := findReason(reason); err != nil {
			return f, err
		}
	}
	if last < 1 || last > 1000 {
		return f, fmt.Errorf("--last %d is not between 1 and 1000", last)
	}
	f = admin.Filter{Outcome: admin.Outcome(outcome), Reason: reason, Limit: last}
	f.Client, err = admin.ParseClient(client)
	return f, err
}

// connTable is the list for people.
func connTable(list []admin.Document, ascii bool) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TIME\tID\tOUTCOME\tCLIENT\tTOOK\tREASON\tWHO OR WHY")
	for i := range list {
		d := &list[i]
		took, why := "", d.Identity
		if d.End != nil {
			took = (time.Duration(d.End.Duration) * time.Microsecond).Round(100 * time.Microsecond).String()
		}
		if x := d.Diagnosis; x != nil && d.Outcome != admin.OK {
			why = x.Title
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Started.Local().Format("15:04:05.000"), d.ID, d.Outcome, d.Client, took, d.Reason,
			terminal.Text(why, ascii))
	}
	w.Flush() // a strings.Builder takes everything
	lines := strings.SplitAfter(b.String(), "\n")
	for i, line := range lines {
		if text, whole := strings.CutSuffix(line, "\n"); whole {
			lines[i] = strings.TrimRight(text, " ") + "\n"
		}
	}
	return strings.Join(lines, "")
}

func newConnsShowCommand() *cobra.Command {
	var output string
	var ladder bool
	cmd := &cobra.Command{
		Use:   "show ID [--ladder]",
		Short: "show one connection",
		Long: `show tells what happened on one connection: the handshake in short, and for a
failure why and what to do. With --ladder every message and every step has its
row. The ID is that of the log and of conns list; "last" is the one that ended
last, health checks left out.`,
		Example: "  proxy conns show 7q41 --ladder\n  proxy conns show last -o json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			d, err := fetchConn(cmd, args[0])
			if err != nil {
				return err
			}
			if output == "json" {
				return writePlainJSON(cmd.OutOrStdout(), d)
			}
			o := ladderOptions(cmd)
			o.Short = !ladder
			return write(cmd.OutOrStdout(), admin.AppendLadder(nil, d, o))
		},
	}
	addAdmin(cmd)
	addOutput(cmd, &output, "text", "json")
	cmd.Flags().BoolVar(&ladder, "ladder", false, "every message and every step, with times and sizes")
	return cmd
}

// fetchConn asks for one connection; the id "last" is the one that ended last.
func fetchConn(cmd *cobra.Command, id string) (*admin.Document, error) {
	c, err := dialAdmin(cmd)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var d *admin.Document
	if id == "last" {
		d, err = c.Last(cmd.Context(), admin.Filter{})
	} else {
		d, err = c.Connection(cmd.Context(), id)
	}
	if err != nil {
		return nil, adminError(err)
	}
	return d, nil
}
