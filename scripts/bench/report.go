package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// report writes everything as Markdown: a table a scenario, with the spread of
// the rounds and what else the machine did.
func (d *document) report(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmark, %s\n\n", d.Date.Format("2006-01-02"))
	fmt.Fprintf(&b, "%s; %s.\nRatios are to %s, the median of the rounds' quotients. Spread is from the lowest round to\nthe highest.\n", d.Machine, d.layout(), d.Reference)
	if d.Cut {
		b.WriteString("The time ran out: some rounds, or whole scenarios, are not there.\n")
	}
	b.WriteString("\n| peer | | TLS library |\n|---|---|---|\n")
	for _, p := range d.Peers {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", p.Name, p.Title, p.Library)
	}
	if len(d.Missing) > 0 {
		fmt.Fprintf(&b, "\nNot installed, and so not measured: %s.\n", strings.Join(d.Missing, ", "))
	}
	for _, s := range allScenarios() {
		if r, measured := d.scenario(s.name); measured {
			d.section(&b, s, r)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d *document) section(b *strings.Builder, s scenario, r scenarioResult) {
	fmt.Fprintf(b, "\n## %s\n\n%s; %s.", s.title, s.what, r.Size)
	if r.Others != nil {
		fmt.Fprintf(b, " Others kept %.2f CPUs busy (%.2f to %.2f).", r.Others.Median, r.Others.Low, r.Others.High)
	}
	first := s.columns[0]
	fmt.Fprintf(b, "\n\n| peer | %s | ratio | spread |", first.head)
	for _, c := range s.columns[1:] {
		fmt.Fprintf(b, " %s |", c.head)
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(s.columns)+2) + "\n")
	for _, p := range d.Peers {
		m, measured := r.Peers[p.Name]
		if !measured {
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |", p.Name, cell(m, first), ratioCell(m), spreadCell(m, first))
		for _, c := range s.columns[1:] {
			fmt.Fprintf(b, " %s |", cell(m, c))
		}
		b.WriteString("\n")
	}
	for _, p := range d.Peers {
		if m := r.Peers[p.Name]; m.Failure != "" {
			fmt.Fprintf(b, "\nWhat failed with %s: %s\n", p.Name, m.Failure)
		}
	}
}

func cell(m peerResult, c column) string {
	sum, has := m.Figures[c.key]
	if !has {
		return "–"
	}
	return fmt.Sprintf("%.*f", c.digits, sum.Median)
}

func ratioCell(m peerResult) string {
	if m.Ratio == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f", m.Ratio.Median)
}

func spreadCell(m peerResult, c column) string {
	sum, has := m.Figures[c.key]
	if !has {
		return "–"
	}
	return fmt.Sprintf("%.*f–%.*f (%.0f%%)", c.digits, sum.Low, c.digits, sum.High, 100*sum.spread())
}

func (d *document) layout() string {
	if d.Pinned {
		return "each peer with one worker on a CPU of its own, load and backend on another"
	}
	return "nothing pinned, each peer with its own default of workers"
}

// summaryColumn is one column of the section for the README.
type summaryColumn struct {
	scenario, key, head string
	digits              int
	ratio               bool
}

var summaryTables = [][]summaryColumn{
	{
		{"tls13", "cpu_us", "TLS 1.3 full, µs", 0, true},
		{"tls12", "cpu_us", "TLS 1.2 full, µs", 0, true},
		{"tls13-resumed", "cpu_us", "TLS 1.3 resumed, µs", 0, true},
		{"down", "cpu_ms_gb", "down, ms/GB", 0, true},
		{"up", "cpu_ms_gb", "up, ms/GB", 0, true},
		{"rtt", "cpu_us", "64-byte round trip, µs", 1, true},
	},
	{
		{"idle", "rss_kib", "idle connection, KiB", 1, true},
		{"idle", "idle_cpu", "CPU while idle, %", 1, false},
		{"start", "start_ms", "start to first byte, ms", 0, false},
		{"start", "start_mb", "memory at start, MB", 1, false},
		{"rtt-alone", "p50_us", "round trip p50, µs", 0, false},
		{"rtt-alone", "p99_us", "p99, µs", 0, false},
	},
}

// table writes the section for the README.
func (d *document) table(w io.Writer) error {
	var b strings.Builder
	b.WriteString("## Performance\n\n")
	fmt.Fprintf(&b, "Measured by `go run ./scripts/bench --table` on %s: %s;\n%s.\nFull handshakes are mutual, ECDSA P-256, X25519, AES-128-GCM. ",
		d.Date.Format("2006-01-02"), d.Machine, d.layout())
	fmt.Fprintf(&b, "Figures are medians of interleaved\nrounds; in parentheses the ratio to %s. Only this proxy writes a log.\n", d.referenceTitle())
	for i, columns := range summaryTables {
		columns = slices.DeleteFunc(slices.Clone(columns), func(c summaryColumn) bool {
			_, measured := d.scenario(c.scenario)
			return !measured
		})
		if len(columns) == 0 {
			continue
		}
		head := "CPU"
		if i > 0 {
			head = "Memory and time"
		}
		fmt.Fprintf(&b, "\n| %s |", head)
		for _, c := range columns {
			fmt.Fprintf(&b, " %s |", c.head)
		}
		b.WriteString("\n|---|" + strings.Repeat("---:|", len(columns)) + "\n")
		for _, p := range d.Peers {
			fmt.Fprintf(&b, "| %s |", d.rowTitle(p))
			for _, c := range columns {
				fmt.Fprintf(&b, " %s |", d.summaryCell(p, c))
			}
			b.WriteString("\n")
		}
	}
	low, high, spread := d.quality()
	fmt.Fprintf(&b, "\nThe rest of the machine kept %.1f to %.1f CPUs busy meanwhile; rounds lie %.0f%% apart (median). CPU is that\nof all the peer's processes over exactly the operations counted, memory is resident memory without\nthe kernel's buffers.\n", low, high, 100*spread)
	_, err := io.WriteString(w, b.String())
	return err
}

func (d *document) summaryCell(p measuredPeer, c summaryColumn) string {
	r, _ := d.scenario(c.scenario)
	m := r.Peers[p.Name]
	text := cell(m, column{key: c.key, digits: c.digits})
	if c.ratio && m.Ratio != nil {
		text += fmt.Sprintf(" (%.2f)", m.Ratio.Median)
	}
	return text
}

func (d *document) rowTitle(p measuredPeer) string {
	return fmt.Sprintf("%s (%s)", p.Title, p.Library)
}

func (d *document) referenceTitle() string {
	for _, p := range d.Peers {
		if p.Name == d.Reference {
			return "the " + strings.TrimPrefix(p.Title, "the ")
		}
	}
	return d.Reference
}

// quality is what a reader needs to judge the figures: the least and the most
// that others kept busy in a scenario, and the usual spread of the rounds.
func (d *document) quality() (low, high, spread float64) {
	var others, spreads []float64
	for _, r := range d.Scenarios {
		if r.Others != nil {
			others = append(others, r.Others.Median)
		}
		for _, m := range r.Peers {
			for _, c := range columnsOf(r.Name)[:1] {
				if sum := m.Figures[c.key]; sum.Rounds > 1 {
					spreads = append(spreads, sum.spread())
				}
			}
		}
	}
	if len(others) > 0 {
		low, high = slices.Min(others), slices.Max(others)
	}
	if len(spreads) > 0 {
		spread = summarize(spreads).Median
	}
	return low, high, spread
}

func columnsOf(name string) []column {
	for _, s := range allScenarios() {
		if s.name == name {
			return s.columns
		}
	}
	return []column{{}}
}
