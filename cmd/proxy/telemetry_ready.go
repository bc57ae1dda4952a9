package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/admin"
	"mtlsproxy/proxy/event"
)

// checks are what must hold for the proxy to be ready.
func (t *telemetry) checks() []admin.Check {
	checks := []admin.Check{
		{Name: "listeners", Run: t.loaded}, // use is called when they are open …
		{Name: "config", Run: t.loaded},    // … by a configuration that is in force
		{Name: "certificates", Run: func() error { return t.served(time.Now()) }},
		{Name: "shutdown", Run: func() error {
			if t.draining.Load() {
				return errors.New("the proxy is being stopped")
			}
			return nil
		}},
	}
	if t.prober != nil {
		checks = append(checks, admin.Check{Name: "upstream", Run: t.prober.Err})
	}
	return checks
}

func (t *telemetry) loaded() error {
	if t.inUse.Load() == nil {
		return errors.New("the proxy is starting")
	}
	return nil
}

// served returns what is wrong with the certificates that clients are shown.
func (t *telemetry) served(now time.Time) error {
	p := t.inUse.Load()
	if p == nil {
		return errors.New("the proxy is starting")
	}
	least := t.cfg.Readiness.CertMinRemaining
	for _, c := range p.listeners {
		switch left := c.notAfter.Sub(now); {
		case now.Before(c.notBefore):
			return fmt.Errorf("a server certificate is not valid before %s", c.notBefore.UTC().Format(time.RFC3339))
		case left <= 0:
			return fmt.Errorf("a server certificate expired at %s", c.notAfter.UTC().Format(time.RFC3339))
		case left < least:
			return fmt.Errorf("a server certificate expires in %s, and telemetry.readiness.cert_min_remaining is %s", left.Round(time.Second), least)
		}
	}
	return nil
}

// changed tells that the proxy became ready, or is not any more.
func (t *telemetry) changed(failed []admin.Failing) {
	body := event.Readiness{Ready: len(failed) == 0}
	for _, f := range failed {
		body.Failed = append(body.Failed, f.Check+": "+f.Err.Error())
	}
	t.log.Emit(processEvent(body))
}

// reach dials the upstreams. Each must answer at one of its addresses.
func (t *telemetry) reach(ctx context.Context) error {
	p := t.inUse.Load()
	if p == nil {
		return t.loaded()
	}
	answers := make(chan error, len(p.upstreams))
	for _, u := range p.upstreams {
		go func() { answers <- reachOne(ctx, u) }()
	}
	var failed []error
	for range p.upstreams {
		failed = append(failed, <-answers)
	}
	return errors.Join(failed...)
}

// reachOne dials all addresses of an upstream at once, and returns nil where one
// answers.
func reachOne(ctx context.Context, u *proxy.Upstream) error {
	answers := make(chan error, len(u.Addresses))
	for _, a := range u.Addresses {
		go func() { answers <- u.Reach(ctx, a) }()
	}
	var texts []string
	var reached bool
	for range u.Addresses { // all of them: nobody is left behind
		if err := <-answers; err != nil {
			texts = append(texts, err.Error())
		} else {
			reached = true
		}
	}
	if reached {
		return nil
	}
	return fmt.Errorf("no address of upstream %s answers: %s", u.Name, strings.Join(texts, "; "))
}
