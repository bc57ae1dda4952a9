package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
	"mtlsproxy/proxy/event"
)

// visitTime bounds one played connection.
const visitTime = 3 * time.Second

// scenario is something that is played against the proxy, and a check that it
// came to what it is meant to show.
type scenario struct {
	name string
	play func(context.Context, *player) error
}

// scenarios are all there are, in the order in which `all` plays them.
func scenarios() []scenario {
	list := []scenario{
		{"ok", func(ctx context.Context, p *player) error { return p.visit(ctx, event.OK, p.get(p.as(p.files.alice))) }},
		{"no_certificate", func(ctx context.Context, p *player) error {
			return p.visit(ctx, event.ClientCertMissing, p.get(p.as(tls.Certificate{})))
		}},
	}
	for _, d := range ca.Defects() {
		list = append(list, scenario{string(d), func(ctx context.Context, p *player) error {
			return p.visit(ctx, faultReason(d.Fault()), p.get(p.as(p.files.bad[d])))
		}})
	}
	return append(list,
		scenario{"distrust", func(ctx context.Context, p *player) error {
			cfg := p.as(p.files.alice)
			cfg.RootCAs = p.files.foreign
			return p.visit(ctx, event.ServerCertUntrusted, p.get(cfg))
		}},
		scenario{"tls12", func(ctx context.Context, p *player) error {
			cfg := p.as(p.files.alice)
			cfg.MaxVersion = tls.VersionTLS12
			return p.visit(ctx, event.OK, p.get(cfg))
		}},
		scenario{"resumed", playResumed},
		scenario{"plain_http", func(ctx context.Context, p *player) error {
			return p.visit(ctx, event.NotTLSHTTP, func(c net.Conn) error { return p.request(c) })
		}},
		scenario{"tcp_probe", func(ctx context.Context, p *player) error {
			return p.visit(ctx, event.TCPProbe, func(net.Conn) error { return nil })
		}},
	)
}

// firstScreen are the scenarios a demo begins with: one that goes well, and the
// four failures people meet most.
var firstScreen = []string{"ok", "no_certificate", string(ca.Expired), string(ca.NoIntermediate), "distrust"}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// chooseScenarios returns what the flags ask for.
func chooseScenarios(o demoOptions) ([]scenario, error) {
	names := o.Scenarios
	switch {
	case o.NoTraffic || o.UpstreamOnly:
		return nil, nil
	case names == nil:
		names = firstScreen
	}
	var chosen []scenario
	for _, name := range names {
		if name = strings.TrimSpace(name); name == "all" {
			return scenarios(), nil
		}
		i := slices.IndexFunc(scenarios(), func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("--scenario %q is not one of all, %s", name, strings.Join(scenarioNames(), ", "))
		}
		chosen = append(chosen, scenarios()[i])
	}
	return chosen, nil
}

// faultReason is the reason code of a client's certificate at fault.
func faultReason(f certs.Fault) event.Reason {
	r, _ := event.ParseReason("client_" + f.String())
	return r
}

// player is a client of the demo's proxy.
type player struct {
	address string
	files   *demoFiles
	tally   *demoTally
}

// as returns the settings of a client that shows a certificate, whatever CAs the
// server names; an empty one is none.
func (p *player) as(c tls.Certificate) *tls.Config {
	return &tls.Config{
		RootCAs: p.files.roots, ServerName: "localhost",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil },
	}
}

// visit makes one connection, does something with it, and waits until the proxy
// has said how it ended. What the client meets is not looked at unless the
// connection is meant to go well.
func (p *player) visit(ctx context.Context, want event.Reason, do func(net.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, visitTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	unhook := context.AfterFunc(ctx, func() { conn.Close() })
	defer unhook()

	ended := p.tally.await(netip.MustParseAddrPort(conn.LocalAddr().String()))
	err = do(conn)
	conn.Close()
	select {
	case got := <-ended:
		if got != want {
			return errors.Join(fmt.Errorf("it ended as %s, want %s", got, want), err)
		}
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("waiting for its end: %w", ctx.Err()), err)
	}
	if want == event.OK {
		return err
	}
	return nil
}

// get returns what a client does that makes one request over TLS.
func (p *player) get(cfg *tls.Config) func(net.Conn) error {
	return func(conn net.Conn) error {
		c := tls.Client(conn, cfg)
		defer c.Close()
		return p.request(c)
	}
}

// request asks for the start page and reads the answer to its end.
func (p *player) request(conn net.Conn) error {
	_, port, err := net.SplitHostPort(p.address)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost:%s\r\nConnection: close\r\n\r\n", port); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	return err
}

// playResumed comes twice. The second handshake takes up the session of the
// first, and the client's certificate is not sent again.
func playResumed(ctx context.Context, p *player) error {
	cfg := p.as(p.files.alice)
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	if err := p.visit(ctx, event.OK, p.get(cfg)); err != nil {
		return err
	}
	var resumed bool
	err := p.visit(ctx, event.OK, func(conn net.Conn) error {
		c := tls.Client(conn, cfg)
		defer c.Close()
		err := p.request(c)
		resumed = c.ConnectionState().DidResume
		return err
	})
	if err == nil && !resumed {
		return errors.New("the session was not resumed")
	}
	return err
}
