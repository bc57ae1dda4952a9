package main

import (
	"testing"

	"mtlsproxy/proxy/admin"
	"mtlsproxy/proxy/tcpwatch"
)

// The reader knows verdicts by their names only: package admin does not import
// package tcpwatch.
func TestEveryVerdictHasASentence(t *testing.T) {
	for v := tcpwatch.ClosedHere; v <= tcpwatch.Lost; v++ {
		if !admin.SocketVerdictKnown(v.String()) {
			t.Errorf("no sentence for %v", v)
		}
	}
	if admin.SocketVerdictKnown("nothing_of_the_kind") {
		t.Error("a verdict that there is not has a sentence")
	}
}
