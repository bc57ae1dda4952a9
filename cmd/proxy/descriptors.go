package main

import (
	"cmp"
	"syscall"

	"mtlsproxy/proxy/event"
)

// Where descriptors run out, everybody suffers: those who come wait, those who
// were let in do not reach their upstream, and nobody can ask why. So there are
// never more connections than there are descriptors for, and at that limit the
// newcomers who keep us waiting make room, as at any other.

// How many descriptors a connection takes, and how many are for all else: what the
// process has open, operators, look-ups, the second address of a dial.
const (
	perConnection = 2
	setAside      = 64
)

// fitDescriptors lowers what the listeners may hold together to what files
// descriptors are enough for, each in proportion to what it asked for.
func (p *plan) fitDescriptors(files int) {
	fit := max(1, (files-min(setAside, files/4*3))/perConnection)
	asked := 0
	for i := range p.listeners {
		asked += wanted(&p.listeners[i], fit)
	}
	for i := range p.listeners {
		l := &p.listeners[i]
		limits := &l.settings.Limits
		before, value := limits.Connections, wanted(l, fit)
		if asked > fit {
			value = max(1, int(float64(value)*float64(fit)/float64(asked)))
		}
		if value == before {
			continue
		}
		limits.Connections, limits.FewDescriptors = value, true
		if before > 0 {
			p.news = append(p.news, event.LimitLowered{
				Listener: l.name, Key: "limits.max_connections", Asked: before, Value: value, Reason: event.LimitDescriptors,
			})
		}
	}
}

// wanted is how many connections a listener asks for: without a bound, all that
// are to be had.
func wanted(l *plannedListener, fit int) int { return cmp.Or(l.settings.Limits.Connections, fit) }

// manyDescriptors is taken for no limit.
const manyDescriptors = 1 << 30

// descriptors is how many this process may have open. The runtime has raised the
// limit as far as it goes.
func descriptors() int {
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) != nil {
		return manyDescriptors
	}
	return int(min(files.Cur, manyDescriptors))
}
