package configs

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFileFindings(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		want       []string
	}{
		{"an unknown section is named with the one that was meant", "version: 1\n\n# a comment\nlistner:\n  main: {}\n",
			[]string{`p.yaml:4:1  unknown key "listner" – did you mean "listeners"?`}},
		{"a misspelt section does not make others seem unused", "listner: {main: {upstream: api}}\nupstreams: {api: {}}\n",
			[]string{`p.yaml:1:1  unknown key "listner" – did you mean "listeners"?`}},
		{"an unknown key below says where", "listeners: {main: {timeouts: {idel: 5m}}}",
			[]string{`p.yaml:1:31  listeners.main.timeouts: unknown key "idel" – did you mean "idle"?`}},
		{"a key in the wrong section is sent to the right one", "listeners: {main: {handshake: 5m}}",
			[]string{`p.yaml:1:20  listeners.main: unknown key "handshake" – it belongs under timeouts: did you mean "timeouts.handshake"?`}},
		{"a dash is not an underscore", "listeners: {main: {client-auth: {}}}",
			[]string{`p.yaml:1:20  listeners.main: unknown key "client-auth" – did you mean "client_auth"?`}},
		{"a foreign key gets the keys that are there", "shutdown: {zebra: 1}",
			[]string{`p.yaml:1:12  shutdown: unknown key "zebra" – the keys here are delay, timeout`}},
		{"a value outside an enumeration lists it", "listeners:\n  main:\n    client_auth:\n      mode: requires\n",
			[]string{`p.yaml:4:13  listeners.main.client_auth.mode: "requires" is not one of none, request, require – did you mean "require"?`}},
		{"off is explained", "listeners: {main: {client_auth: {mode: off}}}",
			[]string{`p.yaml:1:40  listeners.main.client_auth.mode: "off" is not one of none, request, require – write none: YAML 1.1 tools turn off into a boolean, so no value here is called that`}},
		{"false, which off became, is explained", "listeners: {main: {client_auth: {mode: false}}}",
			[]string{`p.yaml:1:40  listeners.main.client_auth.mode: "false" is not one of none, request, require – write none: YAML 1.1 tools turn false into a boolean, so no value here is called that`}},
		{"yes is no boolean", "reload: {watch: yes}",
			[]string{`p.yaml:1:17  reload.watch: "yes" is not true or false – write true`}},
		{"a duration needs its unit", "shutdown: {delay: 5}",
			[]string{`p.yaml:1:19  shutdown.delay: "5" has no unit – did you mean 5s?`}},
		{"a duration is not negative", "shutdown: {delay: -5s}",
			[]string{`p.yaml:1:19  shutdown.delay: "-5s" is negative`}},
		{"a duration has to be one", "shutdown: {delay: soon}",
			[]string{`p.yaml:1:19  shutdown.delay: "soon" is not a duration: write a number with ms, s, m, h or d`}},
		{"a handshake needs time", "listeners: {main: {timeouts: {handshake: 0s, first_byte: 0s}}}",
			[]string{`p.yaml:1:42  listeners.main.timeouts.handshake: 0s is less than 1ms`}},
		{"the kernel counts keep-alive in seconds", "listeners: {main: {socket: {keepalive: {idle: 1500ms}}}}",
			[]string{`p.yaml:1:47  listeners.main.socket.keepalive.idle: "1500ms" is not a whole number of seconds, and the kernel counts in those`}},
		{"a size has a binary unit", "listeners: {main: {client_auth: {max_chain_size: 64KB}}}",
			[]string{`p.yaml:1:50  listeners.main.client_auth.max_chain_size: "64KB" is not a size – did you mean 64KiB?`}},
		{"a size has bounds", "listeners: {main: {client_auth: {max_chain_size: 1GiB}}}",
			[]string{`p.yaml:1:50  listeners.main.client_auth.max_chain_size: 1GiB is more than 256KiB`}},
		{"a number has bounds, and 0 a meaning", "listeners: {main: {socket: {mss: 3, dscp: 64, syncnt: 1.5}}}",
			[]string{`p.yaml:1:34  listeners.main.socket.mss: 3 is less than 88 (0 is the kernel's choice)`,
				`p.yaml:1:43  listeners.main.socket.dscp: 64 is more than 63`,
				`p.yaml:1:55  listeners.main.socket.syncnt: "1.5" is not a whole number`}},
		{"a number is not negative", "listeners: {main: {limits: {accept_rate: -1}}}",
			[]string{`p.yaml:1:42  listeners.main.limits.accept_rate: -1 is negative`}},
		{"telemetry is no listener", "telemetry: {address: ':8443'}",
			[]string{`p.yaml:1:22  telemetry.address: :8443 is taken by listeners.main (127.0.0.1:8443)`}},
		{"telemetry is no unix socket", "telemetry: {address: 'unix:/run/x.sock'}",
			[]string{`p.yaml:1:22  telemetry.address: "unix:/run/x.sock" is not host:port or none`}},
		{"readiness is asked by somebody", "telemetry: {readiness: {upstream: true, cert_min_remaining: 1d}}",
			[]string{`p.yaml:1:35  warning: telemetry.readiness.upstream: has no effect with telemetry.address none: nobody can ask`,
				`p.yaml:1:61  warning: telemetry.readiness.cert_min_remaining: has no effect with telemetry.address none: nobody can ask`}},
		{"a section is not a value", "listeners: {main: {timeouts: 5s}}",
			[]string{`p.yaml:1:30  listeners.main.timeouts: is a section with keys of its own, not a single value`}},
		{"a value is not a list", "shutdown: {delay: [5s]}",
			[]string{`p.yaml:1:19  shutdown.delay: has to be a single value (duration, such as 500ms, 10s, 5m, 7d), not a list`}},
		{"a list is not a section", "inspect: {fingerprints: {a: b}}",
			[]string{`p.yaml:1:25  inspect.fingerprints: has to be a list, not a section`}},
		{"rules are a list", "policy: {rules: {a: b}}", []string{`p.yaml:1:17  policy.rules: has to be a list, not a section`}},
		{"an item is not a list", "shutdown: &a {}\ninspect: {fingerprints: [[ja3], *a]}\n",
			[]string{`p.yaml:2:26  inspect.fingerprints: has to be a list of single values, not a list`,
				`p.yaml:2:33  inspect.fingerprints: anchors and aliases (*a) are not read: write the value out`}},
		{"listeners are not a list", "listeners:\n  - address: :1\n",
			[]string{`p.yaml:2:3  listeners: maps names to sections, not a list`}},
		{"a file is not a list", "- a\n", []string{`p.yaml:1:1  the file holds keys such as listeners and upstreams, not a list`}},
		{"nothing is no value", "logging: {level: }",
			[]string{`p.yaml:1:18  logging.level: has no value: give it one, or delete the line to have the default info`}},
		{"nothing in a list", "listeners: {main: {client_auth: {ca: [a.pem, ~]}}}",
			[]string{`p.yaml:1:46  listeners.main.client_auth.ca: item 2 has no value`}},
		{"a key twice", "logging:\n  level: info\n  level: warn\n",
			[]string{`p.yaml:3:3  logging.level: is set twice, first on line 2: take one out`}},
		{"a name with capitals", "upstreams: {App-1: {}}",
			[]string{`p.yaml:1:13  upstreams: "App-1" is not a name: use lower-case letters, digits and _`}},
		{"another version", "version: 2", []string{`p.yaml:1:10  version: "2" is not 1, which is all there is`}},
		{"anchors are refused where they are used", "logging: &a {level: info}\nshutdown: *a\n",
			[]string{`p.yaml:2:11  shutdown: anchors and aliases (*a) are not read: write the value out`}},
		{"merge keys are refused", "logging: &a {level: info}\nshutdown:\n  <<: *a\n",
			[]string{`p.yaml:3:3  shutdown: merge keys (<<) are not read: write the values out`}},
		{"tags are refused", "logging: {level: !!str info, output: !x y}",
			[]string{`p.yaml:1:18  logging.level: YAML tags (!!str) are not read: write the value without it`,
				`p.yaml:1:38  logging.output: YAML tags (!x) are not read: write the value without it`}},
		{"a key that is a list", "[a, b]: 1", []string{`p.yaml:1:1  a key has to be a plain word`}},
		{"a second document", "version: 1\n---\nversion: 1\n",
			[]string{`p.yaml:2:1  a second document begins here; one file holds one configuration`}},
		{"broken YAML", "logging:\n  level: [info\n",
			[]string{`p.yaml:2  not YAML: did not find expected ',' or ']'`}},
		{"broken YAML on the first line", "{a: b", []string{`p.yaml:1  not YAML: did not find expected ',' or '}'`}},
		{"a colon too many", "version: 1\nlogging:\n  level: a: b\n",
			[]string{`p.yaml:3  not YAML: mapping values are not allowed in this context`}},
		{"a key that is indented wrongly", "logging:\n  level: info\n format: json\n",
			[]string{`p.yaml:3  not YAML: did not find expected key`}},
		{"tabs", "logging:\n\tlevel: info\n",
			[]string{`p.yaml:2:1  not YAML: found character that cannot start any token – indent with spaces, not tabs`}},
		{"a policy rule is read, and not built", "policy:\n  rules:\n    - {name: a, action: permit, match: {cnn: x, cidr: 10.0.0.1/8}}\n    - {action: deny}\n",
			[]string{`p.yaml:3:25  policy.rules[0].action: "permit" is not one of allow, deny`,
				`p.yaml:3:41  policy.rules[0].match: unknown key "cnn" – did you mean "cn"?`,
				`p.yaml:3:55  policy.rules[0].match.cidr: "10.0.0.1/8" has bits beyond its prefix – did you mean "10.0.0.0/8"?`,
				`p.yaml:4:7  policy.rules[1]: lacks its name`}},
		{"all findings come at once, in the order of the file", "shutdown: {delay: x}\nlogging: {level: x}\nlisteners: {main: {plain_http: x}}\n",
			[]string{`p.yaml:1:19  shutdown.delay: "x" is not a duration: write a number with ms, s, m, h or d`,
				`p.yaml:2:18  logging.level: "x" is not one of debug, info, warn, error`,
				`p.yaml:3:32  listeners.main.plain_http: "x" is not one of explain, close`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, findings(t, yamlSource(tt.file))); diff != "" {
				t.Errorf("findings of %q (-want +got):\n%s", tt.file, diff)
			}
		})
	}
}

func TestCrossChecks(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		want       []string
	}{
		{"an upstream that is not there", "listeners: {main: {upstream: ap}}\nupstreams: {app: {}}",
			[]string{`p.yaml:1:30  listeners.main.upstream: no upstream is called "ap" – did you mean "app"?`,
				`p.yaml:2:13  warning: upstreams.app: no listener goes here`}},
		{"an upstream that is not there by default", "listeners:\n  main: {}\nupstreams:\n  backend: {}\n",
			[]string{`p.yaml:2:3  listeners.main.upstream: no upstream is called "app": there are backend (the default; set it)`,
				`p.yaml:4:3  warning: upstreams.backend: no listener goes here`}},
		{"two listeners at one address", "listeners:\n  a: {address: '[::]:8443'}\n  b: {address: '0.0.0.0:8443'}\n",
			[]string{`p.yaml:3:16  listeners.b.address: :8443 is the address of listeners.a already`}},
		{"two listeners at the default address", "listeners:\n  a:\n  b:\n",
			[]string{`p.yaml:3:3  listeners.b.address: 127.0.0.1:8443 is the address of listeners.a already (the default; give this listener its own)`}},
		{"two listeners at port 0", "listeners: {a: {address: ':0'}, b: {address: ':0'}}", []string{}},
		{"two listeners that overlap", "listeners:\n  a: {address: ':8443'}\n  b: {address: '127.0.0.1:8443'}\n",
			[]string{`p.yaml:3:16  warning: listeners.b.address: 127.0.0.1:8443 and :8443 of listeners.a overlap: binding the second is refused unless both have reuse_port`}},
		{"versions the wrong way round", "listeners: {main: {tls: {min_version: 1.3, max_version: 1.2}}}",
			[]string{`p.yaml:1:39  listeners.main.tls.min_version: min_version 1.3 is above max_version 1.2`}},
		{"suites that TLS 1.3 fixes", "listeners: {main: {tls: {cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_RSA_WITH_RC4_128_SHA, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA25]}}}",
			[]string{`p.yaml:1:42  listeners.main.tls.cipher_suites: "TLS_AES_128_GCM_SHA256" belongs to TLS 1.3, whose suites are fixed: take it out`,
				`p.yaml:1:66  listeners.main.tls.cipher_suites: "TLS_RSA_WITH_RC4_128_SHA" is insecure and not offered: take it out`,
				`p.yaml:1:92  listeners.main.tls.cipher_suites: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA25" is not a cipher suite of TLS 1.2 – did you mean "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"?`}},
		{"suites without effect", "listeners: {main: {tls: {min_version: '1.3', cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]}}}",
			[]string{`p.yaml:1:61  warning: listeners.main.tls.cipher_suites: has no effect: min_version is 1.3, and its suites are fixed`}},
		{"no CA to verify with", "listeners: {main: {client_auth: {ca: []}}}",
			[]string{`p.yaml:1:38  listeners.main.client_auth.ca: mode require needs at least one CA to verify client certificates with`}},
		{"flag without request", "listeners: {main: {client_auth: {on_invalid: flag}}}",
			[]string{`p.yaml:1:46  listeners.main.client_auth.on_invalid: flag goes with mode request, and mode is require`}},
		{"nothing to verify", "listeners: {main: {client_auth: {mode: none, ca: [a.pem], enforcement: report}}}",
			[]string{`p.yaml:1:50  warning: listeners.main.client_auth.ca: has no effect with mode none: no client certificate is asked for`,
				`p.yaml:1:72  warning: listeners.main.client_auth.enforcement: has no effect with mode none: nothing would be refused`}},
		{"a first byte after the handshake", "listeners: {main: {timeouts: {first_byte: 11s}}}",
			[]string{`p.yaml:1:43  warning: listeners.main.timeouts.first_byte: 11s is longer than handshake (10s), which ends first`}},
		{"a circle", "upstreams:\n  app:\n    address:\n      - 127.0.0.1:9000\n      - 127.0.0.1:8443\n",
			[]string{`p.yaml:5:9  upstreams.app.address: 127.0.0.1:8443 is where listeners.main listens: connections would go round in a circle`}},
		{"a listener is not its own upstream", "listeners: {main: {address: ':8443', upstream: '0.0.0.0:8443'}}",
			[]string{`p.yaml:1:48  listeners.main.upstream: 0.0.0.0:8443 is where this listener listens: connections would go round in a circle`}},
		{"an upstream without addresses", "upstreams: {app: {address: []}}",
			[]string{`p.yaml:1:28  upstreams.app.address: at least one address is needed`}},
		{"ways to watch TCP beside auto", "inspect: {tcp: [auto, packet]}",
			[]string{`p.yaml:1:16  inspect.tcp: auto stands alone: it is all that work; write auto, or name the ways`}},
		{"ways to watch TCP beside none", "inspect: {tcp: [sock, none]}",
			[]string{`p.yaml:1:16  inspect.tcp: none stands alone: it is no way to watch; write none, or the ways`}},
		{"no way to watch TCP", "inspect: {tcp: []}", []string{`p.yaml:1:16  inspect.tcp: is empty: write sock, or none`}},
		{"one way to watch TCP, without brackets", "inspect: {tcp: packet}", []string{}},
		{"a way to watch TCP that is not there", "inspect: {tcp: [sock, ebpf]}",
			[]string{`p.yaml:1:23  inspect.tcp: "ebpf" is not one of auto, sock, sockops, packet, none`}},
		{"an address twice", "upstreams: {app: {address: [a:1, a:1]}}",
			[]string{`p.yaml:1:34  upstreams.app.address: a:1 is listed twice`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, findings(t, yamlSource(tt.file))); diff != "" {
				t.Errorf("findings of %q (-want +got):\n%s", tt.file, diff)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8443": "", ":8443": "", "[::1]:0": "", "localhost:1": "", "unix:/run/x": "", "unix:x": "",
		"":                                  "an address is missing",
		"8443":                              `did you mean ":8443"?`,
		"https://x:1":                       "is a URL",
		"::1:8443":                          `lacks the brackets of an IPv6 address – did you mean "[::1]:8443"?`,
		"::1":                               "lacks a port: write [::1]:PORT",
		"127.0.0.1":                         "lacks a port: write 127.0.0.1:PORT",
		"/run/x":                            `did you mean "unix:/run/x"?`,
		"localhost":                         "write host:port or unix:PATH",
		"localhost:":                        "has no port from 0 to 65535",
		"localhost:https":                   "has no port from 0 to 65535",
		"localhost:65536":                   "has no port from 0 to 65535",
		"1.2.3.400:1":                       "no valid IP address",
		"a b:1":                             "no valid host name",
		"unix:":                             "lacks the path",
		"unix:/" + strings.Repeat("x", 107): "has a path of 108 bytes",
		"systemd:":                          "lacks the name",
	} {
		err := isListenAddress(address)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("isListenAddress(%q) = %v, want %q", address, err, want)
		}
	}
	for address, want := range map[string]string{
		"h:1": "", "app": "", ":80": `did you mean "127.0.0.1:80"?`, "h:0": "has no port from 1", "App": "is not a name", "h.example": "not an address",
	} {
		err := isUpstream(address)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("isUpstream(%q) = %v, want %q", address, err, want)
		}
	}
}

func TestForms(t *testing.T) {
	for _, tt := range []struct{ form, good, bad, want string }{
		{"address_or_empty", "", "0.0.0.0", "not an address of this machine"},
		{"address_or_empty", "2001:db8::1", "192.0.2.1:80", "not an address of this machine"},
		{"alpn", "h2", "", "1 to 255 bytes"},
		{"alpn", "x", strings.Repeat("x", 256), "1 to 255 bytes"},
		{"cidr", "10.0.0.0/8", "10.0.0.1/8", `did you mean "10.0.0.0/8"?`},
		{"cidr", "2001:db8::1", "10.0.0", "not an address or CIDR"},
		{"device", "eth0", "a_name_of_16_chr", "at most 15 characters"},
		{"congestion", "bbr", "b br", "no spaces"},
		{"listen_tcp_or_none", "none", "unix:/x", "not host:port or none"},
		{"listen_tcp_or_none", "[::1]:9464", "9464", `did you mean ":9464"?`},
		{"path", "a b", "a\x00b", "zero byte"},
		{"path", "-", "", "a path is missing"},
	} {
		if err := forms[tt.form](tt.good); err != nil {
			t.Errorf("%s refuses %q: %v", tt.form, tt.good, err)
		}
		if err := forms[tt.form](tt.bad); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s says %v about %q, want %q", tt.form, err, tt.bad, tt.want)
		}
	}
}

func TestEnvironmentFindings(t *testing.T) {
	src := yamlSource("listeners: {web: {tls: {certificates: {x: {}}}}}")
	src.Environ = []string{
		"MTLSPROXY_LISTENERS_WEB_ADRESS=:1",
		"MTLSPROXY_LISTENERS_OTHER_ADDRESS=:1",
		"MTLSPROXY_LISTENERS_WEB_TIMEOUTS_IDLE=5",
		"MTLSPROXY_POLICY_RULES=x",
		"MTLSPROXY_QUITE_SOMETHING=1",
		"MTLSPROXY_ADMIN=/run/admin.sock", "MTLSPROXY_PORT=tcp://10.0.0.1:8443", "MTLSPROXY_SERVICE_HOST=10.0.0.1",
		"MTLSPROXY_PORT_8443_TCP_ADDR=10.0.0.1", "MTLSPROXY_METRICS_SERVICE_PORT_HTTP=1", "MTLSPROXY_METRICS_PORT=tcp://10.0.0.1:9",
		"MTLSPROXYISH=1", "PATH=/bin",
		"MTLSPROXY_LISTENERS_WEB_SOCKET_BIND_DEVICE=\xff", "MTLSPROXY_\x1b=1",
		"MTLSPROXY_LISTENERS_WEB_TLS_CERTIFICATES_X_CERT=x.pem",
		"MTLSPROXY_LISTENERS_WEB_CLIENT_AUTH_CA=a.pem,b.pem",
		"MTLSPROXY_ADMIN_TOKEN_FILE=/run/token",
	}
	want := []string{
		"MTLSPROXY_\\x1b  unknown variable: it names no key; `proxy config show --origin` lists them",
		`MTLSPROXY_ADMIN_TOKEN_FILE  admin.token_file: "/run/token" is not supported yet (only "" is)`,
		`MTLSPROXY_LISTENERS_OTHER_ADDRESS  unknown variable – variables set keys of the listeners that the file names; here these are web, main`,
		`MTLSPROXY_LISTENERS_WEB_ADRESS  unknown variable – did you mean MTLSPROXY_LISTENERS_WEB_ADDRESS?`,
		`MTLSPROXY_LISTENERS_WEB_SOCKET_BIND_DEVICE  listeners.web.socket.bind_device: "\xff" is not UTF-8`,
		`MTLSPROXY_LISTENERS_WEB_TIMEOUTS_IDLE  listeners.web.timeouts.idle: "5" has no unit – did you mean 5s?`,
		`MTLSPROXY_POLICY_RULES  policy.rules: can only be set in the file`,
		"MTLSPROXY_QUITE_SOMETHING  unknown variable: it names no key; `proxy config show --origin` lists them",
	}
	if diff := cmp.Diff(want, findings(t, src)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestFlagFindings(t *testing.T) {
	var src Source
	for _, arg := range []string{
		"listeners.main.timeouts.handshak=3s", "listener.main.address=:1", "listeners.main=x", "listeners=x",
		"listeners.Main.address=:1", "listeners.main.handshake=3s", "logging.level.x=1", "shutdown.delay=1", "policy.rules[0]=x", "x=1",
		"listeners.main.tls.certificates.b_tls.cert=x", "listeners.main.limits.max_connections=5000000000",
	} {
		f, err := ParseSet(arg)
		if err != nil {
			t.Fatal(err)
		}
		src.Flags = append(src.Flags, f)
	}
	want := []string{
		`--set  listeners.main.timeouts.handshak: unknown key – did you mean "listeners.main.timeouts.handshake"?`,
		`--set  listener.main.address: unknown key – did you mean "listeners.main.address"?`,
		`--set  listeners.main: is a section: set one of its keys, such as listeners.main.address`,
		`--set  listeners: is a section: set one of its keys, such as listeners.main.address`,
		`--set  listeners.Main.address: unknown key: "Main" is not a name: use lower-case letters, digits and _`,
		`--set  listeners.main.handshake: unknown key – did you mean "listeners.main.timeouts.handshake"?`,
		`--set  logging.level.x: unknown key – did you mean "logging.level"?`,
		`--set  shutdown.delay: "1" has no unit – did you mean 1s?`,
		`--set  policy.rules[0]: unknown key`,
		`--set  x: unknown key`,
		`--set  listeners.main.limits.max_connections: 5000000000 is more than 2147483647`,
	}
	if diff := cmp.Diff(want, findings(t, src)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	for _, arg := range []string{"", "x", "=1"} {
		if f, err := ParseSet(arg); err == nil {
			t.Errorf("ParseSet(%q) = %+v, want an error", arg, f)
		}
	}
}

func TestTooLargeAFile(t *testing.T) {
	got := findings(t, yamlSource(strings.Repeat("#", maxFileSize+1)))
	want := []string{"p.yaml  is larger than 1MiB, which no configuration needs to be"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestVariablesAreDistinct(t *testing.T) {
	seen := make(map[string]string)
	for key := range leaves(func(path string) []string { return []string{lookup(path).entry} }) {
		name := EnvName(key)
		if other, taken := seen[name]; taken {
			t.Errorf("%s and %s share %s", key, other, name)
		}
		if slices.Contains(envElsewhere, name) {
			t.Errorf("%s of %s would be ignored", name, key)
		}
		seen[name] = key
	}
	if len(seen) < 112 {
		t.Errorf("only %d keys", len(seen))
	}
}

func TestNotYet(t *testing.T) {
	intended := intendedDefaults()
	for _, u := range notYet {
		f := lookup(u.key)
		if f == nil || !f.leaf() {
			t.Errorf("%s is no key", u.key)
			continue
		}
		if err := u.refuses(f, intended[u.key], defaults()[u.key]); err != nil {
			t.Errorf("the default of %s is refused: %v", u.key, err)
		}
	}
	for _, tt := range []struct{ key, value, want string }{
		{"listeners.main.address", "systemd:main", `"systemd:main" is not supported yet (an address beginning with systemd:)`},
		{"upstreams.app.tls.mode", "mtls", `"mtls" is not supported yet (only "plain" is)`},
		{"listeners.main.tls.ticket_policy_recheck", "false", `false is not supported yet (only true is)`},
		{"logging.repeat_window", "1m", `1m is not supported yet (only 0s is)`},
		{"admin.allow", "read,mutate", `[read, mutate] is not supported yet (only [read] is)`},
		{"listeners.main.proxy_protocol.timeout", "2s", `2s is not supported yet (only 1s is)`},
	} {
		got := findings(t, Source{Flags: []Flag{{"--set", tt.key, tt.value}}})
		if diff := cmp.Diff([]string{"--set  " + tt.key + ": " + tt.want}, got); diff != "" {
			t.Errorf("%s=%s (-want +got):\n%s", tt.key, tt.value, diff)
		}
	}
	for _, ok := range []Flag{{"--set", "inspect.level", "summary"}, {"--set", "upstreams.app.balance", "round_robin"}} {
		mustLoad(t, Source{Flags: []Flag{ok}})
	}
}
