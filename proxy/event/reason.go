package event

// Reason says in one word why a connection, or its handshake, ended as it did.
// The list is closed: label values, log fields, documentation anchors and tests
// all come from it. The zero value is [OK].
type Reason uint8

// The reasons, by class. What each one means and what to do about it is in
// [Reason.Explain].
const (
	OK Reason = iota

	// Connections that never meant to speak TLS. Never counted as failures.
	TCPProbe // no byte, then FIN
	TCPReset // no byte, then RST

	// Our limits.
	LimitConnections
	LimitUnauthenticated
	LimitMadeRoom
	LimitPerIPUnauthenticated
	LimitHandshakes
	LimitLargeHandshakes
	LimitRate
	LimitPerIP
	LimitDescriptors

	// The client's time ran out.
	FirstByteTimeout
	HandshakeTimeout

	// What arrived was not a handshake, or it broke off.
	ProxyHeaderMissing
	ProxyHeaderInvalid
	PeerClosed
	PeerReset
	NotTLSHTTP
	NotTLS
	TLSMalformed

	// The two ends have nothing in common.
	VersionMismatch
	CipherMismatch
	GroupMismatch
	SignatureMismatch
	ALPNMismatch
	SNIUnknown

	// The client's certificate.
	ClientCertMissing
	ClientCertExpired
	ClientCertNotYetValid
	ClientCertWrongUsage
	ClientCAUnknown
	ClientChainIncomplete
	ClientCARegenerated
	ClientCertSelfSigned
	ClientCertSignature
	ClientCertWeak
	ClientCertConstraint
	ClientCertMalformed
	ClientChainTooBig
	ClientCertRevoked
	RevocationUnavailable
	ClientKeyMismatch

	PolicyDenied

	// The client refuses us.
	ServerCertUntrusted
	ServerCertExpired
	ClientAlertOther

	// The upstream.
	UpstreamRefused
	UpstreamTimeout
	UpstreamUnreachable
	UpstreamDNS
	UpstreamTLS
	UpstreamPortsExhausted
	UpstreamSourceExhausted
	UpstreamSourceUnusable

	// Ours.
	ServerConfig
	Shutdown
	Internal

	reasonCount
)

// Class groups reasons by whose matter they are.
type Class string

// The classes of reasons.
const (
	ClassOK          Class = "ok"
	ClassProbe       Class = "probe"
	ClassLimit       Class = "limit"
	ClassTimeout     Class = "timeout"
	ClassTransport   Class = "transport"
	ClassNegotiation Class = "negotiation"
	ClassClientCert  Class = "client_certificate"
	ClassPolicy      Class = "policy"
	ClassClientSays  Class = "client_refuses"
	ClassUpstream    Class = "upstream"
	ClassOurs        Class = "ours"
)

var reasons = [reasonCount]struct {
	code  string
	class Class
}{
	OK:                        {"ok", ClassOK},
	TCPProbe:                  {"tcp_probe", ClassProbe},
	TCPReset:                  {"tcp_reset", ClassProbe},
	LimitConnections:          {"limit_connections", ClassLimit},
	LimitUnauthenticated:      {"limit_unauthenticated", ClassLimit},
	LimitMadeRoom:             {"limit_made_room", ClassLimit},
	LimitPerIPUnauthenticated: {"limit_per_ip_unauthenticated", ClassLimit},
	LimitHandshakes:           {"limit_handshakes", ClassLimit},
	LimitLargeHandshakes:      {"limit_large_handshakes", ClassLimit},
	LimitRate:                 {"limit_rate", ClassLimit},
	LimitPerIP:                {"limit_per_ip", ClassLimit},
	LimitDescriptors:          {"limit_descriptors", ClassLimit},
	FirstByteTimeout:          {"first_byte_timeout", ClassTimeout},
	HandshakeTimeout:          {"handshake_timeout", ClassTimeout},
	ProxyHeaderMissing:        {"proxy_header_missing", ClassTransport},
	ProxyHeaderInvalid:        {"proxy_header_invalid", ClassTransport},
	PeerClosed:                {"peer_closed", ClassTransport},
	PeerReset:                 {"peer_reset", ClassTransport},
	NotTLSHTTP:                {"not_tls_http", ClassTransport},
	NotTLS:                    {"not_tls", ClassTransport},
	TLSMalformed:              {"tls_malformed", ClassTransport},
	VersionMismatch:           {"version_mismatch", ClassNegotiation},
	CipherMismatch:            {"cipher_mismatch", ClassNegotiation},
	GroupMismatch:             {"group_mismatch", ClassNegotiation},
	SignatureMismatch:         {"signature_mismatch", ClassNegotiation},
	ALPNMismatch:              {"alpn_mismatch", ClassNegotiation},
	SNIUnknown:                {"sni_unknown", ClassNegotiation},
	ClientCertMissing:         {"client_cert_missing", ClassClientCert},
	ClientCertExpired:         {"client_cert_expired", ClassClientCert},
	ClientCertNotYetValid:     {"client_cert_not_yet_valid", ClassClientCert},
	ClientCertWrongUsage:      {"client_cert_wrong_usage", ClassClientCert},
	ClientCAUnknown:           {"client_ca_unknown", ClassClientCert},
	ClientChainIncomplete:     {"client_chain_incomplete", ClassClientCert},
	ClientCARegenerated:       {"client_ca_regenerated", ClassClientCert},
	ClientCertSelfSigned:      {"client_cert_self_signed", ClassClientCert},
	ClientCertSignature:       {"client_cert_signature", ClassClientCert},
	ClientCertWeak:            {"client_cert_weak", ClassClientCert},
	ClientCertConstraint:      {"client_cert_constraint", ClassClientCert},
	ClientCertMalformed:       {"client_cert_malformed", ClassClientCert},
	ClientChainTooBig:         {"client_chain_too_big", ClassClientCert},
	ClientCertRevoked:         {"client_cert_revoked", ClassClientCert},
	RevocationUnavailable:     {"revocation_unavailable", ClassClientCert},
	ClientKeyMismatch:         {"client_key_mismatch", ClassClientCert},
	PolicyDenied:              {"policy_denied", ClassPolicy},
	ServerCertUntrusted:       {"server_cert_untrusted", ClassClientSays},
	ServerCertExpired:         {"server_cert_expired", ClassClientSays},
	ClientAlertOther:          {"client_alert_other", ClassClientSays},
	UpstreamRefused:           {"upstream_refused", ClassUpstream},
	UpstreamTimeout:           {"upstream_timeout", ClassUpstream},
	UpstreamUnreachable:       {"upstream_unreachable", ClassUpstream},
	UpstreamDNS:               {"upstream_dns", ClassUpstream},
	UpstreamTLS:               {"upstream_tls", ClassUpstream},
	UpstreamPortsExhausted:    {"upstream_ports_exhausted", ClassUpstream},
	UpstreamSourceExhausted:   {"upstream_source_exhausted", ClassUpstream},
	UpstreamSourceUnusable:    {"upstream_source_unusable", ClassUpstream},
	ServerConfig:              {"server_config", ClassOurs},
	Shutdown:                  {"shutdown", ClassOurs},
	Internal:                  {"internal", ClassOurs},
}

// String returns the reason's code, as it stands in logs and labels.
func (r Reason) String() string {
	if r >= reasonCount {
		return "invalid"
	}
	return reasons[r].code
}

// Class returns the class the reason belongs to.
func (r Reason) Class() Class {
	if r >= reasonCount {
		return ClassOurs
	}
	return reasons[r].class
}

// MarshalText returns the reason's code.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Reasons returns all reasons in the order of their declaration, [OK] first.
func Reasons() []Reason {
	all := make([]Reason, reasonCount)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// ParseReason returns the reason with the given code; ok tells whether there is
// one.
func ParseReason(code string) (r Reason, ok bool) {
	for i, known := range reasons {
		if known.code == code {
			return Reason(i), true
		}
	}
	return Internal, false
}
