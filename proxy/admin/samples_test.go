package admin

import (
	"net/netip"
	"time"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

// began is when the sample connections were accepted.
var began = time.Date(2026, 11, 22, 10, 43, 16, 1_234_000, time.UTC)

func sampleConn(id string, port uint16) *event.Conn {
	return &event.Conn{
		ID: id, Listener: "main", Client: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port),
		Listen: netip.MustParseAddrPort("127.0.0.1:8443"), Started: began,
	}
}

// journal is a sample: what a session would emit, with times in milliseconds
// since accept.
type sample struct {
	name   string
	conn   *event.Conn
	events []event.Event
}

func (s *sample) at(ms float64, body event.Body) {
	s.events = append(s.events, event.Event{
		Conn: s.conn, Seq: uint64(len(s.events) + 1), Time: began.Add(time.Duration(ms * float64(time.Millisecond))), Body: body,
	})
}

func (s *sample) emit(to event.Sink) {
	for _, e := range s.events {
		to.Emit(e)
	}
}

func msg(dir event.Direction, name string, bytes int, encrypted bool) event.Message {
	return event.Message{Direction: dir, Type: name, Bytes: bytes, Encrypted: encrypted, Records: 1}
}

var (
	kernelInfo = &event.TCPInfo{State: "ESTABLISHED", RTT: 17 * time.Microsecond, InAcceptQueue: 4 * time.Millisecond}
	syn        = &event.SYN{TTL: 64, MSS: 65495, WScale: 10, SACK: true, Timestamps: true, Window: 65495}
	aliceCert  = event.Certificate{
		Subject: "CN=alice", Issuer: "CN=Demo Issuing", Serial: "6a", NotBefore: began.Add(-time.Hour), NotAfter: began.Add(23*time.Hour + 58*time.Minute),
		SHA256: "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08", SANs: []string{"URI:spiffe://demo.test/alice"}, EKU: []string{"clientAuth"},
	}
	issuingCert = event.Certificate{
		Subject: "CN=Demo Issuing", Issuer: "CN=Demo Root", Serial: "02", NotBefore: began.Add(-time.Hour), NotAfter: began.Add(24 * time.Hour),
		SHA256: "AA86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08",
	}
	serverChain = []event.Certificate{{Subject: "CN=server", Issuer: "CN=Demo Issuing", Serial: "03"}, issuingCert}
	agreed13    = event.TLSState{Version: "1.3", Cipher: "TLS_AES_128_GCM_SHA256", Group: "X25519", ServerName: "localhost"}
)

func (s *sample) tcp() {
	s.at(-4, event.TCPEstablished{Side: event.ClientSide, Local: s.conn.Listen, Remote: s.conn.Client, Kernel: kernelInfo})
	s.at(0, event.TCPAccepted{Listen: "127.0.0.1:8443", SYN: syn, Kernel: kernelInfo, Active: 1, Options: []string{"nodelay on", "keep-alive 15 s"}})
}

func (s *sample) hello(ms float64) {
	s.at(ms, event.ClientHello{
		Message: msg(event.In, "ClientHello", 508, false), ServerName: "localhost", Versions: []string{"1.3", "1.2"}, CipherSuites: 30,
		Groups: []string{"x25519", "secp256r1"}, ALPN: []string{"h2", "http/1.1"}, SigAlgs: 20, Extensions: []string{"server_name", "key_share"},
		JA3: "0149F47EABF9A20D0893E2A44E5A6323", JA4: "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6",
	})
}

// flight13 is our first flight at TLS 1.3.
func (s *sample) flight13(ms float64) {
	s.at(ms, event.ServerHello{Message: msg(event.Out, "ServerHello", 118, false), Version: "1.3", Cipher: "TLS_AES_128_GCM_SHA256", Curve: "X25519"})
	s.at(ms, event.OtherMessage{Message: msg(event.Out, "EncryptedExtensions", 6, true)})
	s.at(ms, event.CertificateRequest{Message: msg(event.Out, "CertificateRequest", 106, true), AdvertisedCAs: []string{"CN=Demo Root"}})
	s.at(ms, event.ServerCertificate{Message: msg(event.Out, "Certificate", 855, true), Chain: serverChain})
	verify := msg(event.Out, "CertificateVerify", 76, true)
	verify.Decoded = &tlswire.CertificateVerify{Algorithm: tlswire.SignatureScheme(0x0403)}
	s.at(ms, event.OtherMessage{Message: verify})
	s.at(ms, event.Finished{Message: msg(event.Out, "Finished", 32, true)})
}

func (s *sample) close(c event.ConnClosed) { s.at(c.Duration.Seconds()*1000, c) }

var phases13 = []event.HandshakePhase{
	{Name: event.PhaseWaitHello, Start: 0, Duration: 8600 * time.Microsecond},
	{Name: event.PhaseReadHello, Start: 8600 * time.Microsecond, Duration: 46 * time.Microsecond},
	{Name: event.PhaseKeyExchange, Start: 8646 * time.Microsecond, Duration: 300 * time.Microsecond},
	{Name: event.PhaseServerAuth, Start: 8946 * time.Microsecond, Duration: 400 * time.Microsecond},
	{Name: event.PhaseWriteFlight, Start: 9346 * time.Microsecond, Duration: 15 * time.Microsecond},
	{Name: event.PhaseWaitClient, Start: 9361 * time.Microsecond, Duration: 2732 * time.Microsecond},
	{Name: event.PhaseChainVerify, Start: 12093 * time.Microsecond, Duration: 290 * time.Microsecond},
	{Name: event.PhasePolicy, Start: 12383 * time.Microsecond, Duration: 10 * time.Microsecond},
	{Name: event.PhaseProof, Start: 12393 * time.Microsecond, Duration: 103 * time.Microsecond},
}

// mutual13 is a connection as it should be.
func mutual13() *sample {
	s := &sample{name: "mutual-tls13", conn: sampleConn("7q3f", 50512)}
	s.tcp()
	s.hello(8.646)
	s.flight13(9.361)
	s.at(12.093, event.ClientCertificate{Message: msg(event.In, "Certificate", 881, true), Chain: []event.Certificate{aliceCert, issuingCert}, ChainBytes: 860})
	s.at(12.093, event.OtherMessage{Message: msg(event.In, "CertificateVerify", 76, true)})
	s.at(12.093, event.Finished{Message: msg(event.In, "Finished", 32, true), Established: true})
	s.at(12.496, event.OtherMessage{Message: msg(event.Out, "NewSessionTicket", 1796, true)})
	s.at(12.383, event.Verify{Result: "ok", Duration: 290 * time.Microsecond, Chain: []string{"CN=alice", "CN=Demo Issuing", "CN=Demo Root"}})
	s.at(12.5, event.PolicyDecision{Action: "allow", Rule: "allow-demo", Enforcement: "enforce", Auth: "verified"})
	s.at(12.5, event.HandshakeOK{Duration: 12500 * time.Microsecond, Auth: "verified", Identity: "spiffe://demo.test/alice", Rule: "allow-demo",
		TLS: agreed13, Leaf: &aliceCert, Phases: phases13, Sign: 100 * time.Microsecond})
	s.at(12.611, event.UpstreamDialed{Upstream: "app", Address: "127.0.0.1:9000", Duration: 80 * time.Microsecond, Attempt: 1})
	s.at(12.612, event.TCPEstablished{Side: event.UpstreamSide, Local: netip.MustParseAddrPort("127.0.0.1:40000"), Remote: netip.MustParseAddrPort("127.0.0.1:9000")})
	s.at(20.9, event.TCPHalfClosed{Side: event.ClientSide, How: event.ByCloseNotify, Bytes: 79})
	s.at(21.3, event.TCPHalfClosed{Side: event.UpstreamSide, How: event.ByFIN, Bytes: 60})
	s.at(21.35, event.TCPClosed{Side: event.UpstreamSide, How: event.ByFIN, BytesIn: 60, BytesOut: 79})
	s.at(21.398, event.TCPClosed{Side: event.ClientSide, How: event.ByFIN, BytesIn: 2900, BytesOut: 3400, Kernel: kernelInfo})
	s.close(event.ConnClosed{Cause: event.CauseClean, By: "client", How: event.ByFIN, BytesIn: 79, BytesOut: 60, WireIn: 2900, WireOut: 3400,
		Duration: 21400 * time.Microsecond, Identity: "spiffe://demo.test/alice", Upstream: "127.0.0.1:9000", Kernel: kernelInfo})
	return s
}

// resumed12 is a session of TLS 1.2 taken up again.
func resumed12() *sample {
	s := &sample{name: "resumed-tls12", conn: sampleConn("7q40", 50514)}
	s.tcp()
	s.at(1.1, event.ClientHello{Message: msg(event.In, "ClientHello", 402, false), ServerName: "localhost", Versions: []string{"1.2"}, CipherSuites: 12,
		Groups: []string{"x25519"}, Resumption: "ticket"})
	s.at(1.4, event.ServerHello{Message: msg(event.Out, "ServerHello", 95, false), Version: "1.2", Cipher: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", Resumed: true})
	s.at(1.4, event.OtherMessage{Message: msg(event.Out, "ChangeCipherSpec", 1, false)})
	s.at(1.4, event.Finished{Message: msg(event.Out, "Finished", 12, true)})
	s.at(1.9, event.OtherMessage{Message: msg(event.In, "ChangeCipherSpec", 1, false)})
	s.at(1.9, event.Finished{Message: msg(event.In, "Finished", 12, true), Established: true})
	s.at(1.95, event.HandshakeOK{Duration: 1950 * time.Microsecond, Auth: "verified", Identity: "spiffe://demo.test/alice",
		TLS: event.TLSState{Version: "1.2", Cipher: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", ServerName: "localhost", Resumed: true, Resumption: "accepted"}, Leaf: &aliceCert})
	s.at(2.3, event.UpstreamDialed{Upstream: "app", Address: "127.0.0.1:9000", Duration: 90 * time.Microsecond, Attempt: 1})
	s.at(240002, event.TCPClosed{Side: event.ClientSide, How: event.ByFIN})
	s.close(event.ConnClosed{Cause: event.CauseIdle, By: "idle", How: event.ByTimeout, BytesIn: 1536, BytesOut: 5 << 30, Duration: 240003 * time.Millisecond,
		Identity: "spiffe://demo.test/alice", Upstream: "127.0.0.1:9000", Kernel: &event.TCPInfo{RTT: 20 * time.Microsecond, Retransmits: 3}})
	return s
}

// incomplete sends a leaf without its issuer.
func incomplete() *sample {
	s := &sample{name: "incomplete-chain", conn: sampleConn("7q41", 50530)}
	s.tcp()
	s.hello(1.94)
	s.flight13(2.377)
	s.at(3.579, event.ClientCertificate{Message: msg(event.In, "Certificate", 462, true), Chain: []event.Certificate{aliceCert}, ChainBytes: 450})
	alert := event.Alert{Direction: event.Out, Fatal: true, Code: 48, Description: "unknown_ca", Encrypted: true, Delivered: "acked"}
	s.at(3.69, event.Verify{Result: "failed", Reason: event.ClientChainIncomplete, Detail: `issuer "CN=Demo Issuing" was not sent`})
	s.at(3.696, alert)
	s.at(3.7, event.HandshakeFailed{Failure: event.Failure{
		Reason: event.ClientChainIncomplete, By: event.ClientSide, Detail: `issuer "CN=Demo Issuing" was not sent; we trust "CN=Demo Root" only`,
		LibraryError: "tls: failed to verify certificate: x509: certificate signed by unknown authority", LastMessage: "Certificate", Alert: &alert,
		AdvertisedCAs: []string{"CN=Demo Root"}, Duration: 3700 * time.Microsecond, TLS: agreed13, Chain: []event.Certificate{aliceCert}, Phases: phases13[:6],
	}})
	s.at(4.6, event.TCPClosed{Side: event.ClientSide, How: event.ByFIN, Kernel: kernelInfo})
	s.close(event.ConnClosed{Reason: event.ClientChainIncomplete, Cause: event.CauseRefused, By: "error", How: event.ByAlert, WireIn: 1010, WireOut: 1290, Duration: 4610 * time.Microsecond})
	return s
}

// untrusted does not trust us, and says so before it encrypts.
func untrusted() *sample {
	s := &sample{name: "client-refuses", conn: sampleConn("7q48", 50540)}
	s.tcp()
	s.hello(1.2)
	s.flight13(1.9)
	alert := event.Alert{Direction: event.In, Fatal: true, Code: 48, Description: "unknown_ca"}
	s.at(2.8, alert)
	s.at(2.9, event.HandshakeFailed{Failure: event.Failure{
		Reason: event.ServerCertUntrusted, By: event.ClientSide, LibraryError: "local error: tls: bad record MAC", LastMessage: "Finished", Alert: &alert,
		Detail:        `the client does not trust the CA of our certificate (CN=server, issued by CN=Demo Issuing)`,
		AdvertisedCAs: []string{"CN=Demo Root"}, Duration: 2900 * time.Microsecond, TLS: agreed13,
	}})
	s.at(3, event.TCPClosed{Side: event.ClientSide, How: event.ByFIN})
	s.close(event.ConnClosed{Reason: event.ServerCertUntrusted, Cause: event.CauseHandshakeBroken, By: "client", How: event.ByAlert, WireIn: 520, WireOut: 1290, Duration: 3 * time.Millisecond})
	return s
}

func probe() *sample {
	s := &sample{name: "probe", conn: sampleConn("7q49", 50550)}
	s.tcp()
	s.at(0.3, event.ProbeSeen{Reason: event.TCPProbe, Duration: 300 * time.Microsecond})
	s.close(event.ConnClosed{Reason: event.TCPProbe, Cause: event.CauseProbe, By: "client", How: event.ByFIN, Duration: 310 * time.Microsecond})
	return s
}

func plainHTTP() *sample {
	s := &sample{name: "plain-http", conn: sampleConn("7q4a", 50552)}
	s.tcp()
	s.at(0.4, event.HandshakeFailed{Failure: event.Failure{Reason: event.NotTLSHTTP, By: event.ClientSide, Received: []byte("GET / HTTP/1.1\r\n"), Duration: 400 * time.Microsecond}})
	s.at(0.5, event.TCPClosed{Side: event.ClientSide, How: event.ByFIN})
	s.close(event.ConnClosed{Reason: event.NotTLSHTTP, Cause: event.CauseRefused, By: "error", How: event.ByFIN, WireIn: 78, WireOut: 200, Duration: 500 * time.Microsecond})
	return s
}

func stalled() *sample {
	s := &sample{name: "timeout-mid-handshake", conn: sampleConn("7q4b", 50554)}
	s.tcp()
	s.hello(0.5)
	s.flight13(1)
	s.at(10000, event.HandshakeFailed{Failure: event.Failure{Reason: event.HandshakeTimeout, By: event.ClientSide, Confidence: "likely",
		Detail: "nothing came after our Finished", LastMessage: "Finished", LibraryError: "read tcp: i/o timeout", TLS: agreed13, Duration: 10 * time.Second}})
	s.at(10000.1, event.TCPClosed{Side: event.ClientSide, How: event.ByFIN})
	s.close(event.ConnClosed{Reason: event.HandshakeTimeout, Cause: event.CauseHandshakeBroken, By: "error", How: event.ByTimeout, WireIn: 512, WireOut: 1300, Duration: 10000100 * time.Microsecond})
	return s
}

func upstreamDown() *sample {
	s := &sample{name: "upstream-down", conn: sampleConn("7q4c", 50556)}
	s.hello(0.5) // inspect.level without the kernel's part
	s.flight13(1)
	s.at(2, event.ClientCertificate{Message: msg(event.In, "Certificate", 4, true)})
	s.at(2, event.Finished{Message: msg(event.In, "Finished", 32, true), Established: true})
	s.at(2.1, event.HandshakeOK{Duration: 2100 * time.Microsecond, Auth: "missing", TLS: agreed13})
	s.at(2.2, event.UpstreamFailed{Upstream: "app", Address: "10.0.0.1:8080", Reason: event.UpstreamTimeout, Detail: "no answer within 5s", Duration: 5 * time.Second, Attempt: 1})
	s.at(5003, event.UpstreamFailed{Upstream: "app", Address: "10.0.0.2:8080", Reason: event.UpstreamRefused, Detail: "connection refused", Duration: time.Millisecond, Attempt: 2, Last: true})
	s.at(5003.2, event.TCPClosed{Side: event.ClientSide, How: event.ByRST})
	s.close(event.ConnClosed{Reason: event.UpstreamRefused, Cause: event.CauseUpstreamFailed, By: "upstream", How: event.ByRST, WireIn: 600, WireOut: 1300, Duration: 5003300 * time.Microsecond})
	return s
}

func helloRetry() *sample {
	s := &sample{name: "hello-retry", conn: sampleConn("7q4d", 50558)}
	s.tcp()
	s.hello(0.5)
	s.at(0.7, event.ServerHello{Message: msg(event.Out, "HelloRetryRequest", 84, false), Version: "1.3", Cipher: "TLS_AES_128_GCM_SHA256", Curve: "X25519MLKEM768", Retry: true})
	s.at(0.7, event.OtherMessage{Message: msg(event.Out, "ChangeCipherSpec", 1, false)})
	s.at(1.1, event.ClientHello{Message: msg(event.In, "ClientHello", 1719, false), ServerName: "localhost", Versions: []string{"1.3"}, Groups: []string{"X25519MLKEM768"}, HelloRetry: true})
	s.flight13(1.6)
	s.at(2.4, event.ClientCertificate{Message: msg(event.In, "Certificate", 881, true), Chain: []event.Certificate{aliceCert, issuingCert}, ChainBytes: 860})
	s.at(2.4, event.Finished{Message: msg(event.In, "Finished", 32, true), Established: true})
	s.at(2.5, event.PolicyDecision{Action: "allow", Rule: "default", Enforcement: "enforce", Auth: "verified"})
	s.at(2.5, event.HandshakeOK{Duration: 2500 * time.Microsecond, Auth: "verified", Identity: "spiffe://demo.test/alice", TLS: agreed13, Leaf: &aliceCert})
	return s // and goes on
}

func suspect() *sample {
	s := mutual13()
	s.name = "suspect"
	s.conn.ID = "7q4e"
	s.events = s.events[:len(s.events)-5]
	s.close(event.ConnClosed{Cause: event.CauseClean, By: "client", How: event.ByFIN, Suspect: event.ServerCertUntrusted, Confidence: "likely", Duration: 13 * time.Millisecond, Upstream: "127.0.0.1:9000"})
	return s
}

func samples() []*sample {
	return []*sample{mutual13(), resumed12(), incomplete(), untrusted(), probe(), plainHTTP(), stalled(), upstreamDown(), helloRetry(), suspect()}
}
