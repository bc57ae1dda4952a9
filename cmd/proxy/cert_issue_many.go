package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs/ca"
)

// An order is one line of --from.
type order struct {
	line    int
	stem    string
	request ca.Request
}

// runMany issues one certificate for each line of a file. All lines are read and
// all names of files looked at before the first is issued.
func (f *issueFlags) runMany(cmd *cobra.Command) error {
	orders, err := f.orders(cmd)
	if err != nil {
		return caFailure(err)
	}
	o, err := f.open(cmd)
	if err != nil {
		return err
	}
	defer o.close()
	bar := newProgress(cmd.ErrOrStderr(), len(orders), f.quiet)
	defer bar.end()
	reports := make([]issueReport, 0, len(orders))
	for _, order := range orders {
		if err := cmd.Context().Err(); err != nil {
			return exitWith(exInterrupted, fmt.Errorf("stopped after %d of %d certificates", len(reports), len(orders)))
		}
		if err := f.grant(o, &order.request); err != nil {
			return caFailure(err)
		}
		issued, err := f.issue(cmd, o, order.request)
		if err != nil {
			return storeFailure(fmt.Errorf("%s, line %d, after %d certificates: %w", inputName(f.from), order.line, len(reports), err))
		}
		files, err := f.writeFiles(o, issued, order.stem)
		if err != nil {
			return undoIfNot(cmd, o, issued, writeFailure(err, order.stem))
		}
		reports = append(reports, newIssueReport(o.Authority, issued, files, f.granted()))
		bar.step()
	}
	bar.end()
	fmt.Fprintf(f.talk(cmd), "%d certificates are in %s\n", len(reports), f.directory())
	if f.output != "json" {
		return nil
	}
	return writeJSONTo(cmd.OutOrStdout(), reports)
}

func (f *issueFlags) directory() string {
	if f.out == "" {
		return "."
	}
	return f.out
}

// orders reads the file. Empty lines and those that begin with # are passed over.
func (f *issueFlags) orders(cmd *cobra.Command) ([]order, error) {
	data, err := readInput(cmd, f.from)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(f.directory()); err != nil || !info.IsDir() {
		return nil, exitWith(exCantCreat, fmt.Errorf("%s is not a directory; make it first", f.directory()))
	}
	var out []order
	first := make(map[string]int)
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		names := strings.Fields(line)
		if len(names) == 0 || strings.HasPrefix(names[0], "#") {
			continue
		}
		r, err := f.names(cmd, names)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", inputName(f.from), n, err)
		}
		for _, name := range names[1:] {
			if _, err := ca.ParseSAN(name); err != nil {
				return nil, fmt.Errorf("%s, line %d: %w", inputName(f.from), n, err)
			}
		}
		stem := filepath.Join(f.directory(), stemFor(names[0]))
		if before := first[stem]; before > 0 {
			return nil, exitWith(exDataErr, fmt.Errorf("%s: lines %d and %d would both be %s.pem", inputName(f.from), before, n, stem))
		}
		first[stem] = n
		if _, err := os.Lstat(ca.FilesFor(stem).Cert); !errors.Is(err, fs.ErrNotExist) && !f.write.Force {
			return nil, exitWith(exCantCreat, fmt.Errorf("%s is there already; nothing was touched, give another --out or --force", ca.FilesFor(stem).Cert))
		}
		out = append(out, order{n, stem, r})
	}
	if len(out) == 0 {
		return nil, exitWith(exDataErr, fmt.Errorf("%s has no names", inputName(f.from)))
	}
	return out, nil
}

// progress is a bar on a terminal, and nothing elsewhere.
type progress struct {
	w           io.Writer // nil for none
	done, total int
	drawn       time.Time
	width       int
}

func newProgress(w io.Writer, total int, quiet bool) *progress {
	width, is := isTerminal(w)
	if !is || quiet {
		return &progress{total: total}
	}
	return &progress{w: w, total: total, width: min(max(width-24, 10), 60)}
}

// step counts one; ten times a second it is seen.
func (p *progress) step() {
	p.done++
	if p.w == nil || p.done < p.total && time.Since(p.drawn) < 100*time.Millisecond {
		return
	}
	p.drawn = time.Now()
	full := p.width * p.done / p.total
	fmt.Fprintf(p.w, "\r[%s%s] %d of %d", strings.Repeat("#", full), strings.Repeat(".", p.width-full), p.done, p.total)
}

// end leaves the line.
func (p *progress) end() {
	if p.w != nil && p.done > 0 {
		fmt.Fprintln(p.w)
	}
	p.w = nil
}
