package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"time"
)

// document is the whole outcome of a benchmark, as JSON keeps it and as tables
// are made from.
type document struct {
	Date      time.Time        `json:"date"`
	Machine   machine          `json:"machine"`
	Pinned    bool             `json:"pinned"`
	Reference string           `json:"reference"`
	Peers     []measuredPeer   `json:"peers"`
	Missing   []string         `json:"missing,omitempty"`
	Cut       bool             `json:"cut,omitempty"` // it ran out of time
	Scenarios []scenarioResult `json:"scenarios"`
}

type machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Kernel string `json:"kernel"`
}

type measuredPeer struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	Library string `json:"tls_library"`
}

type scenarioResult struct {
	Name   string                `json:"name"`
	Others *summary              `json:"others,omitempty"` // CPUs kept busy by others
	Size   string                `json:"size"`
	Peers  map[string]peerResult `json:"peers"`
}

type peerResult struct {
	Figures map[string]summary `json:"figures,omitempty"`
	Ratio   *summary           `json:"ratio,omitempty"` // of the first figure, to the reference
	Rounds  []figures          `json:"rounds,omitempty"`
	Failure string             `json:"failure,omitempty"`
}

// record adds a scenario's result. JSON knows no NaN: what there is no number
// for is left out.
func (d *document) record(r result, size string) {
	s := scenarioResult{Name: r.scenario.name, Size: size, Peers: make(map[string]peerResult)}
	if o := r.others(); o.Rounds > 0 {
		s.Others = &o
	}
	for name, rounds := range r.rounds {
		p := peerResult{Figures: make(map[string]summary), Failure: r.failures[name]}
		for _, c := range r.scenario.columns {
			if sum := r.summary(name, c.key); sum.Rounds > 0 {
				p.Figures[c.key] = sum
			}
		}
		if ratio := r.ratio(name, d.Reference); ratio.Rounds > 0 {
			p.Ratio = &ratio
		}
		for _, f := range rounds {
			for key, value := range f {
				if math.IsNaN(value) || math.IsInf(value, 0) {
					delete(f, key)
				}
			}
			p.Rounds = append(p.Rounds, f)
		}
		s.Peers[name] = p
	}
	d.Scenarios = append(d.Scenarios, s)
}

func (d *document) scenario(name string) (scenarioResult, bool) {
	for _, s := range d.Scenarios {
		if s.Name == name {
			return s, true
		}
	}
	return scenarioResult{}, false
}

// describe adds a peer with the version and the TLS library of its program.
func (d *document) describe(p peer, program string) {
	m := measuredPeer{Name: p.name, Title: p.heading(), Library: tlsLibrary(p, program)}
	if p.version != nil {
		if v := p.version(program); v != "" {
			m.Title += " " + v
		}
	}
	d.Peers = append(d.Peers, m)
}

func thisMachine() machine {
	m := machine{CPU: runtime.GOARCH, CPUs: runtime.NumCPU(), Kernel: kernelRelease()}
	text, _ := os.ReadFile("/proc/cpuinfo") // not everywhere does it name a model
	for line := range strings.Lines(string(text)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	return m
}

func (m machine) String() string { return fmt.Sprintf("%d CPUs (%s), %s", m.CPUs, m.CPU, m.Kernel) }
