package tcpwatch

import (
	"errors"
	"fmt"
)

// Missing is a tier that does not work here.
type Missing struct {
	Tier Source
	Err  error  // why
	Need string // what would make it work
}

// NeedSock is what [Start] needs for the tier that is always there.
const NeedSock = "Linux, its NETLINK_SOCK_DIAG (INET_DIAG), and a sandbox that permits AF_NETLINK"

// String says it in a line.
func (m Missing) String() string { return fmt.Sprintf("%s: %v; needs %s", m.Tier, m.Err, m.Need) }

// tier is one of the ways to see more than the sock tier does. It calls
// [Watcher.witness].
type tier interface {
	look(listen, dial []uint16) error // at these ports, and no others
	count(*Stats)                     // what it lost
	close() error                     // waits for its goroutine
}

func contains(tiers []Source, t Source) bool {
	for _, s := range tiers {
		if s == t {
			return true
		}
	}
	return false
}

// Tiers returns the tiers at work, and those that are not with what they need.
// Tiers that were not asked for are in neither: see [Watcher.Unasked].
func (w *Watcher) Tiers() (active []Source, missing []Missing) { return w.tiers, w.missing }

// Unasked returns the tiers that were not asked for, with what they need. They
// were not tried: Err is nil where this process has the capabilities, and matches
// fs.ErrPermission where it has not.
func (w *Watcher) Unasked() []Missing { return w.unasked }

// SetPorts changes the ports of [Options.Listen] and [Options.Dial]. If one of the
// tiers cannot look at the new ones, it says why, and the others do.
func (w *Watcher) SetPorts(listen, dial []uint16) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	var errs []error
	for i, t := range w.higher {
		if err := t.look(listen, dial); err != nil {
			errs = append(errs, fmt.Errorf("tier %s: %w", w.tiers[i+1], err)) // the first is sock
		}
	}
	return errors.Join(errs...)
}
