package main

import (
	"testing"
	"time"

	"mtlsproxy/proxy/event"
)

// kept is how many events came through.
type kept int

func (k *kept) Emit(event.Event) { *k++ }

func TestTheDemosScreenSaysHowTCPIsWatchedOnlyWhereItIsNot(t *testing.T) {
	missing := []event.TCPTier{{Tier: "sock", Detail: "not permitted", Need: "AF_NETLINK"}}
	for _, tt := range []struct {
		name string
		body event.TCPTiers
		want kept
	}{
		{"what was asked for works", event.TCPTiers{Active: []string{"sock"}, Unasked: []event.TCPTier{{Tier: "packet"}}}, 0},
		{"nothing works", event.TCPTiers{Missing: missing}, 1},
		{"one of those asked for does not", event.TCPTiers{Active: []string{"sock"}, Missing: missing}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got kept
			sieve{&got}.Emit(event.Event{Time: time.Now(), Body: tt.body})
			if got != tt.want {
				t.Errorf("%d events came through, want %d", got, tt.want)
			}
		})
	}
}
