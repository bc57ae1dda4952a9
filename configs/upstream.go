package configs

import "time"

// Upstream is where admitted connections go.
type Upstream struct {
	// Where to dial: host:port or unix:PATH, one or a list.
	Address []string `mapstructure:"address" is:"dial"`
	// Which address is taken: first_up (the first that answers), round_robin, least_conn.
	Balance string `mapstructure:"balance" enum:"first_up|round_robin|least_conn"`
	// How long a dial may take.
	DialTimeout time.Duration `mapstructure:"dial_timeout" min:"1ms"`
	// Local address to dial from; empty is the kernel's choice. It has one port for each connection to one upstream address.
	Source string `mapstructure:"source" is:"address_or_empty"`
	// TLS to the upstream.
	TLS UpstreamTLS `mapstructure:"tls"`
	// The PROXY protocol header sent to the upstream.
	ProxyProtocol SendProxy `mapstructure:"proxy_protocol"`
	// How the addresses are watched between connections.
	Health Health `mapstructure:"health"`
	// Options of the connections to the upstream.
	Socket UpstreamSocket `mapstructure:"socket"`
}

// UpstreamTLS is the client's side of TLS towards an upstream.
type UpstreamTLS struct {
	// What the upstream speaks: plain, tls, or mtls (we show a certificate).
	Mode string `mapstructure:"mode" enum:"plain|tls|mtls"`
	// Trust anchors for the upstream's certificate, PEM files or directories.
	CA []string `mapstructure:"ca" is:"path"`
	// PEM file with our certificate, then its intermediates.
	Cert string `mapstructure:"cert"`
	// PEM file with our private key.
	Key string `mapstructure:"key"`
	// Name the upstream's certificate must carry; empty is the host of the address.
	ServerName string `mapstructure:"server_name"`
	// Lowest TLS version accepted.
	MinVersion string `mapstructure:"min_version" enum:"1.2|1.3"`
}

// SendProxy is about the PROXY protocol header that tells the upstream who
// the client is.
type SendProxy struct {
	// Version of the header: none, v1 (text), v2 (binary).
	Send string `mapstructure:"send" enum:"none|v1|v2"`
	// What version 2 says besides the addresses.
	TLVs []string `mapstructure:"tlvs" enum:"alpn|authority|ssl|cn|san|fingerprint"`
}

// Health watches the addresses of an upstream between connections.
type Health struct {
	// How an address is tried: none, tcp (a connect), tls (a handshake).
	Kind string `mapstructure:"kind" enum:"none|tcp|tls"`
	// Time between two tries.
	Interval time.Duration `mapstructure:"interval" min:"1ms"`
	// How long a try may take.
	Timeout time.Duration `mapstructure:"timeout" min:"1ms"`
}
