package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs/ca"
	"mtlsproxy/proxy/event"
)

// demoOutput says on standard output what there is: to a person, or in JSON.
// What happens to connections is in the log.
type demoOutput struct {
	w     io.Writer
	json  bool
	sieve bool // the log is a console's
	dash  string
}

func newDemoOutput(cmd *cobra.Command, o demoOptions) demoOutput {
	out := demoOutput{w: cmd.OutOrStdout(), json: o.JSON, dash: "–"}
	if _, tty := isTerminal(out.w); !tty {
		out.json = true
	}
	if _, tty := isTerminal(cmd.ErrOrStderr()); tty && !out.json {
		out.sieve = true
	}
	if ascii, _ := cmd.Flags().GetBool("ascii"); ascii {
		out.dash = "-"
	}
	return out
}

// sift leaves out of a person's log what the banner says.
func (o demoOutput) sift(log event.Sink) event.Sink {
	if o.sieve {
		return sieve{log}
	}
	return log
}

// line writes one JSON object.
func (o demoOutput) line(v any) {
	enc := json.NewEncoder(o.w)
	enc.SetEscapeHTML(false)
	enc.Encode(v) // a reader that has gone needs no answer
}

// demoReady is the first line off a terminal.
type demoReady struct {
	Event    string `json:"event"`
	Proxy    string `json:"proxy,omitempty"`
	Upstream string `json:"upstream"`
	Dir      string `json:"dir,omitempty"`
}

// readyUpstream says where the echo service is.
func (o demoOutput) readyUpstream(address string) {
	if o.json {
		o.line(demoReady{Event: "demo.ready", Upstream: address})
		return
	}
	fmt.Fprintf(o.w, "upstream %s   built-in echo: answers HTTP in JSON, sends anything else back. Ctrl-C stops\n", address)
}

// ready says that the demo is there, and how to speak to it.
func (o demoOutput) ready(d *demo) {
	if o.json {
		o.line(demoReady{Event: "demo.ready", Proxy: d.address, Upstream: d.upstream.addr(), Dir: d.files.dir})
		return
	}
	_, port, _ := net.SplitHostPort(d.address)
	url := "https://localhost:" + port
	path := func(name string) string { return shellQuote(d.files.path(name)) }
	var b strings.Builder
	fmt.Fprintf(&b, "proxy %s (%s)   DEMO %s throwaway certificates, loopback only. For real use: proxy run --help\n\n", version, runtime.Version(), o.dash)
	row := func(name, what, remark string) { fmt.Fprintf(&b, "  %-10s %-27s %s\n", name, what, remark) }
	row("proxy", url, "client certificate required")
	if d.moved {
		_, usual, _ := net.SplitHostPort(demoAddress)
		row("", "", "(port "+usual+" is taken; this one was free)")
	}
	row("upstream", d.upstream.addr(), "built-in echo: answers HTTP in JSON, sends anything else back")
	row("files", shellQuote(d.files.dir)+string(os.PathSeparator),
		fmt.Sprintf("CA, server, 1 good and %d bad client certificates, %s", len(ca.Defects()), d.files.lasts(time.Now())))
	fmt.Fprintf(&b, "\n  try        curl --cacert %s --cert %s --key %s %s/\n", path("ca.pem"), path("alice.pem"), path("alice-key.pem"), url)
	fmt.Fprintf(&b, "\n  refused    curl --cacert %s %s/\n", path("ca.pem"), url)
	fmt.Fprintf(&b, "             curl --cacert %s --cert %s --key %s %s/\n\n", path("ca.pem"), path("bad/expired.pem"), path("bad/expired-key.pem"), url)
	io.WriteString(o.w, b.String())
}

// lasts says how long the certificates are good for.
func (f *demoFiles) lasts(now time.Time) string {
	left := f.notAfter.Sub(now).Round(time.Hour)
	if f.reused {
		return fmt.Sprintf("used again, valid %d h more", int(left.Hours()))
	}
	return fmt.Sprintf("valid %d h", int(left.Hours()))
}

// played says that what comes from now on is the user's.
func (o demoOutput) played(n int) {
	if o.json {
		return
	}
	what := "Ready."
	if n > 0 {
		what = "\nThe demo played the above itself."
	}
	fmt.Fprintf(o.w, "%s What you send now follows below; -v says more; Ctrl-C stops.\n\n", what)
}

// done says how all connections ended.
func (o demoOutput) done(t *demoTally) {
	ok, probes, failed := t.count()
	total := 0
	byReason := map[string]int{}
	var words []string
	for _, f := range failed {
		total += f.n
		byReason[f.reason.String()] = f.n
		words = append(words, fmt.Sprintf("%s %d", f.reason, f.n))
	}
	if o.json {
		o.line(struct {
			Event  string         `json:"event"`
			OK     int            `json:"ok"`
			Failed map[string]int `json:"failed"`
			Probes int            `json:"probes"`
		}{"demo.done", ok, byReason, probes})
		return
	}
	fmt.Fprintf(o.w, "\n%d ok, %d refused or broken off, %s\n", ok, total, plural(probes, "probe"))
	if total > 0 {
		fmt.Fprintf(o.w, "  %s\n", strings.Join(words, ", "))
	}
}

// shellQuote returns a word that a POSIX shell reads as s.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:+,@%=", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
