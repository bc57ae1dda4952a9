package main

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// errUsage matches every error in how the program was called.
var errUsage = errors.New("see -h")

// options are the flags of a benchmark.
type options struct {
	peers     []peer
	reference string
	scenarios []scenario
	rounds    int
	limit     time.Duration
	pinned    bool
	size      size

	proxy   string // a binary to measure in place of one built from the tree
	install bool
	table   bool
	json    string
	from    string
	guard   bool
	limits  guardLimits
}

func parseOptions(args []string) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), "Measures this proxy beside others. Without flags: everything that is installed.\n\n")
		flags.PrintDefaults()
	}
	var peerList, scenarioList, layout string
	var extra []string
	flags.StringVar(&peerList, "peers", "", "peers to measure, by name, comma-separated (default all of "+nameList(knownPeers(), func(p peer) string { return p.name })+")")
	flags.Func("peer", "another peer, as `name=command`, with variables such as {{.Listen}} and {{.Upstream}}; may be repeated", func(s string) error {
		extra = append(extra, s)
		return nil
	})
	flags.StringVar(&o.reference, "ref", "forwarder", "peer that ratios are made to")
	flags.StringVar(&scenarioList, "scenarios", "", "what to measure, comma-separated (default all but soak of "+nameList(allScenarios(), func(s scenario) string { return s.name })+")")
	flags.IntVar(&o.rounds, "rounds", 5, "how often each is measured")
	flags.DurationVar(&o.limit, "limit", 40*time.Minute, "give up after this long, and report what there is")
	flags.StringVar(&layout, "layout", "pinned", "pinned: a CPU with one worker for the peer and one for the load; free: no pinning")
	flags.DurationVar(&o.size.duration, "duration", 2*time.Second, "handshakes and round trips: how long each run counts")
	flags.Int64Var(&o.size.bytes, "bytes", 1_000_000_000, "relay: how much each run moves")
	flags.IntVar(&o.size.conns, "conns", 9000, "idle connections; fewer if the limit of open files does not allow them")
	flags.DurationVar(&o.size.hold, "hold", 4*time.Second, "how long idle connections are held")
	flags.DurationVar(&o.size.soak, "soak", time.Minute, "how long a soak lasts")
	flags.IntVar(&o.size.rate, "rate", 1000, "soak: new connections a second")
	flags.StringVar(&o.proxy, "proxy", "", "measure this `program` in place of one built from the tree")
	flags.BoolVar(&o.install, "install", false, "install missing peers from Debian packages first (needs root)")
	flags.BoolVar(&o.table, "table", false, "print the section for the README")
	flags.StringVar(&o.json, "json", "", "write all rounds to this `file`, too")
	flags.StringVar(&o.from, "from", "", "measure nothing: print what an earlier run wrote to this `file` with -json")
	flags.BoolVar(&o.guard, "guard", false, "only compare this proxy with the minimal forwarder, and exit 3 if it costs more than the limits")
	o.limits.register(flags)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, fmt.Errorf("%w", errUsage) // flag has said what is wrong
	}
	if flags.NArg() > 0 {
		return nil, misuse("unexpected argument %q", flags.Arg(0))
	}
	switch layout {
	case "pinned", "free":
		o.pinned = layout == "pinned"
	default:
		return nil, misuse("layout %q: want pinned or free", layout)
	}
	if err := o.choose(peerList, scenarioList, extra); err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("%w; %w", err, errUsage)
	}
	return o, nil
}

func misuse(format string, args ...any) error {
	return fmt.Errorf("%s; %w", fmt.Sprintf(format, args...), errUsage)
}

// choose turns the names given into peers and scenarios.
func (o *options) choose(peerList, scenarioList string, extra []string) error {
	all := knownPeers()
	for _, text := range extra {
		p, err := extraPeer(text)
		if err != nil {
			return fmt.Errorf("%w; %w", err, errUsage)
		}
		if slices.ContainsFunc(all, func(known peer) bool { return known.name == p.name }) {
			return misuse("there is a peer %q already", p.name)
		}
		all = append(all, p)
	}
	var err error
	if o.peers, err = pick("peer", peerList, all, func(p peer) string { return p.name }); err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(p peer) bool { return p.name == o.reference }) {
		return misuse("no peer is called %q, which is to be the reference", o.reference)
	}
	if !slices.ContainsFunc(o.peers, func(p peer) bool { return p.name == o.reference }) {
		return misuse("the reference %q is not among the peers measured", o.reference)
	}
	if o.scenarios, err = pick("scenario", scenarioList, allScenarios(), func(s scenario) string { return s.name }); err != nil {
		return err
	}
	if scenarioList == "" {
		o.scenarios = slices.DeleteFunc(o.scenarios, func(s scenario) bool { return s.asked })
	}
	return nil
}

// pick finds what a comma-separated list names, in the order of all; an empty
// list names all.
func pick[T any](what, list string, all []T, name func(T) string) ([]T, error) {
	if list == "" {
		return all, nil
	}
	wanted := make(map[string]bool)
	for _, n := range strings.Split(list, ",") {
		wanted[strings.TrimSpace(n)] = true
	}
	var picked []T
	for _, item := range all {
		if wanted[name(item)] {
			picked = append(picked, item)
			delete(wanted, name(item))
		}
	}
	for n := range wanted {
		return nil, misuse("no %s is called %q; there are %s", what, n, nameList(all, name))
	}
	return picked, nil
}

func nameList[T any](all []T, name func(T) string) string {
	names := make([]string, len(all))
	for i, item := range all {
		names[i] = name(item)
	}
	return strings.Join(names, ", ")
}

func (o *options) check() error {
	return errors.Join(
		requireWithin("rounds", o.rounds, 1, maxRounds),
		requireWithin("limit", o.limit, time.Second, maxTotal),
		requireWithin("duration", o.size.duration, 10*time.Millisecond, maxDuration),
		requireWithin("bytes", o.size.bytes, 1000, maxBytes),
		requireWithin("conns", o.size.conns, 1, maxConns),
		requireWithin("hold", o.size.hold, 10*time.Millisecond, maxDuration),
		requireWithin("soak", o.size.soak, 100*time.Millisecond, maxDuration),
		requireWithin("rate", o.size.rate, 1, maxRate),
	)
}

// guardLimits are the ratios to the minimal forwarder above which the guard
// fails.
type guardLimits struct {
	handshake, relay, idle float64
}

func (l *guardLimits) register(flags *flag.FlagSet) {
	flags.Float64Var(&l.handshake, "guard-handshake", defaultGuard.handshake, "guard: CPU of a full TLS 1.3 handshake, to the forwarder's, at most")
	flags.Float64Var(&l.relay, "guard-relay", defaultGuard.relay, "guard: CPU of relayed bytes, to the forwarder's, at most")
	flags.Float64Var(&l.idle, "guard-idle", defaultGuard.idle, "guard: memory of an idle connection, to the forwarder's, at most")
}

func (l guardLimits) of(kind string) float64 {
	switch kind {
	case "handshake":
		return l.handshake
	case "down", "up":
		return l.relay
	case "idle":
		return l.idle
	}
	return math.Inf(1)
}
