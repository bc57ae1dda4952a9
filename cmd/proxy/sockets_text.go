package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"mtlsproxy/proxy/tcpwatch"
)

// printSurvey writes a survey for people. again says that one stands before it.
func printSurvey(w io.Writer, s *tcpwatch.Survey, again bool) error {
	var b strings.Builder
	if again {
		b.WriteByte('\n')
	}
	printListeners(&b, s)
	printStates(&b, s)
	printFindings(&b, s)
	return write(w, []byte(b.String()))
}

func printListeners(b *strings.Builder, s *tcpwatch.Survey) {
	ports := make([]string, len(s.Ports))
	for i, p := range s.Ports {
		ports[i] = strconv.Itoa(int(p))
	}
	fmt.Fprintf(b, "%s  port %s\n", s.Time.Format("15:04:05"), strings.Join(ports, ", "))
	for _, l := range s.Listeners {
		fmt.Fprintf(b, "  listening at %-22s accept queue %d of %d, SYN queue %d", l.Local, l.Queue.Length, l.Queue.Backlog, l.Pending)
		if most := synBacklog(s); most != "" {
			fmt.Fprintf(b, " of %s", most)
		}
		b.WriteByte('\n')
	}
	if len(s.Listeners) == 0 {
		b.WriteString("  nothing listens here\n")
	}
}

// printStates writes the table of the eleven states.
func printStates(b *strings.Builder, s *tcpwatch.Survey) {
	fmt.Fprintf(b, "\n%-14s %10s %8s   %10s %8s\n", "STATE", "ACCEPTED", "OLDEST", "DIALED", "OLDEST")
	for _, state := range tcpwatch.RFCStates {
		row := fmt.Sprintf("%-14s %10s %8s   %10s %8s", state,
			countCell(s.Accepted.Count[state]), ageCell(s.Accepted.Oldest[state]), countCell(s.Dialed.Count[state]), ageCell(s.Dialed.Oldest[state]))
		b.WriteString(strings.TrimRight(row, " ") + "\n")
	}
}

func countCell(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func ageCell(d time.Duration) string {
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

func printFindings(b *strings.Builder, s *tcpwatch.Survey) {
	if len(s.Findings) == 0 {
		b.WriteString("\nnothing piles up\n")
		return
	}
	for _, f := range s.Findings {
		mark := "·"
		if f.Urgent {
			mark = "!"
		}
		fmt.Fprintf(b, "\n%s %s: %d %s in %s", mark, f.Title, f.Group.Count, sideOf(&f), f.State)
		if f.Group.Oldest > 0 {
			fmt.Fprintf(b, ", the oldest for %s", ageCell(f.Group.Oldest))
		}
		b.WriteByte('\n')
		wrapWords(b, "  means  ", f.Meaning)
		wrapWords(b, "  do     ", f.Advice)
		for _, set := range f.Settings {
			fmt.Fprintf(b, "  now    %s = %s\n", set.Name, set.Value)
		}
		printPeers(b, &f)
	}
}

func printPeers(b *strings.Builder, f *tcpwatch.Finding) {
	var peers []string
	for _, p := range f.Group.Peers {
		if !p.Addr.IsValid() || p.Addr.IsUnspecified() {
			continue // a listener has none
		}
		peers = append(peers, fmt.Sprintf("%s (%d)", p.Addr, p.Count))
	}
	if len(peers) == 0 {
		return
	}
	if f.Group.Others > 0 {
		peers = append(peers, fmt.Sprintf("others (%d)", f.Group.Others))
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
