// Bench measures this proxy beside others on one Linux machine: what a
// handshake, a gigabyte, a round trip and an idle connection cost.
//
//	go run ./scripts/bench                     # everything that is installed, some 20 minutes
//	go run ./scripts/bench --install           # as root: HAProxy, nginx, stunnel and hitch first
//	go run ./scripts/bench --scenarios tls13,idle --peers proxy,forwarder --rounds 3
//	go run ./scripts/bench --table             # the section of the README
//	go run ./scripts/bench --guard             # is it still as cheap beside a minimal forwarder?
//
// Another proxy joins by its command line, whose variables are the fields of
// setting in peers.go:
//
//	go run ./scripts/bench --peer 'theirs=theirs --listen {{.Listen}} --to {{.Upstream}} --pem {{.CertKey}} --ca {{.CA}}'
//
// It builds the proxy from the tree, makes certificates and runs, for each peer,
// scenario and round anew, three processes on loopback: a plain TCP backend, the
// peer and the load generator. The peer has one CPU, the other two share
// another. Rounds interleave and every peer takes its turn at going first;
// figures are medians, ratios medians of the quotients round by round. CPU is
// what the kernel accounts to all of the peer's processes from before the first
// counted operation until the peer has come to rest after the last.
//
// Nothing leaves loopback, every run is bounded in time, connections and bytes,
// and only what it started is ever stopped. Results go to standard output,
// progress to standard error. It exits 1 if something went wrong, 2 if it was
// called wrongly, and 3 if the guard found the proxy dearer than it may be.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const (
	exitTrouble = 1
	exitUsage   = 2
	exitGuard   = 3
)

func main() {
	err := dispatch(os.Args[1:])
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(exitCode(err))
}

func exitCode(err error) int {
	switch {
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, errDearer):
		return exitGuard
	default:
		return exitTrouble
	}
}

// dispatch also knows the parts that the benchmark starts of itself.
func dispatch(args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "backend":
			return runBackend()
		case "forwarder":
			return runForwarder(args[1:])
		case "load":
			return runLoad()
		}
	}
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go launchForever()
	return o.run(ctx)
}
