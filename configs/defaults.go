package configs

import (
	"maps"
	"reflect"
	"sync"
	"time"
)

// designed is every default as it is meant to be once all features are built.
func designed() Config {
	return Config{
		Version: 1,
		Listeners: map[string]Listener{"*": {
			Address:       "127.0.0.1:8443",
			Upstream:      "app",
			ProxyProtocol: AcceptProxy{Accept: "none", Trusted: []string{}, Timeout: time.Second},
			PlainHTTP:     "explain",
			TLS: ListenerTLS{
				Certificates: map[string]Certificate{"*": {Cert: "certs/server.pem", Key: "certs/server-key.pem"}},
				MinVersion:   "1.2", MaxVersion: "1.3",
				CipherSuites: []string{}, Curves: []string{}, ALPN: []string{},
				UnknownSNI: "default", SessionTickets: true, TicketPolicyRecheck: true,
			},
			ClientAuth:  designedClientAuth(),
			ServerNames: map[string]ServerName{"*": {Names: []string{}, ClientAuth: designedClientAuth()}},
			Timeouts: Timeouts{
				Handshake: 10 * time.Second, FirstByte: 5 * time.Second, Idle: 5 * time.Minute,
				HalfClose: time.Minute, AlertLinger: 500 * time.Millisecond,
			},
			Limits: Limits{MaxConnections: 10000, MaxUnauthenticated: 2000, MaxHandshakes: 256, OnLimit: "close"},
			Close:  Close{Abort: "propagate", Truncation: "pass"},
			Socket: ListenerSocket{NoDelay: true, KeepAlive: designedKeepAlive(), Linger: -1, SaveSYN: true},
		}},
		Upstreams: map[string]Upstream{"*": {
			Address: []string{"127.0.0.1:9000"}, Balance: "first_up", DialTimeout: 5 * time.Second,
			TLS:           UpstreamTLS{Mode: "plain", CA: []string{}, MinVersion: "1.2"},
			ProxyProtocol: SendProxy{Send: "none", TLVs: []string{}},
			Health:        Health{Kind: "none", Interval: 10 * time.Second, Timeout: 2 * time.Second},
			Socket:        UpstreamSocket{NoDelay: true, KeepAlive: designedKeepAlive(), Linger: -1},
		}},
		Policy: Policy{Default: "allow", Rules: []Rule{}},
		Inspect: Inspect{
			Level: "messages", RingConnections: 1000, RingSize: 64 << 20, KeepFailed: 200,
			Fingerprints: []string{"ja3", "ja4"}, TCP: []string{"sock"}, Keylog: "none", CaptureSecrets: "handshake", Redact: []string{},
		},
		Logging: Logging{
			Level: "info", Format: "auto", Schema: "otel", Output: "stderr",
			Phases: true, Probes: "debug", RepeatWindow: time.Minute,
		},
		Telemetry: Telemetry{Address: "none", Metrics: true, NativeHistograms: true},
		Admin:     Admin{Socket: "auto", UI: "127.0.0.1:4440", AllowHosts: []string{}, Allow: []string{"read"}},
		Reload:    Reload{Watch: true, Poll: 30 * time.Second, Debounce: 500 * time.Millisecond},
		Shutdown:  Shutdown{Timeout: 30 * time.Second},
		Sandbox:   Sandbox{Landlock: "best_effort", NoNewPrivs: true},
	}
}

func designedClientAuth() ClientAuth {
	return ClientAuth{
		Mode: "require", Enforcement: "enforce", OnInvalid: "reject",
		CA: []string{"certs/ca.pem"}, Intermediates: []string{}, AdvertiseCAs: true,
		MaxDepth: 4, MaxChainSize: 64 << 10,
		Revocation: Revocation{Mode: "none", CRL: []string{}, Scope: "leaf", OnStale: "mode", OnMissing: "mode"},
		OCSP:       OCSP{Mode: "none", Timeout: 2 * time.Second, Nonce: true},
		Recheck:    "end", Alerts: "precise",
	}
}

// designedKeepAlive finds a dead peer after 15 s + 9 × 15 s.
func designedKeepAlive() KeepAlive {
	return KeepAlive{Enabled: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 9}
}

// intendedDefaults maps the path of each key, with *, to its intended default.
var intendedDefaults = sync.OnceValue(func() map[string]any {
	c := designed()
	return valuesOf(&c, allEntries)
})

// defaults maps the path of each key, with *, to the default in force: the
// intended one, or the off value of a feature that is not built.
var defaults = sync.OnceValue(func() map[string]any {
	in := maps.Clone(intendedDefaults())
	for key, f := range leaves(allEntries) {
		u, ok := unbuiltKey(key)
		if !ok || u.refuses(f, in[key], in[key]) == nil {
			continue
		}
		v, err := f.parseText(u.only[0])
		if err != nil {
			panic("configs: internal error: off value of " + key + ": " + err.Error())
		}
		in[key] = v
	}
	return in
})

// Default is the configuration in force if nothing is set. The caller owns it.
func Default() *Config {
	l, err := Load(Source{})
	if err != nil {
		panic("configs: internal error: the defaults are refused: " + err.Error())
	}
	return l.Config
}

// defaultUpstream returns an upstream of which nothing is set.
func defaultUpstream() (u Upstream) {
	fill(lookup("upstreams.*"), reflect.ValueOf(&u).Elem())
	return u
}

// fill sets the values of a section to their defaults. It holds no maps.
func fill(f *field, v reflect.Value) {
	for _, c := range f.children {
		if c.kind == section {
			fill(c, v.Field(c.index))
		} else {
			v.Field(c.index).Set(reflect.ValueOf(defaults()[c.path]))
		}
	}
}

// valuesOf flattens a configuration: the path of each key to its value.
func valuesOf(c *Config, entries func(string) []string) map[string]any {
	values := make(map[string]any)
	flatten(schema(), "", reflect.ValueOf(c).Elem(), entries, values)
	return values
}

func flatten(f *field, path string, v reflect.Value, entries func(string) []string, into map[string]any) {
	for _, c := range f.children {
		p, cv := join(path, c.name), v.Field(c.index)
		switch c.kind {
		case section:
			flatten(c, p, cv, entries, into)
		case named:
			for _, name := range entries(p) {
				if entry := cv.MapIndex(reflect.ValueOf(name)); entry.IsValid() {
					flatten(c, join(p, name), entry, entries, into)
				}
			}
		default:
			into[p] = cv.Interface()
		}
	}
}
