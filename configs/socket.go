package configs

import "time"

// KeepAlive probes connections that are silent. The kernel counts whole
// seconds (tcp(7)).
type KeepAlive struct {
	// Send keep-alive probes.
	Enabled bool `mapstructure:"enabled"`
	// Silence before the first probe (TCP_KEEPIDLE), whole seconds.
	Idle time.Duration `mapstructure:"idle" min:"1s" max:"32767s" is:"whole_seconds"`
	// Time between probes (TCP_KEEPINTVL), whole seconds.
	Interval time.Duration `mapstructure:"interval" min:"1s" max:"32767s" is:"whole_seconds"`
	// Probes without an answer before the connection is given up (TCP_KEEPCNT).
	Count int `mapstructure:"count" unit:"probes" min:"1" max:"127"`
}

// ListenerSocket holds the options of the listening socket, which the
// connections accepted from it inherit where the kernel does that.
type ListenerSocket struct {
	// Connections the kernel completes ahead of us; 0 is the kernel's maximum.
	Backlog int `mapstructure:"backlog" unit:"connections" max:"65535"`
	// Let two instances share the port (SO_REUSEPORT), for upgrades.
	ReusePort bool `mapstructure:"reuse_port"`
	// Wait for the first byte before accepting (TCP_DEFER_ACCEPT), rounded up by Linux to its SYN-ACK retries: 1s, 3s, 7s and so on; hides TCP probes. 0s is not at all.
	DeferAccept time.Duration `mapstructure:"defer_accept" max:"29887s" is:"whole_seconds"`
	// Queue for connections with data in the SYN (TCP_FASTOPEN); 0 is none.
	FastOpen int `mapstructure:"fast_open" unit:"connections" max:"65535"`
	// Send small writes at once (TCP_NODELAY).
	NoDelay bool `mapstructure:"nodelay" reload:"connections"`
	// Acknowledge at once (TCP_QUICKACK); the kernel resets this by itself.
	QuickACK bool `mapstructure:"quickack" reload:"connections"`
	// Probes on silent connections.
	KeepAlive KeepAlive `mapstructure:"keepalive" reload:"connections"`
	// How long sent data may stay unacknowledged (TCP_USER_TIMEOUT); 0s is the kernel's choice.
	UserTimeout time.Duration `mapstructure:"user_timeout" max:"24d" reload:"connections"`
	// Receive buffer (SO_RCVBUF), which the kernel doubles; 0 is autotuned, and setting it switches autotuning off.
	ReceiveBuffer Size `mapstructure:"receive_buffer" min:"2KiB" max:"1GiB" zero:"autotuned"`
	// Send buffer (SO_SNDBUF), which the kernel doubles; 0 is autotuned.
	SendBuffer Size `mapstructure:"send_buffer" min:"2KiB" max:"1GiB" zero:"autotuned" reload:"connections"`
	// Unsent bytes up to which more may be written (TCP_NOTSENT_LOWAT); 0 is unlimited.
	NotSentLowat Size `mapstructure:"notsent_lowat" max:"1GiB" reload:"connections"`
	// How a close ends: -1 as the kernel does, 0 with a reset, more waits at most so many seconds for the client to take what was sent.
	Linger int `mapstructure:"linger" unit:"seconds" min:"-1" max:"3600" reload:"connections"`
	// How long a closed connection waits for the client's FIN (TCP_LINGER2), whole seconds; 0s is the kernel's choice.
	Linger2 time.Duration `mapstructure:"linger2" max:"120s" is:"whole_seconds" reload:"connections"`
	// Congestion control, such as bbr; empty is the kernel's choice.
	Congestion string `mapstructure:"congestion" is:"congestion" reload:"connections"`
	// Largest segment (TCP_MAXSEG); 0 is the kernel's choice.
	MSS int `mapstructure:"mss" unit:"bytes" min:"88" max:"32767" zero:"the kernel's choice"`
	// Differentiated services code point of what we send (IP_TOS, IPV6_TCLASS).
	DSCP int `mapstructure:"dscp" max:"63" reload:"connections"`
	// SYN-ACK retries (TCP_SYNCNT); 0 is the kernel's choice.
	SynCnt int `mapstructure:"syncnt" unit:"retries" max:"127"`
	// Firewall mark (SO_MARK); 0 sets none. Needs CAP_NET_ADMIN or CAP_NET_RAW.
	Mark uint32 `mapstructure:"mark" max:"4294967295"`
	// Accept connections to addresses that are not ours (IP_TRANSPARENT). Needs CAP_NET_ADMIN or CAP_NET_RAW.
	Transparent bool `mapstructure:"transparent"`
	// Listen on an address the machine does not have yet (IP_FREEBIND).
	FreeBind bool `mapstructure:"freebind"`
	// Network interface to listen on (SO_BINDTODEVICE); empty is any.
	BindDevice string `mapstructure:"bind_device" is:"device"`
	// Hop limit of what we send (IP_TTL, IPV6_UNICAST_HOPS); 0 is the kernel's choice.
	TTL int `mapstructure:"ttl" unit:"hops" max:"255"`
	// Largest receive window announced (TCP_WINDOW_CLAMP); 0 is the kernel's choice.
	WindowClamp Size `mapstructure:"window_clamp" min:"1152" max:"1GiB" zero:"the kernel's choice"`
	// Sending rate of one connection in bytes a second (SO_MAX_PACING_RATE); 0 is unlimited.
	MaxPacingRate Size `mapstructure:"max_pacing_rate" max:"1TiB" reload:"connections"`
	// Keep each client's SYN (TCP_SAVE_SYN), from which the inspector reads its TTL, MSS and window scale.
	SaveSYN bool `mapstructure:"save_syn"`
	// Treat an option the kernel refuses as a failure to start instead of a warning.
	Strict bool `mapstructure:"strict"`
}

// UpstreamSocket holds the options of connections to an upstream.
type UpstreamSocket struct {
	// Send small writes at once (TCP_NODELAY).
	NoDelay bool `mapstructure:"nodelay"`
	// Acknowledge at once (TCP_QUICKACK); the kernel resets this by itself.
	QuickACK bool `mapstructure:"quickack"`
	// Probes on silent connections.
	KeepAlive KeepAlive `mapstructure:"keepalive"`
	// How long sent data may stay unacknowledged (TCP_USER_TIMEOUT); 0s is the kernel's choice.
	UserTimeout time.Duration `mapstructure:"user_timeout" max:"24d"`
	// Receive buffer (SO_RCVBUF), which the kernel doubles; 0 is autotuned, and setting it switches autotuning off.
	ReceiveBuffer Size `mapstructure:"receive_buffer" min:"2KiB" max:"1GiB" zero:"autotuned"`
	// Send buffer (SO_SNDBUF), which the kernel doubles; 0 is autotuned.
	SendBuffer Size `mapstructure:"send_buffer" min:"2KiB" max:"1GiB" zero:"autotuned"`
	// Unsent bytes up to which more may be written (TCP_NOTSENT_LOWAT); 0 is unlimited.
	NotSentLowat Size `mapstructure:"notsent_lowat" max:"1GiB"`
	// How a close ends: -1 as the kernel does, 0 with a reset, more waits at most so many seconds for the upstream to take what was sent.
	Linger int `mapstructure:"linger" unit:"seconds" min:"-1" max:"3600"`
	// Congestion control, such as bbr; empty is the kernel's choice.
	Congestion string `mapstructure:"congestion" is:"congestion"`
	// Largest segment (TCP_MAXSEG); 0 is the kernel's choice.
	MSS int `mapstructure:"mss" unit:"bytes" min:"88" max:"32767" zero:"the kernel's choice"`
	// Differentiated services code point of what we send (IP_TOS, IPV6_TCLASS).
	DSCP int `mapstructure:"dscp" max:"63"`
	// Firewall mark (SO_MARK); 0 sets none. Needs CAP_NET_ADMIN or CAP_NET_RAW.
	Mark uint32 `mapstructure:"mark" max:"4294967295"`
	// Hop limit of what we send (IP_TTL, IPV6_UNICAST_HOPS); 0 is the kernel's choice.
	TTL int `mapstructure:"ttl" unit:"hops" max:"255"`
	// Largest receive window announced (TCP_WINDOW_CLAMP); 0 is the kernel's choice.
	WindowClamp Size `mapstructure:"window_clamp" min:"1152" max:"1GiB" zero:"the kernel's choice"`
	// Sending rate of one connection in bytes a second (SO_MAX_PACING_RATE); 0 is unlimited.
	MaxPacingRate Size `mapstructure:"max_pacing_rate" max:"1TiB"`
	// SYN retries of a dial (TCP_SYNCNT); 0 is the kernel's choice.
	SynCnt int `mapstructure:"syncnt" unit:"retries" max:"127"`
	// Send the first data in the SYN (TCP_FASTOPEN_CONNECT).
	FastOpen bool `mapstructure:"fast_open"`
	// Network interface to dial from (SO_BINDTODEVICE); empty is any.
	BindDevice string `mapstructure:"bind_device" is:"device"`
	// Treat an option the kernel refuses as a failed dial instead of a warning.
	Strict bool `mapstructure:"strict"`
}
