package main

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/configs"
	"mtlsproxy/policy"
	"mtlsproxy/proxy/event"
)

// policyPlan is what the policy settings of a configuration come to once the
// files they name are read. Everything that is wrong with them is in findings,
// whose keys are those of the configuration.
type policyPlan struct {
	rules       *policy.Rules                 // nil with an error among the findings
	revocations map[string]*policy.Revocation // by the key of their client_auth
	responders  map[string]*policy.OCSP       // likewise
	files       []string                      // to be watched
	news        []event.Body                  // about the certificates it holds
	findings    []configs.Finding

	cfg    *configs.Config
	before *policyPlan // nil at the start
	now    time.Time
}

// planPolicy compiles the rules. Listeners are added one by one. Before is the
// plan in force, nil at the start: a reload may not go back behind its revocation
// lists, and keeps what its responders have answered.
func planPolicy(cfg *configs.Config, before *policyPlan, now time.Time) *policyPlan {
	if before == nil {
		before = &policyPlan{}
	}
	p := &policyPlan{
		cfg: cfg, before: &policyPlan{revocations: before.revocations, responders: before.responders}, now: now,
		revocations: make(map[string]*policy.Revocation), responders: make(map[string]*policy.OCSP),
	}
	rules := make([]policy.Rule, len(cfg.Policy.Rules))
	for i := range rules {
		rules[i] = policyRule(&cfg.Policy.Rules[i])
	}
	var problems []policy.Problem
	p.rules, problems = policy.Compile(rules, policy.Action(cfg.Policy.Default), now)
	p.problems("policy.", problems)
	p.circumstances()
	return p
}

func policyRule(r *configs.Rule) policy.Rule {
	m := &r.Match
	return policy.Rule{
		Name: r.Name, Action: policy.Action(r.Action), NotBefore: r.NotBefore, NotAfter: r.NotAfter,
		Match: policy.Match{
			DNSSAN: m.DNSSAN, URISAN: m.URISAN, SPIFFEID: m.SPIFFEID, EmailSAN: m.EmailSAN, IPSAN: m.IPSAN,
			CN: m.CN, O: m.O, OU: m.OU, IssuerCN: m.IssuerCN, IssuerSHA256: m.IssuerSHA256,
			Serial: m.Serial, CertSHA256: m.CertSHA256, SPKISHA256: m.SPKISHA256,
			EKU: m.EKU, KeyType: m.KeyType, MinKeyBits: m.MinKeyBits, MinRemaining: m.MinRemaining,
			CIDR: m.CIDR, SNI: m.SNI, ALPN: m.ALPN, Listener: m.Listener, TLSVersion: m.TLSVersion,
			Time: policy.Window{From: m.Time.From, To: m.Time.To, Days: m.Time.Days, Zone: m.Time.Zone},
		},
	}
}

func (p *policyPlan) found(severity configs.Severity, key, format string, args ...any) {
	p.findings = append(p.findings, configs.Finding{Severity: severity, Key: key, Message: fmt.Sprintf(format, args...)})
}

func (p *policyPlan) problems(prefix string, problems []policy.Problem) {
	for _, q := range problems {
		severity := configs.SevWarning
		if q.Fatal {
			severity = configs.SevError
		}
		p.found(severity, prefix+q.Key, "%s", q.Text)
	}
}

// circumstances finds rules that ask for what no listener has.
func (p *policyPlan) circumstances() {
	var protocols, versions []string
	for _, ln := range p.cfg.Listeners {
		protocols = append(protocols, ln.TLS.ALPN...)
		for _, v := range []string{"1.2", "1.3"} {
			if ln.TLS.MinVersion <= v && v <= ln.TLS.MaxVersion {
				versions = append(versions, v)
			}
		}
	}
	for i, r := range p.cfg.Policy.Rules {
		key := fmt.Sprintf("policy.rules[%d].match.", i)
		for j, name := range r.Match.Listener {
			if _, ok := p.cfg.Listeners[name]; !ok {
				p.found(configs.SevError, fmt.Sprintf("%slistener[%d]", key, j), "no listener is called %q: there are %s", name, strings.Join(p.cfg.ListenerNames(), ", "))
			}
		}
		for j, proto := range r.Match.ALPN {
			if !slices.Contains(protocols, proto) {
				p.found(configs.SevWarning, fmt.Sprintf("%salpn[%d]", key, j), "can never match: no listener negotiates %q (tls.alpn)", proto)
			}
		}
		for j, v := range r.Match.TLSVersion {
			if !slices.Contains(versions, v) {
				p.found(configs.SevWarning, fmt.Sprintf("%stls_version[%d]", key, j), "can never match: no listener takes TLS %s", v)
			}
		}
	}
}

// listener returns the policies of a listener: its own, and those of its server
// names. Served are its own key pairs, which often come from the clients' CA.
func (p *policyPlan) listener(name string, served []*certs.KeyPair) (policy.ClientAuth, []policy.Named) {
	ln := p.cfg.Listeners[name]
	key := "listeners." + name
	own := p.clientAuth(key+".client_auth", &ln.ClientAuth, served)
	own.Listener = name
	var named []policy.Named
	for _, entry := range slices.Sorted(maps.Keys(ln.ServerNames)) {
		sn := ln.ServerNames[entry]
		a := p.clientAuth(key+".server_names."+entry+".client_auth", &sn.ClientAuth, served)
		a.Listener, a.Name = name, entry
		named = append(named, policy.Named{Key: entry, Names: sn.Names, Auth: &a})
	}
	_, problems := policy.NewByName(&own, named)
	p.problems(key+".server_names.", problems)
	return own, named
}

func (p *policyPlan) clientAuth(key string, c *configs.ClientAuth, served []*certs.KeyPair) policy.ClientAuth {
	mode, err := policy.ParseMode(c.Mode)
	if err != nil {
		p.found(configs.SevError, key+".mode", "%v", err)
	}
	a := policy.ClientAuth{
		Mode:         mode,
		Flag:         mode == policy.Request && c.OnInvalid == "flag",
		Report:       c.Enforcement == "report",
		HideCAs:      !c.AdvertiseCAs,
		MaxChainSize: int(c.MaxChainSize),
		Rules:        p.rules,
	}
	a.OwnVerification = c.Alerts == "precise"
	if mode == policy.None {
		return a
	}
	roots := p.pool(key+".ca", "client_ca", c.CA)
	if roots == nil {
		return a
	}
	a.Verifier = certs.Verifier{Roots: roots, Usage: x509.ExtKeyUsageClientAuth, MaxDepth: c.MaxDepth, Seen: &certs.Intermediates{}}
	if len(c.Intermediates) > 0 {
		a.Verifier.Intermediates = p.pool(key+".intermediates", "client_intermediate", c.Intermediates)
	}
	if a.OwnVerification || a.Verifier.Intermediates != nil {
		a.Memory = new(policy.ChainMemory)
	}
	p.learn(&a.Verifier, served)
	p.public(key+".ca", roots)
	a.Revocation = p.revocation(key, &c.Revocation, roots, a.Verifier.Intermediates)
	a.OCSP = p.responder(key, &c.OCSP)
	return a
}

// responder returns who is asked about clients, the one in force where it is to be
// asked as before.
func (p *policyPlan) responder(key string, c *configs.OCSP) *policy.OCSP {
	if c.Mode == "none" {
		return nil
	}
	o := p.before.responders[key]
	if o == nil || o.Mode != policy.Choice(c.Mode) || o.Responder != c.Responder || o.Timeout != c.Timeout || o.Nonce != c.Nonce {
		o = &policy.OCSP{Mode: policy.Choice(c.Mode), Responder: c.Responder, Timeout: c.Timeout, Nonce: c.Nonce}
	}
	p.responders[key] = o
	return o
}

// pool loads CA certificates; nil with an error among the findings.
func (p *policyPlan) pool(key, kind string, paths []string) *certs.Pool {
	p.files = append(p.files, paths...)
	pool, err := certs.LoadPool(paths...)
	if err != nil {
		p.found(configs.SevError, key, "%v", err)
		return nil
	}
	for _, w := range pool.Warnings() {
		p.found(configs.SevWarning, key, "%s", w)
		p.news = append(p.news, event.CertWarning{Kind: kind, Key: key, File: w.Path, Detail: w.Text})
	}
	p.news = append(p.news, loaded(kind, key, strings.Join(paths, ", "), pool.Certificates()))
	return pool
}

// learn shows the verifier our own chains. Often one CA issues for both sides;
// then they tell, from the first client on, which intermediate a client forgot.
func (p *policyPlan) learn(v *certs.Verifier, served []*certs.KeyPair) {
	own := *v
	own.Usage = x509.ExtKeyUsageAny
	for _, pair := range served {
		own.Verify(pair.Chain, p.now)
	}
}

func (p *policyPlan) revocation(key string, r *configs.Revocation, known ...*certs.Pool) *policy.Revocation {
	if r.Mode == "none" {
		return nil
	}
	p.files = append(p.files, r.CRL...)
	lists, warnings, err := certs.LoadCRLs(r.CRL...)
	if err != nil {
		p.found(configs.SevError, key+".revocation.crl", "%v", err)
		return nil
	}
	for _, w := range warnings {
		p.found(configs.SevWarning, key+".revocation.crl", "%s", w)
	}
	made, problems := policy.NewRevocation(policy.RevocationSettings{
		Mode: policy.Choice(r.Mode), Chain: r.Scope == "chain", MaxAge: r.MaxAge,
		OnStale: choice(r.OnStale), OnMissing: choice(r.OnMissing),
	}, lists, known, p.before.revocations[key], p.now)
	p.problems(key+".revocation.", problems)
	if made != nil {
		p.revocations[key] = made
	}
	return made
}

func choice(s string) policy.Choice {
	if s == "mode" {
		return policy.AsMode
	}
	return policy.Choice(s)
}
