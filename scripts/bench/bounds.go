package main

import (
	"fmt"
	"net/netip"
	"time"
)

// However it is called, one run does no more than this.
const (
	maxWorkers  = 512              // operations in flight
	maxConns    = 50_000           // idle connections
	maxInHand   = 4_000            // connections of a soak that are not done yet
	maxDuration = 2 * time.Minute  // of one run
	maxBytes    = 16_000_000_000   // in one run
	maxRate     = 5_000            // new connections a second, soak
	maxRounds   = 25               //
	maxTotal    = 3 * time.Hour    // of the whole benchmark
	patience    = 10 * time.Second // for any one answer from a peer
)

// requireLoopback refuses an address that leads off this machine.
func requireLoopback(address string) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: want IP:PORT", address)
	}
	if !a.Addr().IsLoopback() {
		return fmt.Errorf("address %q: only loopback is measured", address)
	}
	return nil
}

func requireWithin[T int | int64 | time.Duration](what string, value, low, high T) error {
	if value < low || value > high {
		return fmt.Errorf("%s is %v, want %v to %v", what, value, low, high)
	}
	return nil
}
