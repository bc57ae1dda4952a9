package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/configs"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sockopt"
)

// plan is what a configuration comes to once its certificates are read: all that
// is needed to open the listeners, or to change them.
type plan struct {
	listeners []plannedListener
	files     []string     // that the plan was made from, to be watched
	news      []event.Body // about the certificates it holds
	policies  *policyPlan
	tcp       tcpPlan
}

type plannedListener struct {
	name             string
	network, address string
	socket           sockopt.Options
	settings         proxy.Settings
	open             net.Listener // nil until it is
}

// makePlan reads the files a configuration names and makes the plan. Before is the
// plan in force, nil at the start. The findings are about those files and the
// policies; with an error among them there is no plan.
func makePlan(cfg *configs.Config, before *plan) (*plan, []configs.Finding) {
	var policies *policyPlan
	if before != nil {
		policies = before.policies
	}
	m := planner{plan: &plan{policies: planPolicy(cfg, policies, time.Now()), tcp: planTCP(&cfg.Inspect)}, upstreams: map[string]*proxy.Upstream{}}
	for _, name := range cfg.ListenerNames() {
		m.listener(cfg, name)
	}
	m.plan.fitDescriptors(descriptors())
	m.plan.keep(before)
	m.findings = append(m.findings, m.plan.policies.findings...)
	m.plan.files = append(m.plan.files, m.plan.policies.files...)
	m.plan.news = append(m.plan.news, m.plan.policies.news...)
	m.plan.files = slices.Compact(slices.Sorted(slices.Values(m.plan.files)))
	if n, _ := configs.Count(m.findings); n > 0 {
		return nil, m.findings
	}
	return m.plan, m.findings
}

// keep takes over from the plan in force what was found out when its listeners
// were opened.
func (p *plan) keep(before *plan) {
	if before == nil {
		return
	}
	p.tcp.watcher = before.tcp.watcher
	for i := range p.listeners {
		l := &p.listeners[i]
		l.settings.Inspect.TCP = p.tcp.watcher
		for _, old := range before.listeners {
			if old.name == l.name {
				l.settings.Effective, l.open = old.settings.Effective, old.open
			}
		}
	}
}

// checkFiles returns what is wrong with the files a configuration names.
func checkFiles(cfg *configs.Config) []configs.Finding {
	_, findings := makePlan(cfg, nil)
	return findings
}

type planner struct {
	plan      *plan
	findings  []configs.Finding
	upstreams map[string]*proxy.Upstream
}

func (m *planner) found(severity configs.Severity, key, format string, args ...any) {
	m.findings = append(m.findings, configs.Finding{Severity: severity, Key: key, Message: fmt.Sprintf(format, args...)})
}

func (m *planner) listener(cfg *configs.Config, name string) {
	ln := cfg.Listeners[name]
	key := "listeners." + name
	network, address := splitAddress(ln.Address)
	p := plannedListener{name: name, network: network, address: address, socket: listenerSocket(&ln.Socket)}
	if err := p.socket.Validate(); err != nil {
		m.found(configs.SevError, key+".socket", "%v", err)
	}
	pairs := m.keyPairs(key+".tls.certificates", &ln.TLS)
	own, named := m.plan.policies.listener(name, pairs)
	p.settings = proxy.Settings{
		Upstream: m.upstream(cfg, ln),
		TLS: proxy.TLS{
			Certificates:     certificates(pairs),
			MinVersion:       tlsVersion(ln.TLS.MinVersion),
			MaxVersion:       tlsVersion(ln.TLS.MaxVersion),
			CipherSuites:     ln.TLS.CipherSuiteIDs(),
			Curves:           ln.TLS.CurveIDs(),
			ALPN:             ln.TLS.ALPN,
			RejectUnknownSNI: ln.TLS.UnknownSNI == "reject",
			NoSessionTickets: !ln.TLS.SessionTickets,
			TicketSecrets:    m.ticketSecrets(key+".tls.ticket_keys_file", ln.TLS.TicketKeysFile),
		},
		ClientAuth:    own,
		ByName:        named,
		Recheck:       recheck(ln.ClientAuth.Recheck),
		RecheckByName: rechecks(ln.ServerNames),
		Timeouts: proxy.Timeouts{
			FirstByte: ln.Timeouts.FirstByte, Handshake: ln.Timeouts.Handshake, Idle: ln.Timeouts.Idle,
			Lifetime: ln.Timeouts.MaxLifetime, HalfClose: ln.Timeouts.HalfClose, AlertLinger: ln.Timeouts.AlertLinger,
		},
		Limits: proxy.Limits{
			Connections: ln.Limits.MaxConnections, Unauthenticated: ln.Limits.MaxUnauthenticated, Handshakes: ln.Limits.MaxHandshakes,
			PerIP: ln.Limits.PerIPConnections, PerIPUnauthenticated: ln.Limits.PerIPUnauthenticated,
			AcceptRate: float64(ln.Limits.AcceptRate), WaitAtConnection: ln.Limits.OnLimit == "wait",
		},
		Close:            closing(&ln.Close),
		Socket:           p.socket,
		CloseOnPlainHTTP: ln.PlainHTTP == "close",
		Inspect:          inspection(&cfg.Inspect),
	}
	m.plan.listeners = append(m.plan.listeners, p)
}

// keyPairs loads the key pairs of a listener, the default one first.
func (m *planner) keyPairs(key string, t *configs.ListenerTLS) []*certs.KeyPair {
	var out []*certs.KeyPair
	for _, name := range t.CertificateNames {
		c := t.Certificates[name]
		m.plan.files = append(m.plan.files, c.Cert, c.Key)
		pair, err := certs.LoadKeyPair(c.Cert, c.Key)
		if err != nil {
			m.found(configs.SevError, key+"."+name+"."+m.blame(err, c), "%v", err)
			continue
		}
		held := loaded("server", key+"."+name, c.Cert, []*x509.Certificate{pair.Leaf})
		for _, w := range pair.Warnings {
			if w.Code == certs.WarnExpiresSoon {
				m.remark(held.Key, w, event.CertExpiring{CertLoaded: held, Detail: w.Text})
			} else {
				m.warn("server", held.Key, w)
			}
		}
		m.plan.news = append(m.plan.news, held)
		out = append(out, pair)
	}
	return out
}

func certificates(pairs []*certs.KeyPair) []tls.Certificate {
	out := make([]tls.Certificate, len(pairs))
	for i, p := range pairs {
		out[i] = p.Certificate
	}
	return out
}

// blame names the setting an error of a key pair is about.
func (m *planner) blame(err error, c configs.Certificate) string {
	var file *certs.FileError
	if errors.As(err, &file) && file.Path == c.Key && c.Key != c.Cert {
		return "key"
	}
	return "cert"
}

// ticketSecrets loads the secrets that several instances share; none where there
// is no file.
func (m *planner) ticketSecrets(key, file string) [][32]byte {
	if file == "" {
		return nil
	}
	m.plan.files = append(m.plan.files, file)
	secrets, warnings, err := certs.LoadTicketKeys(file)
	if err != nil {
		m.found(configs.SevError, key, "%v", err)
	}
	for _, w := range warnings {
		m.warn("ticket_keys", key, w)
	}
	return secrets
}

func recheck(name string) proxy.Recheck {
	switch name {
	case "none":
		return proxy.RecheckNone
	case "report":
		return proxy.RecheckReport
	}
	return proxy.RecheckEnd
}

func rechecks(names map[string]configs.ServerName) map[string]proxy.Recheck {
	out := make(map[string]proxy.Recheck, len(names))
	for entry, sn := range names {
		out[entry] = recheck(sn.ClientAuth.Recheck)
	}
	return out
}

func (m *planner) warn(kind, key string, w certs.Warning) {
	m.remark(key, w, event.CertWarning{Kind: kind, Key: key, File: w.Path, Detail: w.Text})
}

// remark has a warning told, and news of it once the plan is in force.
func (m *planner) remark(key string, w certs.Warning, news event.Body) {
	m.found(configs.SevWarning, key, "%s", w)
	m.plan.news = append(m.plan.news, news)
}

// loaded tells what is in a file: the certificate that runs out first stands for
// them all.
func loaded(kind, key, file string, held []*x509.Certificate) event.CertLoaded {
	first := slices.MinFunc(held, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	return event.CertLoaded{
		Kind: kind, Key: key, File: file, Subject: certs.Subject(first), Serial: certs.Serial(first),
		NotAfter: first.NotAfter.UTC(), DaysLeft: int(time.Until(first.NotAfter).Hours() / 24), Count: len(held),
	}
}

func closing(c *configs.Close) proxy.Close {
	var out proxy.Close
	if c.Abort == "absorb" {
		out.Abort = proxy.AbsorbAbort
	}
	if c.Truncation == "abort" {
		out.Truncation = proxy.AbortTruncation
	}
	return out
}

// upstream returns the upstream a listener goes to; listeners that name the same
// one share it, so that its turns are shared too.
func (m *planner) upstream(cfg *configs.Config, ln configs.Listener) *proxy.Upstream {
	name, u := cfg.UpstreamFor(ln)
	if made, ok := m.upstreams[name]; ok {
		return made
	}
	made := &proxy.Upstream{Name: name, DialTimeout: u.DialTimeout, Socket: upstreamSocket(&u.Socket)}
	made.Socket.Source, _ = netip.ParseAddr(u.Source) // "" leaves it to the kernel
	if u.Balance == "round_robin" {
		made.Balance = proxy.RoundRobin
	}
	for _, a := range u.Address {
		network, address := splitAddress(a)
		made.Addresses = append(made.Addresses, proxy.Address{Network: network, Address: address})
	}
	if err := made.Socket.Validate(); err != nil {
		m.found(configs.SevError, "upstreams."+name+".socket", "%v", err)
	}
	m.upstreams[name] = made
	return made
}

// upstreams returns the upstreams of the plan, each once, by name.
func (p *plan) upstreams() []*proxy.Upstream {
	byName := map[string]*proxy.Upstream{}
	for _, l := range p.listeners {
		byName[l.settings.Upstream.Name] = l.settings.Upstream
	}
	var out []*proxy.Upstream
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, byName[name])
	}
	return out
}

// settings returns what the listeners do, by their names.
func (p *plan) settings() map[string]proxy.Settings {
	out := make(map[string]proxy.Settings, len(p.listeners))
	for _, l := range p.listeners {
		out[l.name] = l.settings
	}
	return out
}

func inspection(i *configs.Inspect) proxy.Inspect {
	level := map[string]proxy.Level{
		"none": proxy.InspectNone, "summary": proxy.InspectSummary, "messages": proxy.InspectMessages, "records": proxy.InspectRecords,
	}[i.Level]
	return proxy.Inspect{Level: level, Fingerprints: len(i.Fingerprints) > 0}
}

// splitAddress returns the network and address that "host:port" or "unix:PATH"
// stands for.
func splitAddress(s string) (network, address string) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return "unix", path
	}
	return "tcp", s
}

func tlsVersion(s string) uint16 {
	if s == "1.3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

func listenerSocket(c *configs.ListenerSocket) sockopt.Options {
	o := sockopt.Options{
		Backlog: c.Backlog, ReusePort: c.ReusePort, DeferAccept: c.DeferAccept, FastOpen: c.FastOpen,
		NoDelay: c.NoDelay, QuickAck: c.QuickACK, KeepAlive: keepAlive(c.KeepAlive), UserTimeout: c.UserTimeout,
		ReceiveBuffer: int(c.ReceiveBuffer), SendBuffer: int(c.SendBuffer), NotSentLowat: int(c.NotSentLowat),
		Linger2: int(c.Linger2 / time.Second), SynCount: c.SynCnt, Congestion: c.Congestion, MSS: c.MSS, DSCP: c.DSCP, Mark: c.Mark,
		Transparent: c.Transparent, FreeBind: c.FreeBind, BindDevice: c.BindDevice, TTL: c.TTL,
		WindowClamp: int(c.WindowClamp), MaxPacingRate: uint64(c.MaxPacingRate), SaveSYN: c.SaveSYN, Strict: c.Strict,
	}
	o.Linger = linger(c.Linger)
	return o
}

func upstreamSocket(c *configs.UpstreamSocket) sockopt.Options {
	o := sockopt.Options{
		FastOpenConnect: c.FastOpen, NoDelay: c.NoDelay, QuickAck: c.QuickACK, KeepAlive: keepAlive(c.KeepAlive),
		UserTimeout: c.UserTimeout, ReceiveBuffer: int(c.ReceiveBuffer), SendBuffer: int(c.SendBuffer),
		NotSentLowat: int(c.NotSentLowat), SynCount: c.SynCnt, Congestion: c.Congestion, MSS: c.MSS, DSCP: c.DSCP,
		Mark: c.Mark, BindDevice: c.BindDevice, TTL: c.TTL, WindowClamp: int(c.WindowClamp),
		MaxPacingRate: uint64(c.MaxPacingRate), Strict: c.Strict,
	}
	o.Linger = linger(c.Linger)
	return o
}

func keepAlive(k configs.KeepAlive) sockopt.KeepAlive {
	return sockopt.KeepAlive{Enabled: k.Enabled, Idle: k.Idle, Interval: k.Interval, Count: k.Count}
}

// linger leaves the close to the kernel for -1.
func linger(seconds int) *int {
	if seconds < 0 {
		return nil
	}
	return &seconds
}
