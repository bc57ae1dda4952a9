//go:build race

package proxy_test

// raceEnabled tells whether the race detector runs: tests of volume do less then.
const raceEnabled = true
