package configs

import "time"

// Listener is one place where clients are accepted.
type Listener struct {
	// Where to listen: host:port, unix:PATH, or systemd:NAME for a socket systemd passes. Loopback until you change it.
	Address string `mapstructure:"address" is:"listen" short:"--listen"`
	// Where admitted connections go: a name under upstreams, or host:port or unix:PATH directly.
	Upstream string `mapstructure:"upstream" is:"upstream" reload:"connections" short:"--upstream"`
	// The PROXY protocol header a load balancer in front may send.
	ProxyProtocol AcceptProxy `mapstructure:"proxy_protocol"`
	// What a plain HTTP request on the TLS port gets: explain answers 400 with a sentence, close says nothing.
	PlainHTTP string `mapstructure:"plain_http" enum:"explain|close" reload:"connections"`
	// Server certificates and what TLS may negotiate.
	TLS ListenerTLS `mapstructure:"tls" reload:"connections"`
	// Which client certificates are asked for and accepted.
	ClientAuth ClientAuth `mapstructure:"client_auth" reload:"connections"`
	// Other client certificate policies for some server names, by names of your choice. What no entry lists, and a client that asks for no name, has client_auth above.
	ServerNames map[string]ServerName `mapstructure:"server_names" reload:"connections"`
	// How long each stage of a connection may take.
	Timeouts Timeouts `mapstructure:"timeouts" reload:"connections"`
	// How much is admitted at once.
	Limits Limits `mapstructure:"limits" reload:"connections"`
	// What one side gets when the other does not end in order.
	Close Close `mapstructure:"close" reload:"connections"`
	// Options of the listening socket and of the connections accepted from it.
	Socket ListenerSocket `mapstructure:"socket"`
}

// AcceptProxy is about the PROXY protocol header (versions 1 and 2) that
// carries the client's address through a load balancer.
type AcceptProxy struct {
	// Whether a header is read: none, optional, require.
	Accept string `mapstructure:"accept" enum:"none|optional|require"`
	// Addresses and CIDRs that may send the header.
	Trusted []string `mapstructure:"trusted" is:"cidr"`
	// How long to wait for the header.
	Timeout time.Duration `mapstructure:"timeout" min:"1ms"`
}

// ListenerTLS is the server's side of TLS.
type ListenerTLS struct {
	// Certificates by name; the one whose names fit the client's SNI is served, else the first. One called default exists unless others are named.
	Certificates map[string]Certificate `mapstructure:"certificates" names:"default"`
	// CertificateNames holds the names of Certificates in the order they were given.
	CertificateNames []string `mapstructure:"-"`
	// Lowest TLS version accepted.
	MinVersion string `mapstructure:"min_version" enum:"1.2|1.3"`
	// Highest TLS version accepted.
	MaxVersion string `mapstructure:"max_version" enum:"1.2|1.3"`
	// Cipher suites for TLS 1.2, IANA names; empty is Go's choice. Those of TLS 1.3 are fixed.
	CipherSuites []string `mapstructure:"cipher_suites" is:"cipher_suite"`
	// Key exchange groups that may be used; empty is Go's choice, X25519MLKEM768 first. Go decides the order.
	Curves []string `mapstructure:"curves" enum:"X25519MLKEM768|SecP256r1MLKEM768|SecP384r1MLKEM1024|X25519|P-256|P-384|P-521"`
	// Application protocols offered; empty negotiates none and passes what comes.
	ALPN []string `mapstructure:"alpn" is:"alpn"`
	// What a client gets whose SNI fits no certificate: default (the first certificate) or reject.
	UnknownSNI string `mapstructure:"unknown_sni" enum:"default|reject"`
	// Let clients resume sessions. A resumed handshake has no Certificate message.
	SessionTickets bool `mapstructure:"session_tickets"`
	// File with the keys that seal sessions, for several instances behind one address; empty makes keys of its own. One key a line, 64 hexadecimal digits; the first seals, all open.
	TicketKeysFile string `mapstructure:"ticket_keys_file"`
	// Check chain, expiry, revocation and policy again when a session is resumed.
	TicketPolicyRecheck bool `mapstructure:"ticket_policy_recheck"`
}

// Certificate is a certificate chain with its private key.
type Certificate struct {
	// PEM file with the certificate, then its intermediates.
	Cert string `mapstructure:"cert" is:"path" short:"--cert"`
	// PEM file with the private key.
	Key string `mapstructure:"key" is:"path" short:"--key"`
}

// Timeouts bounds the stages of a connection.
type Timeouts struct {
	// From accept to the verdict on the client.
	Handshake time.Duration `mapstructure:"handshake" min:"1ms"`
	// From accept to the client's first byte; 0s leaves silent clients to the handshake's time.
	FirstByte time.Duration `mapstructure:"first_byte"`
	// Time without a byte in either direction after which the connection is closed; 0s never.
	Idle time.Duration `mapstructure:"idle"`
	// Age at which a connection is closed; 0s never. Set it below the lifetime of short-lived certificates.
	MaxLifetime time.Duration `mapstructure:"max_lifetime"`
	// Time without a byte after one side has closed, until the other is closed too.
	HalfClose time.Duration `mapstructure:"half_close" min:"1ms"`
	// How long the socket stays after a fatal alert, so that the client can read it; 0s closes at once and loses most alerts.
	AlertLinger time.Duration `mapstructure:"alert_linger" max:"1m"`
}

// Limits bounds how much is admitted at once.
type Limits struct {
	// Connections open at once.
	MaxConnections int `mapstructure:"max_connections" unit:"connections" min:"1"`
	// Connections not let in yet at once: silent, in the handshake, or refused. At the limit the client that keeps the proxy waiting longest makes room.
	MaxUnauthenticated int `mapstructure:"max_unauthenticated" unit:"connections" min:"1"`
	// Handshakes computed at once, which guards the CPU. Those that wait for their clients do not count.
	MaxHandshakes int `mapstructure:"max_handshakes" unit:"handshakes" min:"1"`
	// New connections a second; 0 is unlimited.
	AcceptRate int `mapstructure:"accept_rate" unit:"connections a second"`
	// Connections of one client address at once, an IPv6 /64 counting as one; 0 is unlimited.
	PerIPConnections int `mapstructure:"per_ip_connections" unit:"connections"`
	// Connections of one client address at once that are not let in yet; 0 is unlimited.
	PerIPUnauthenticated int `mapstructure:"per_ip_unauthenticated" unit:"connections"`
	// What happens to a connection over a limit: close it, or let it wait in the kernel's queue.
	OnLimit string `mapstructure:"on_limit" enum:"close|wait"`
}

// Close says what becomes of an end that is not an orderly one. A clean end is
// always passed on as one.
type Close struct {
	// What the other side gets after an RST or a client's fatal alert: propagate (RST), or absorb (close_notify and FIN, as if all had been said). A unix socket has no RST: an upstream or a client there sees a plain end either way.
	Abort string `mapstructure:"abort" enum:"propagate|absorb"`
	// What the upstream gets after a client's FIN without close_notify, when its request may have been cut: pass (FIN), or abort (RST). Many clients never send close_notify.
	Truncation string `mapstructure:"truncation" enum:"pass|abort"`
}
