package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"mtlsproxy/proxy/admin"
)

// printSockets writes how the sockets stand for people. again says that one stands
// before it.
func printSockets(w io.Writer, s *admin.Sockets, again bool) error {
	var b strings.Builder
	if again {
		b.WriteByte('\n')
	}
	printWhose(&b, s)
	printListeners(&b, s)
	if s.Watcher != nil {
		printWatcher(&b, s.Watcher)
	}
	printCounters(&b, s.Counters)
	printStates(&b, s)
	printFindings(&b, s)
	return write(w, []byte(b.String()))
}

func printWhose(b *strings.Builder, s *admin.Sockets) {
	at := s.Time.Local().Format("15:04:05")
	if s.PID > 0 {
		fmt.Fprintf(b, "%s  instance %d\n", at, s.PID)
		return
	}
	ports := make([]string, len(s.Ports))
	for i, p := range s.Ports {
		ports[i] = strconv.Itoa(int(p))
	}
	fmt.Fprintf(b, "%s  port %s\n", at, strings.Join(ports, ", "))
}

func printListeners(b *strings.Builder, s *admin.Sockets) {
	addresses, width := make([]string, len(s.Listeners)), 22
	for i, l := range s.Listeners {
		addresses[i] = l.Address.String()
		if l.Name != "" {
			addresses[i] += " (" + l.Name + ")"
		}
		width = max(width, len(addresses[i]))
	}
	for i, l := range s.Listeners {
		fmt.Fprintf(b, "  listening at %-*s accept queue %d of %d, SYN queue %d", width, addresses[i], l.Queue, l.Backlog, l.SYNQueue)
		if l.SYNBacklog != "" {
			fmt.Fprintf(b, " of %s", l.SYNBacklog)
		}
		b.WriteByte('\n')
	}
	if len(s.Listeners) == 0 {
		b.WriteString("  nothing listens here\n")
	}
	for _, u := range s.Upstreams {
		addresses := strings.Join(u.Addresses, ", ")
		if u.Name != addresses {
			addresses += " (" + u.Name + ")"
		}
		fmt.Fprintf(b, "  dialing      %s\n", addresses)
	}
}

// printWatcher says what the instance follows, and what escaped it.
func printWatcher(b *strings.Builder, w *admin.SocketWatcher) {
	fmt.Fprintf(b, "  following    %d open, %d closed and not gone yet; %d ended", w.Open, w.Following, w.Followed-min(w.Followed, uint64(w.Following)))
	if w.HalfOpen > 0 {
		fmt.Fprintf(b, "; %d attempts that came to nothing", w.HalfOpen)
	}
	b.WriteByte('\n')
	var lost []string
	for _, l := range []struct {
		n    uint64
		what string
	}{
		{w.Evicted, "sockets not followed to their end"}, {w.EarlyEvicted, "early observations"},
		{w.LostRecords, "records of tier sockops"}, {w.LostPackets, "packets of tier packet"},
		{w.Late, "observations that came too late"}, {w.Deaf, "connections whose hangups are not heard"},
	} {
		if l.n > 0 {
			lost = append(lost, fmt.Sprintf("%d %s", l.n, l.what))
		}
	}
	if len(lost) > 0 {
		wrapWords(b, "  lost         ", strings.Join(lost, ", "))
	}
	tiers := strings.Join(w.Tiers, ", ")
	for _, m := range w.Missing {
		tiers += fmt.Sprintf("; not %s, which needs %s", m.Tier, m.Need)
	}
	if len(w.Unasked) > 0 {
		tiers += "; not asked for by inspect.tcp: " + strings.Join(w.Unasked, ", ")
	}
	wrapWords(b, "  tiers        ", tiers)
}

// printCounters names what the kernel counted.
func printCounters(b *strings.Builder, counters map[string]uint64) {
	var grown []string
	for _, name := range slices.Sorted(maps.Keys(counters)) {
		grown = append(grown, fmt.Sprintf("%s +%d", name, counters[name]))
	}
	if len(grown) > 0 {
		wrapWords(b, "  kernel       ", strings.Join(grown, ", ")+" (of the whole network namespace)")
	}
}

// printStates writes the table of the eleven states.
func printStates(b *strings.Builder, s *admin.Sockets) {
	fmt.Fprintf(b, "\n%-14s %10s %8s   %10s %8s\n", "STATE", "ACCEPTED", "OLDEST", "DIALED", "OLDEST")
	for _, state := range s.States {
		row := fmt.Sprintf("%-14s %10s %8s   %10s %8s", state.State,
			countCell(state.Accepted), ageCell(state.AcceptedOldest), countCell(state.Dialed), ageCell(state.DialedOldest))
		b.WriteString(strings.TrimRight(row, " ") + "\n")
	}
}

func countCell(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// ageCell shows milliseconds.
func ageCell(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	switch {
	case d == 0:
		return ""
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// findingWidth is where the text of a finding is wrapped.
const findingWidth = 86

func printFindings(b *strings.Builder, s *admin.Sockets) {
	if len(s.Findings) == 0 {
		b.WriteString("\nnothing piles up\n")
		return
	}
	for i := range s.Findings {
		f := &s.Findings[i]
		mark := "·"
		if f.Urgent {
			mark = "!"
		}
		fmt.Fprintf(b, "\n%s %s: %d %s in %s", mark, f.Title, f.Count, f.Side, f.State)
		if f.OldestMS > 0 {
			fmt.Fprintf(b, ", the oldest for %s", ageCell(f.OldestMS))
		}
		b.WriteByte('\n')
		wrapWords(b, "  means  ", f.Meaning)
		wrapWords(b, "  do     ", f.Advice)
		for _, name := range settingNames(f.Settings) {
			fmt.Fprintf(b, "  now    %s = %s%s\n", name, f.Settings[name], unset(name, f.Settings[name]))
		}
		printPeers(b, f)
	}
}

// unset says of a setting that it leaves the matter to the kernel.
func unset(name, value string) string {
	if value == "0s" && (strings.HasSuffix(name, ".linger2") || strings.HasSuffix(name, ".user_timeout")) {
		return " (the kernel's choice)"
	}
	return ""
}

// settingNames puts the instance's own settings before the kernel's.
func settingNames(settings map[string]string) []string {
	kernels := func(name string) int {
		if strings.HasPrefix(name, "net.") {
			return 1
		}
		return 0
	}
	return slices.SortedFunc(maps.Keys(settings), func(a, b string) int {
		return cmp.Or(cmp.Compare(kernels(a), kernels(b)), cmp.Compare(a, b))
	})
}

func printPeers(b *strings.Builder, f *admin.SocketFinding) {
	var peers []string
	for _, p := range f.Peers {
		if !p.Address.IsValid() || p.Address.IsUnspecified() {
			continue // a listener has none
		}
		peers = append(peers, fmt.Sprintf("%s (%d)", p.Address, p.Count))
	}
	if len(peers) == 0 {
		return
	}
	if f.Others > 0 {
		peers = append(peers, fmt.Sprintf("others (%d)", f.Others))
	}
	wrapWords(b, "  peers  ", strings.Join(peers, ", "))
}

// wrapWords writes text behind head, and its further lines as far in.
func wrapWords(b *strings.Builder, head, text string) {
	b.WriteString(head)
	at := len(head)
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case at+1+len(word) > findingWidth:
			b.WriteString("\n" + strings.Repeat(" ", len(head)))
			at = len(head)
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	b.WriteByte('\n')
}
