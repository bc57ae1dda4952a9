package sink

import (
	"net/netip"
	"time"

	"mtlsproxy/proxy/event"
)

// started is when the sample connection was accepted.
var started = time.Date(2026, 11, 22, 10, 43, 16, 214_000_000, time.UTC)

var conn = &event.Conn{
	ID: "7q41", Listener: "main",
	Client: netip.MustParseAddrPort("127.0.0.1:50530"), Listen: netip.MustParseAddrPort("127.0.0.1:8443"),
	Started: started,
}

var alice = event.Certificate{
	Subject: "CN=alice", Issuer: "CN=Demo Issuing", Serial: "0a1b2c",
	NotBefore: time.Date(2026, 11, 22, 9, 43, 0, 0, time.UTC), NotAfter: time.Date(2026, 11, 23, 10, 43, 0, 0, time.UTC),
	SHA256: "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08",
	SANs:   []string{"spiffe://demo.test/alice"}, EKU: []string{"client_auth"}, Key: "ECDSA P-256",
}

var agreed = event.TLSState{Version: "1.3", Cipher: "TLS_AES_128_GCM_SHA256", Group: "X25519MLKEM768", ServerName: "localhost", ALPN: "h2"}

var hello = event.ClientHello{
	Message:    event.Message{Direction: event.In, Bytes: 1719, Records: 2},
	ServerName: "localhost", Versions: []string{"1.3", "1.2"}, CipherSuites: 31,
	Groups: []string{"X25519MLKEM768", "x25519", "secp256r1", "x448"}, ALPN: []string{"h2", "http/1.1"}, SigAlgs: 22,
	Extensions: []string{"server_name", "ec_point_formats", "supported_groups", "session_ticket", "application_layer_protocol_negotiation",
		"encrypt_then_mac", "extended_master_secret", "signature_algorithms", "supported_versions", "psk_key_exchange_modes", "key_share"},
	JA3: "0149F47EABF9A20D0893E2A44E5A6323", JA4: "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6", Resumption: "ticket",
}

var kernel = &event.TCPInfo{State: "ESTABLISHED", RTT: 38 * time.Microsecond, Retransmits: 1, SendMSS: 32741, SendWScale: 7, ReceiveWScale: 7, InAcceptQueue: 4 * time.Millisecond}

var ok = event.HandshakeOK{Duration: 3100 * time.Microsecond, Auth: "verified", Identity: "spiffe://demo.test/alice", Rule: "team", TLS: agreed, Leaf: &alice,
	Phases: []event.HandshakePhase{{Name: event.PhaseWaitHello, Duration: 500 * time.Microsecond}, {Name: event.PhaseReadHello, Start: 500 * time.Microsecond, Duration: 80 * time.Microsecond}}, Sign: 31 * time.Microsecond}

var incomplete = event.Failure{
	Reason: event.ClientChainIncomplete, Detail: `issuer "Demo Issuing" was not sent`,
	LibraryError: "x509: certificate signed by unknown authority", LastMessage: "certificate_verify",
	Alert:         &event.Alert{Direction: event.Out, Fatal: true, Code: 48, Description: "unknown_ca", Encrypted: true},
	AdvertisedCAs: []string{"CN=Demo Root"}, Duration: 3700 * time.Microsecond, TLS: agreed, Chain: []event.Certificate{alice}, By: event.ClientSide,
}

// samples holds at least one of each body of package event, those of a
// connection in the order of its life.
var samples = []struct {
	conn *event.Conn
	body event.Body
}{
	{nil, event.ProxyStart{Version: "0.1.0", Go: "go1.26.8", Config: "configs/proxy.yaml", PID: 4711}},
	{nil, event.CertLoaded{Kind: "server", Key: "listeners.main.tls.cert", File: "certs/server.pem", Subject: "CN=localhost", Serial: "01ff",
		NotAfter: started.Add(40 * 24 * time.Hour), DaysLeft: 39, Count: 1}},
	{nil, event.CertLoaded{Kind: "client_ca", Key: "listeners.main.tls.client_ca", File: "certs/clients.pem", Subject: "CN=Demo Root", Serial: "02",
		NotAfter: started.Add(36 * time.Hour), DaysLeft: 1, Count: 2}},
	{nil, event.CertExpiring{CertLoaded: event.CertLoaded{Kind: "server", Key: "listeners.main.tls.cert", File: "certs/server.pem",
		Subject: "CN=localhost", Serial: "01ff", NotAfter: started.Add(53 * time.Hour), DaysLeft: 2}, Detail: "CN=localhost expires in 2 days (2026-11-24)"}},
	{nil, event.CertWarning{Kind: "server", Key: "listeners.main.tls.cert", File: "certs/server.pem", Detail: "CN=localhost has no DNS name and no IP address as subject alternative name; clients that check names will refuse it"}},
	{nil, event.SocketOptions{Listener: "main", Object: "client", Options: []event.SocketOption{
		{Option: "TCP_NODELAY", Key: "nodelay", Asked: "true", Got: "true"},
		{Option: "TCP_USER_TIMEOUT", Key: "user_timeout", Asked: "1m0s", Got: "1m0s"},
		{Option: "SO_RCVBUF", Key: "receive_buffer", Got: "131072"},
	}}},
	{nil, event.SocketOptions{Listener: "main", Object: "listener", Options: []event.SocketOption{
		{Option: "TCP_DEFER_ACCEPT", Key: "defer_accept", Asked: "5s", Got: "7s", Note: "the kernel rounds up to retransmissions"},
		{Option: "SO_REUSEPORT", Key: "reuse_port", Asked: "false", Got: "false"},
	}}},
	{nil, event.TCPTiers{Active: []string{"sock"}, Missing: []event.TCPTier{
		{Tier: "sockops", Detail: "not permitted: permission denied", Need: "CAP_BPF and CAP_NET_ADMIN in the first user namespace, and a cgroup2 file system"},
		{Tier: "packet", Detail: "not permitted: permission denied", Need: "CAP_NET_RAW in the network namespace's user namespace"},
	}}},
	{nil, event.TCPTiers{Active: []string{"sock", "sockops", "packet"}}},
	{nil, event.TCPTiers{Active: []string{"sock"}, Unasked: []event.TCPTier{
		{Tier: "sockops", Detail: "not asked for", Need: "CAP_BPF and CAP_NET_ADMIN in the first user namespace, and a cgroup2 file system"},
		{Tier: "packet", Detail: "not asked for, and permitted here"},
	}}},
	{nil, event.TCPTiers{Active: []string{"sock"}, Note: "not for new connections: inspect.level is none"}},
	{nil, event.AdminUnavailable{Socket: "/run/mtlsproxy/admin.sock", Detail: "another instance answers there"}},
	{nil, event.SocketOption{Upstream: "app", Object: "upstream", Option: "TCP_CONGESTION", Key: "upstreams.app.tcp.congestion", Asked: "dctcp", Got: "cubic", Need: "CAP_NET_ADMIN", Note: "not among the algorithms everybody may use", Err: "operation not permitted"}},
	{nil, event.ProxyReady{Listeners: []event.ListenerReady{
		{Name: "main", Address: "127.0.0.1:8443", Upstream: "app", ClientAuth: "require"},
		{Name: "public", Address: "[::]:9443", Upstream: "app", ClientAuth: "none"},
	}, Telemetry: "http://127.0.0.1:9464/metrics", Duration: 31 * time.Millisecond}},
	{nil, event.Readiness{Failed: []string{"certificates: a server certificate expired at 2026-11-22T10:00:00Z"}}},
	{nil, event.Readiness{Ready: true}},

	{conn, event.TCPSYN{Side: event.ClientSide, By: event.ClientSide, Attempt: 1, Witness: event.Witness{Source: "sock", Quality: "derived"},
		Segment: &event.Segment{Numbered: true, Seq: 2746301983, Bytes: true, Flags: "SYN", Window: 65495, TTL: 64, MSS: 65495, SACK: true, Timestamps: true, TSVal: 1914207, WScale: 7}}},
	{conn, event.TCPSYNACK{Side: event.ClientSide, By: event.ProxySide, Attempt: 2, Witness: event.Witness{Source: "packet", Quality: "exact"},
		Segment: &event.Segment{Numbered: true, Seq: 918273645, Ack: 2746301984, Bytes: true, Flags: "SYN,ACK", Window: 65483, TTL: 64, MSS: 65495, SACK: true, Timestamps: true, TSVal: 1914208, TSEcr: 1914207, WScale: 7}}},
	{conn, event.TCPAccepted{Listen: "127.0.0.1:8443", Kernel: kernel, Active: 3, Options: []string{"TCP_NODELAY=1", "SO_KEEPALIVE=1"},
		SYN: &event.SYN{TTL: 64, MSS: 65495, WScale: 7, SACK: true, Timestamps: true, Window: 65495}}},
	{conn, event.TCPEstablished{Side: event.ClientSide, Local: conn.Listen, Remote: conn.Client, Kernel: kernel}},
	{conn, hello},
	{conn, event.ServerHello{Message: event.Message{Direction: event.Out, Bytes: 118, Records: 1}, Version: "1.3", Cipher: agreed.Cipher, Curve: agreed.Group, ALPN: "h2"}},
	{conn, event.ServerHello{Retry: true, Version: "1.3", Cipher: agreed.Cipher, Curve: "x25519"}},
	{conn, event.CertificateRequest{AdvertisedCAs: []string{"CN=Demo Root", "O=Example, Inc."}}},
	{conn, event.ServerCertificate{Chain: []event.Certificate{{Subject: "CN=localhost", Serial: "01ff"}}}},
	{conn, event.ClientCertificate{Message: event.Message{Direction: event.In, Bytes: 611, Encrypted: true, Records: 1}, Chain: []event.Certificate{alice}, ChainBytes: 604}},
	{conn, event.Verify{Result: "ok", Duration: 120 * time.Microsecond, Chain: []string{"CN=alice", "CN=Demo Issuing", "CN=Demo Root"}}},
	{conn, event.Verify{Result: "failed", Reason: event.ClientCertExpired, Detail: "expired 1 day ago"}},
	{conn, event.Finished{Message: event.Message{Direction: event.In, Bytes: 32, Encrypted: true, Records: 1}, Established: true}},
	{conn, event.OtherMessage{Message: event.Message{Direction: event.Out, Type: "EncryptedExtensions", Bytes: 6, Encrypted: true, Records: 1}}},
	{conn, event.Record{Direction: event.Out, ContentType: "application_data", Content: "handshake", Version: "TLS 1.2", Length: 58, Encrypted: true, Offset: 133, Header: "170303003a"}},
	{conn, event.Omitted{Messages: 40, Records: 2000, Bytes: 1 << 20}},
	{conn, event.PolicyDecision{Action: "allow", Rule: "team", Enforcement: "enforce", Auth: "verified"}},
	{conn, event.Recheck{Trigger: "policy", Action: "ended", Reason: event.ClientCertRevoked, Detail: "revoked by list 7", Rule: "team"}},
	{conn, event.Alert{Direction: event.Out, Fatal: true, Code: 48, Description: "unknown_ca", Encrypted: true, Delivered: "acked"}},
	{conn, event.Alert{Direction: event.In, Code: 0, Description: "close_notify", Encrypted: true}},
	{conn, ok},
	{conn, event.HandshakeOK{Duration: 2900 * time.Microsecond, Auth: "missing", TLS: event.TLSState{Version: "1.2", Cipher: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", Group: "X25519", Resumed: true}}},
	{conn, event.HandshakeFailed{Failure: incomplete}},
	{conn, event.HandshakeFailed{Failure: event.Failure{Reason: event.ClientCertMissing, Duration: 2 * time.Millisecond, TLS: agreed}}},
	{conn, event.HandshakeFailed{Failure: event.Failure{Reason: event.ServerCertUntrusted, By: event.ClientSide, Duration: 1900 * time.Microsecond,
		Detail: `the client does not know our CA (alert 48, unencrypted; Go calls this "bad record MAC")`, Confidence: "likely",
		Alert: &event.Alert{Direction: event.In, Fatal: true, Code: 48, Description: "unknown_ca"}}}},
	{conn, event.HandshakeFailed{Failure: event.Failure{Reason: event.NotTLS, Received: []byte("SSH-2.0-OpenSSH_"), Duration: 80 * time.Microsecond}}},
	{conn, event.HandshakeFailed{Failure: event.Failure{Reason: event.Internal, LibraryError: "tls: something new", Duration: time.Second}}},
	{conn, event.HandshakeFailed{Failure: event.Failure{Reason: event.PeerClosed, By: event.ClientSide, LastMessage: "server_hello", Confidence: "likely",
		Duration: 2 * time.Millisecond, Detail: "the client closed the connection after our Certificate"}}},
	{conn, event.HandshakeReported{Failure: incomplete}},
	{conn, event.ProbeSeen{Reason: event.TCPProbe, Duration: 300 * time.Microsecond}},
	{conn, event.LimitHit{Reason: event.LimitPerIP, Value: 100, Key: "limits.max_per_ip", Action: "close"}},
	{nil, event.LimitHit{Reason: event.LimitHandshakes, Value: 64, Key: "limits.max_handshakes", Action: "wait"}},
	{conn, event.UpstreamDialed{Upstream: "app", Address: "10.0.0.2:8080", Duration: 400 * time.Microsecond, Attempt: 2}},
	{conn, event.UpstreamFailed{Upstream: "app", Address: "10.0.0.1:8080", Reason: event.UpstreamTimeout, Detail: "no answer within 5s", Duration: 5 * time.Second, Attempt: 1}},
	{conn, event.UpstreamFailed{Upstream: "app", Address: "10.0.0.2:8080", Reason: event.UpstreamRefused, Duration: 900 * time.Microsecond, Attempt: 2, Last: true}},
	{conn, event.TCPRetransmit{Side: event.UpstreamSide, By: event.ProxySide, Timeout: true, Attempt: 2, Witness: event.Witness{Source: "sockops", Quality: "exact"},
		Segment: &event.Segment{Numbered: true, Seq: 918273700, Ack: 7, WScale: -1}}},
	{conn, event.TCPFIN{Side: event.ClientSide, By: event.ClientSide, First: true, Kernel: kernel, Witness: event.Witness{Source: "sock", Quality: "derived"}}},
	{conn, event.TCPState{Side: event.ClientSide, From: "ESTABLISHED", To: "CLOSE-WAIT", Kernel: kernel, Witness: event.Witness{Source: "sockops", Quality: "exact"}}},
	{conn, event.TCPRST{Side: event.UpstreamSide, By: event.UpstreamSide, Witness: event.Witness{Source: "packet", Quality: "exact"},
		Segment: &event.Segment{Numbered: true, Seq: 77, Bytes: true, Flags: "RST", TTL: 63, WScale: -1}}},
	{conn, event.TCPHalfClosed{Side: event.ClientSide, How: event.ByFIN, Truncated: true, Bytes: 79}},
	{conn, event.TCPClosed{Side: event.UpstreamSide, How: event.ByFIN, BytesIn: 60, BytesOut: 79, Duration: 9 * time.Millisecond, Kernel: kernel}},
	{conn, event.ConnClosed{Cause: event.CauseClean, By: "client", How: event.ByFIN, BytesIn: 79, BytesOut: 60, WireIn: 2900, WireOut: 3100,
		Duration: 13200 * time.Microsecond, Identity: "spiffe://demo.test/alice", Upstream: "10.0.0.2:8080", Kernel: kernel}},
	{conn, event.ConnClosed{Cause: event.CauseIdle, By: "idle", How: event.ByTimeout, BytesIn: 1536, BytesOut: 5 << 30, Duration: 250 * time.Second, Detail: "no byte for 4m0s"}},
	{conn, event.ConnClosed{Reason: event.ClientCertExpired, Cause: event.CauseRefused, By: "error", How: event.ByAlert, Duration: 4 * time.Millisecond, Detail: "tls: expired certificate"}},
	{conn, event.ConnClosed{Reason: event.TCPProbe, Cause: event.CauseProbe, By: "client", How: event.ByFIN, Duration: 300 * time.Microsecond}},
	{conn, event.TCPTimeWait{Side: event.UpstreamSide, State: "TIME-WAIT", Expires: 60 * time.Second, First: event.ProxySide, Verdict: "closed_here", Words: "we closed first; TIME-WAIT is ours",
		Passed:  []event.Passage{{State: "FIN-WAIT-1", After: 9 * time.Millisecond}, {State: "FIN-WAIT-2", After: 9100 * time.Microsecond}},
		Witness: event.Witness{Source: "sock", Quality: "derived"}}},
	{nil, event.TCPHalfOpen{Listen: "127.0.0.1:8443", Client: "192.0.2.7:40112", SYNACKs: 6, Witness: event.Witness{Source: "sockops", Quality: "exact"}}},
	{conn, event.Panic{Value: "runtime error: index out of range [3] with length 3", Stack: "goroutine 7 [running]:\nmain.main()\n\t/src/main.go:7 +0x1d\n"}},

	{nil, event.AcceptPaused{Listener: "main", Reason: event.LimitDescriptors, Detail: "accept: too many open files", Pause: 100 * time.Millisecond}},
	{nil, event.LimitLowered{Listener: "main", Key: "limits.max_connections", Asked: 10000, Value: 480, Reason: event.LimitDescriptors}},
	{nil, event.ConfigLoaded{Trigger: "signal", Changed: []string{"logging.level", "listeners.main.tls.client_auth"}}},
	{nil, event.ConfigRejected{Trigger: "file", Findings: []string{
		`configs/proxy.yaml:12:3: unknown key "listner"; did you mean "listener"?`,
		`configs/proxy.yaml:31:5: timeouts.handshake "10": a duration needs a unit, as in 10s`,
	}, NeedsRestart: []string{"listeners.main.address"}}},
	{nil, event.LogDropped{Events: 12}},
	{nil, event.ProxyDraining{Active: 1, Timeout: 30 * time.Second}},
	{nil, event.ProxyStop{Drained: 11, Cut: 1, Pending: 3, Duration: 1200 * time.Millisecond}},
}

// sampleEvents returns the samples as they would come: 250 µs apart, those of
// the connection numbered from 1.
func sampleEvents() []event.Event {
	var out []event.Event
	var seq uint64
	for i, s := range samples {
		e := event.Event{Conn: s.conn, Time: started.Add(time.Duration(i) * 250 * time.Microsecond), Body: s.body}
		if s.conn != nil {
			seq++
			e.Seq = seq
		}
		out = append(out, e)
	}
	return out
}
