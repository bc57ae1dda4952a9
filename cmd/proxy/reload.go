package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/configs"
	"mtlsproxy/proxy/event"
)

// reload reads the configuration and its files anew and puts them in force, all
// or nothing.
func (svc *service) reload(trigger string) {
	loaded, err := configs.Load(svc.src)
	if err != nil {
		svc.rejected(trigger, findingsOf(err))
		return
	}
	changes := configs.Changes(svc.loaded, loaded)
	var restart, changed []string
	for _, c := range changes {
		changed = append(changed, c.Key)
		if c.Restart {
			restart = append(restart, c.Key)
		}
	}
	if len(restart) > 0 {
		svc.tell(event.ConfigRejected{
			Trigger: trigger, NeedsRestart: restart,
			Findings: []string{"these keys take effect at a start only: undo them, or restart"},
		})
		return
	}
	p, findings := makePlan(loaded.Config, svc.plan)
	if p == nil {
		for i, f := range findings {
			findings[i] = loaded.Locate(f)
		}
		svc.rejected(trigger, findings)
		return
	}
	began, err := p.watchTCP(svc.log) // begins where inspect.level was none until now
	if err != nil {
		svc.rejected(trigger, []configs.Finding{{Severity: configs.SevError, Message: err.Error()}})
		return
	}
	if err := svc.server.Apply(p.settings()); err != nil {
		if began {
			p.unwatchTCP(0)
		}
		svc.rejected(trigger, []configs.Finding{{Severity: configs.SevError, Message: err.Error()}})
		return
	}
	if body := p.turned(svc.plan); body != nil {
		svc.log.Emit(processEvent(body))
	}
	svc.loaded, svc.plan = loaded, p
	svc.sockets.use(loaded, p)
	svc.telemetry.use(p)
	svc.log.apply(&loaded.Config.Logging)
	for _, body := range p.news {
		svc.log.Emit(processEvent(body))
	}
	svc.tell(event.ConfigLoaded{Trigger: trigger, Changed: changed})
}

func (svc *service) rejected(trigger string, findings []configs.Finding) {
	body := event.ConfigRejected{Trigger: trigger}
	for _, f := range findings {
		body.Findings = append(body.Findings, f.String())
	}
	svc.tell(body)
}

func findingsOf(err error) []configs.Finding {
	var bad *configs.Error
	if errors.As(err, &bad) {
		return bad.Findings
	}
	return []configs.Finding{{Severity: configs.SevError, Message: err.Error()}}
}

// fileWatch tells when the configuration or a certificate may have changed. A
// nil one never does.
type fileWatch struct {
	svc    *service
	ctx    context.Context // of the service, whose life it shares
	cancel context.CancelFunc
	files  []string
	seen   <-chan struct{}
}

// watch watches the files a plan was made from and the configuration itself,
// unless reload.watch says not to. What has become of them since is a change.
func (svc *service) watch(ctx context.Context, files []string, since certs.Look) *fileWatch {
	how := svc.loaded.Config.Reload
	if svc.loaded.File != "" {
		files = append(files[:len(files):len(files)], svc.loaded.File)
	}
	w := &fileWatch{svc: svc, ctx: ctx, files: files}
	if !how.Watch || len(files) == 0 {
		return w
	}
	inner, cancel := context.WithCancel(ctx)
	poll := how.Poll
	if poll == 0 {
		poll = -1
	}
	watcher, err := certs.Watch(inner, certs.WatchOptions{Files: files, Since: since, Debounce: max(how.Debounce, time.Millisecond), Poll: poll})
	if err != nil {
		cancel()
		svc.log.Emit(processEvent(event.CertWarning{Kind: "watch", Key: "reload.watch", Detail: err.Error()}))
		return w
	}
	if err := watcher.Degraded(); err != nil {
		svc.log.Emit(processEvent(event.CertWarning{Kind: "watch", Key: "reload.watch", Detail: unwatched(err, poll)}))
	}
	w.cancel, w.seen = cancel, watcher.Changes()
	return w
}

// unwatched says what becomes of files whose changes the system does not tell of.
func unwatched(why error, poll time.Duration) string {
	return fmt.Sprintf("%v; changes are found every %v only (reload.poll), or at a SIGHUP", why, poll)
}

// Changes returns the channel on which changes are told.
func (w *fileWatch) Changes() <-chan struct{} { return w.seen }

// reload reloads and returns the watch of what is in force then. What was looked
// at for it is not told again, refused or not; what is written meanwhile is.
func (w *fileWatch) reload(trigger string) *fileWatch {
	look := certs.LookAt(w.files)
	w.svc.reload(trigger)
	if w.cancel != nil {
		w.cancel()
	}
	return w.svc.watch(w.ctx, w.svc.plan.files, look)
}
