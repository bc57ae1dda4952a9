package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"

	"mtlsproxy/configs"
	"mtlsproxy/proxy/admin"
	"mtlsproxy/proxy/event"
)

// door is the operator's way to a running instance: the journals it keeps, how
// its sockets stand, and the unix sockets on which `proxy explain`, `proxy conns`
// and `proxy sockets` ask for that.
type door struct {
	journals *admin.Journals // nil where no finished connection is kept
	sockets  *ownSockets

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// newDoor returns a door that is still closed, and keeps journals from now on.
func newDoor(i *configs.Inspect) *door {
	if i.RingConnections == 0 {
		return &door{sockets: newOwnSockets()}
	}
	return &door{sockets: newOwnSockets(), journals: admin.NewJournals(admin.JournalsOptions{
		Ring: i.RingConnections, Size: int64(i.RingSize), Failed: i.KeepFailed,
	})}
}

// sink returns what is to hear the events besides log.
func (d *door) sink(log event.Sink) event.Sink {
	if d.journals == nil {
		return log
	}
	return event.Tee(log, d.journals)
}

// adminSockets returns where the configuration wants the sockets.
func adminSockets(a *configs.Admin) []admin.Socket {
	switch a.Socket {
	case "none":
		return nil
	case "auto":
		return []admin.Socket{admin.DefaultSocket(os.Getenv)}
	}
	return []admin.Socket{{Path: a.Socket, From: "admin.socket"}}
}

// open opens the sockets. One whose place the configuration leaves to us may be
// held by another instance: that is told and does not stop the start. One that
// was asked for by its path must open.
func (d *door) open(sockets []admin.Socket, info func() admin.Info, log event.Sink) error {
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	var open []net.Listener
	for _, s := range sockets {
		ln, err := admin.Listen(s)
		if err == nil {
			open = append(open, ln)
			continue
		}
		if s.From != "admin.socket" {
			log.Emit(processEvent(event.AdminUnavailable{Socket: s.Path, Detail: err.Error()}))
			continue
		}
		for _, ln := range open {
			ln.Close()
		}
		code := exOSErr
		if errors.Is(err, os.ErrPermission) {
			code = exNoPerm
		}
		return exitWith(code, fmt.Errorf("opening the admin socket: %w", err))
	}
	for _, ln := range open {
		d.wg.Go(func() { _ = admin.Serve(ctx, ln, admin.API{Journals: d.journals, Info: info, Sockets: d.sockets.look}) })
	}
	return nil
}

// close closes the sockets and waits until nobody is being answered.
func (d *door) close() {
	if d.stop != nil {
		d.stop()
	}
	d.wg.Wait()
}

// info returns what runs, for whoever asks at the door.
func (svc *service) info(ready event.ProxyReady) func() admin.Info {
	listeners := make(map[string]admin.ListenerInfo, len(ready.Listeners))
	for _, l := range ready.Listeners {
		listeners[l.Name] = admin.ListenerInfo{Address: l.Address, Upstream: l.Upstream, ClientAuth: l.ClientAuth}
	}
	file := svc.loaded.File
	return func() admin.Info {
		return admin.Info{
			Version: version, Go: runtime.Version(), PID: os.Getpid(), Config: file,
			Started: admin.Time{Time: processStart}, Listeners: listeners,
		}
	}
}
