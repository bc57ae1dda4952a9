package configs

import "time"

// Config is everything that may be set. The tags of its fields are read by
// the rest of the package:
//
//	mapstructure  the key
//	enum          the values a string or list item may have
//	is            the form a string or list item must have (form.go)
//	min, max      bounds of a number, duration or size; min is 0 if absent
//	zero          what 0 means where it lies outside min and max
//	unit          what a bare number counts
//	names         for a map: the entry that exists if no other is named
//	reload        connections: applied on reload to new connections;
//	              restart: a reload refuses to change it. Inherited downwards.
//	short         the flag that sets it
//	alias         other programs' words for the values (alias.go)
//
// The comment of each field is its documentation for users as well; see
// keydocs.go.
type Config struct {
	// Version of this file's format. May be left out.
	Version int `mapstructure:"version" enum:"1" reload:"restart"`
	// Where clients are accepted, by name. A listener called main exists unless others are named.
	Listeners map[string]Listener `mapstructure:"listeners" names:"main" reload:"restart"`
	// Where admitted connections go, by name. An upstream called app exists unless others are named.
	Upstreams map[string]Upstream `mapstructure:"upstreams" names:"app" reload:"connections"`
	// Who may pass, decided after the certificate chain verified and before a byte reaches the upstream.
	Policy Policy `mapstructure:"policy" reload:"connections"`
	// How much of each connection is recorded.
	Inspect Inspect `mapstructure:"inspect" reload:"restart"`
	// What is written to the log, and how.
	Logging Logging `mapstructure:"logging" reload:"restart"`
	// Health and metrics: safe to expose, nothing else is served there.
	Telemetry Telemetry `mapstructure:"telemetry" reload:"restart"`
	// The operator's doors: a unix socket and the inspector page. Never on a routable address without client certificates.
	Admin Admin `mapstructure:"admin" reload:"restart"`
	// How changed certificates and settings are noticed. A reload is all or nothing.
	Reload Reload `mapstructure:"reload" reload:"restart"`
	// How the process ends after SIGTERM.
	Shutdown Shutdown `mapstructure:"shutdown" reload:"connections"`
	// What the process gives up once it has started.
	Sandbox Sandbox `mapstructure:"sandbox" reload:"restart"`
}

// Policy decides which verified clients may pass.
type Policy struct {
	// What happens to a client no rule matches: allow lets in any certificate of our CA, deny only what the rules name.
	Default string `mapstructure:"default" enum:"allow|deny"`
	// Rules, the first match wins. Set in the file only.
	Rules []Rule `mapstructure:"rules"`
}

// Rule admits or refuses the clients it matches.
type Rule struct {
	// Name of the rule in logs and metrics.
	Name string `mapstructure:"name" is:"name"`
	// What a match does.
	Action string `mapstructure:"action" enum:"allow|deny"`
	// What must hold; keys are ANDed, the values of one key are ORed. Globs: * within a label, ** across labels.
	Match Match `mapstructure:"match"`
	// When the rule begins to apply, RFC 3339. Without it the rule applies at once.
	NotBefore time.Time `mapstructure:"not_before"`
	// When the rule stops to apply, RFC 3339. Without it the rule stays.
	NotAfter time.Time `mapstructure:"not_after"`
}

// Match is the condition of a [Rule].
type Match struct {
	// SPIFFE ID of the client, a glob.
	SPIFFEID []string `mapstructure:"spiffe_id"`
	// DNS name among the certificate's subject alternative names, a glob.
	DNSSAN []string `mapstructure:"dns_san"`
	// URI among the subject alternative names, a glob.
	URISAN []string `mapstructure:"uri_san"`
	// E-mail address among the subject alternative names, a glob.
	EmailSAN []string `mapstructure:"email_san"`
	// IP address among the subject alternative names, an address or CIDR.
	IPSAN []string `mapstructure:"ip_san" is:"cidr"`
	// Common name of the subject, a glob.
	CN []string `mapstructure:"cn"`
	// Organizational unit of the subject, a glob.
	OU []string `mapstructure:"ou"`
	// Organization of the subject, a glob.
	O []string `mapstructure:"o"`
	// Common name of the issuer, a glob.
	IssuerCN []string `mapstructure:"issuer_cn"`
	// SHA-256 of a CA certificate in the verified chain, hexadecimal: which CA it is, whatever its name.
	IssuerSHA256 []string `mapstructure:"issuer_sha256"`
	// Serial number, hexadecimal, with or without colons.
	Serial []string `mapstructure:"serial"`
	// SHA-256 of the public key (SubjectPublicKeyInfo), hexadecimal or base64.
	SPKISHA256 []string `mapstructure:"spki_sha256"`
	// SHA-256 of the certificate, hexadecimal or base64.
	CertSHA256 []string `mapstructure:"cert_sha256"`
	// Extended key usage that is written in the certificate, such as clientAuth, or an OID.
	EKU []string `mapstructure:"eku"`
	// Kind of the certificate's key.
	KeyType []string `mapstructure:"key_type" enum:"rsa|rsa-2048|rsa-3072|rsa-4096|ecdsa|ecdsa-p256|ecdsa-p384|ecdsa-p521|ed25519"`
	// Smallest size of the certificate's key, in bits; 0 for any.
	MinKeyBits int `mapstructure:"min_key_bits" unit:"bits" max:"16384"`
	// Time the certificate still has to be valid for; 0s for any.
	MinRemaining time.Duration `mapstructure:"min_remaining"`
	// Address of the client, an address or CIDR.
	CIDR []string `mapstructure:"cidr" is:"cidr"`
	// Server name the client asked for, a glob.
	SNI []string `mapstructure:"sni"`
	// Application protocol that was negotiated.
	ALPN []string `mapstructure:"alpn"`
	// Listener the client came in on, by name.
	Listener []string `mapstructure:"listener"`
	// TLS version that was negotiated.
	TLSVersion []string `mapstructure:"tls_version" enum:"1.2|1.3"`
	// Time of the week in which the connection begins.
	Time TimeWindow `mapstructure:"time"`
}

// TimeWindow is a time of the week.
type TimeWindow struct {
	// Time of day it begins at, such as 08:00; midnight if left out.
	From string `mapstructure:"from" is:"time_of_day"`
	// Time of day it ends at; 24:00 if left out. Before from, it is that of the next day.
	To string `mapstructure:"to" is:"time_of_day"`
	// Days it begins on; all if left out.
	Days []string `mapstructure:"days" enum:"mon|tue|wed|thu|fri|sat|sun"`
	// Time zone by its IANA name, such as Europe/Berlin; UTC if left out.
	Zone string `mapstructure:"zone"`
}

// Inspect says how much of each connection is recorded.
type Inspect struct {
	// How much is recorded: none, summary (outcome and timing), messages (the ladder), records (and every record, without its payload).
	Level string `mapstructure:"level" enum:"none|summary|messages|records" reload:"connections"`
	// Finished connections that are kept for the page, watch and explain.
	RingConnections int `mapstructure:"ring_connections" unit:"connections"`
	// Memory the kept connections may take; the oldest go first, and are counted.
	RingSize Size `mapstructure:"ring_size"`
	// Failed connections that are kept apart, so that a busy stream of successes cannot push them out.
	KeepFailed int `mapstructure:"keep_failed" unit:"connections"`
	// Fingerprints taken of the ClientHello.
	Fingerprints []string `mapstructure:"fingerprints" enum:"ja3|ja4"`
	// Ways to watch the kernel's TCP: sock (no privilege), sockops (CAP_BPF and CAP_NET_ADMIN), packet (CAP_NET_RAW), auto (all that work here), none. Sock is always among them, and the start goes on without it where it does not work; sockops and packet must work when they are named.
	TCP []string `mapstructure:"tcp" enum:"auto|sock|sockops|packet|none"`
	// Where TLS secrets are written: none, env (the file SSLKEYLOGFILE names), or a file. Whoever reads it can decrypt your users' traffic.
	Keylog string `mapstructure:"keylog"`
	// The most an exported capture may contain: none, handshake or all secrets.
	CaptureSecrets string `mapstructure:"capture_secrets" enum:"none|handshake|all"`
	// What is hashed in logs and exports.
	Redact []string `mapstructure:"redact" enum:"subject|san|client_address"`
}

// Logging says what is written to the log, and how.
type Logging struct {
	// The least severe lines that are written.
	Level string `mapstructure:"level" enum:"debug|info|warn|error" reload:"connections" short:"--log-level"`
	// Form of a line; auto is console on a terminal and json elsewhere.
	Format string `mapstructure:"format" enum:"auto|console|json" short:"--log-format"`
	// Names of the fields: OpenTelemetry or Elastic Common Schema.
	Schema string `mapstructure:"schema" enum:"otel|ecs"`
	// Where lines go: stderr, stdout, or a file, which is reopened on SIGHUP.
	Output string `mapstructure:"output" is:"path"`
	// One line for each TCP and TLS phase; false is one line a connection.
	Phases bool `mapstructure:"phases"`
	// Level of connections that closed without sending a byte, such as TCP health checks.
	Probes string `mapstructure:"probes" enum:"debug|info|warn|error"`
	// Span in which identical failures (client address and reason) after the tenth become one summary line with a count; 0s writes them all.
	RepeatWindow time.Duration `mapstructure:"repeat_window"`
}

// Telemetry is the door for health checks and metrics.
type Telemetry struct {
	// Where health and metrics are served: host:port, or none. In Kubernetes :9464, because the kubelet asks from outside the pod.
	Address string `mapstructure:"address" is:"listen_tcp_or_none" short:"--telemetry"`
	// Serve /metrics besides the health checks.
	Metrics bool `mapstructure:"metrics"`
	// Serve native histograms besides the classic ones, to scrapers that ask for them.
	NativeHistograms bool `mapstructure:"native_histograms"`
	// What /readyz asks beyond: listeners bound, certificates valid, configuration loaded, not draining.
	Readiness Readiness `mapstructure:"readiness"`
}

// Readiness is what /readyz asks in addition.
type Readiness struct {
	// Not ready while no address of an upstream takes a connection, which is tried every 5 s. An application restart then makes the proxy unready too.
	Upstream bool `mapstructure:"upstream"`
	// Not ready once a served certificate has less than this left.
	CertMinRemaining time.Duration `mapstructure:"cert_min_remaining"`
}

// Admin holds the operator's doors.
type Admin struct {
	// Unix socket for the commands of this program: auto (admin.sock in the runtime directory, mode 0600), a path, or none.
	Socket string `mapstructure:"socket" is:"path"`
	// Where the inspector page is served: a loopback host:port, or none.
	UI string `mapstructure:"ui" is:"listen_tcp_or_none" short:"--admin-ui"`
	// Host names the page may be asked for besides the loopback ones, such as that of a port forward.
	AllowHosts []string `mapstructure:"allow_hosts"`
	// File with the token for the page and its API; empty makes a fresh one at each start.
	TokenFile string `mapstructure:"token_file"`
	// What may be done over TCP. The unix socket may do everything.
	Allow []string `mapstructure:"allow" enum:"read|capture|mutate"`
}

// Reload says how changes are noticed.
type Reload struct {
	// Watch the directories of the configuration and the certificates.
	Watch bool `mapstructure:"watch"`
	// How often files are compared besides watching, for file systems that report nothing; 0s never.
	Poll time.Duration `mapstructure:"poll"`
	// Quiet time after a change before it is read, so that several files written together are read once.
	Debounce time.Duration `mapstructure:"debounce"`
}

// Shutdown says how the process ends.
type Shutdown struct {
	// How long to keep accepting after SIGTERM while saying not ready, for load balancers that notice late.
	Delay time.Duration `mapstructure:"delay"`
	// How long connections may finish after that before they are cut; 0s cuts them at once.
	Timeout time.Duration `mapstructure:"timeout"`
}

// Sandbox is what the process gives up once it has started.
type Sandbox struct {
	// File access limited by the kernel's Landlock: none, best_effort (as far as the kernel can), enforce (or do not start).
	Landlock string `mapstructure:"landlock" enum:"none|best_effort|enforce"`
	// Give up gaining privileges through programs that are executed.
	NoNewPrivs bool `mapstructure:"no_new_privs"`
}
