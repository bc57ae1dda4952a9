package admin

import (
	"strconv"
	"strings"

	"mtlsproxy/proxy/event"
)

// AlertInfo says what an alert of TLS means between a client and this proxy.
type AlertInfo struct {
	Code     uint8  `json:"code"`
	Name     string `json:"name"`
	Meaning  string `json:"meaning"`            // as the standard has it
	Received string `json:"received,omitempty"` // what it means when the client sends it
	Sent     string `json:"sent,omitempty"`     // when the proxy sends it

	ReceivedReasons []string `json:"received_reasons,omitempty"` // the reasons it stands for, the likeliest first
	SentReasons     []string `json:"sent_reasons,omitempty"`
}

// alertRow is an AlertInfo as it is written down below.
type alertRow struct {
	code                    uint8
	name, meaning, from, to string
	received, sent          []event.Reason
}

// alerts are those of RFC 8446, Section 6, and RFC 7301 and 9849, in the order of
// their codes. Which stack sends which was measured.
var alerts = []alertRow{
	{0, "close_notify", "the sender will send nothing more; an orderly end, not an error",
		"the client is done; before the handshake is finished it has gone away", "the proxy is done, as after a half-close of the upstream",
		[]event.Reason{event.PeerClosed}, []event.Reason{event.OK}},
	{10, "unexpected_message", "a message came out of its turn",
		"the client did not expect our message: a fault in it, or something between the two that changes the stream", "the client's messages came out of turn",
		[]event.Reason{event.ClientAlertOther}, []event.Reason{event.TLSMalformed}},
	{20, "bad_record_mac", "a record did not decrypt",
		"what we sent did not decrypt at the client: it was changed on the way, or the keys differ",
		"a record of the client did not decrypt; with OpenSSL clients it is usually their own alert, sent without encryption, and they refused our certificate",
		[]event.Reason{event.ClientAlertOther}, []event.Reason{event.ServerCertUntrusted, event.ServerCertExpired, event.TLSMalformed}},
	{22, "record_overflow", "a record was longer than allowed",
		"", "what came was longer than a record may be; often it was no TLS at all",
		[]event.Reason{event.ClientAlertOther}, []event.Reason{event.TLSMalformed, event.NotTLS}},
	{40, "handshake_failure", "nothing acceptable was among what was offered",
		"the client found nothing it could accept in our answer; often it has no signature scheme for its key",
		"client and proxy have nothing in common; at TLS 1.2 also: no client certificate came, for which that version has no alert of its own",
		[]event.Reason{event.ClientAlertOther}, []event.Reason{event.CipherMismatch, event.GroupMismatch, event.SignatureMismatch, event.ClientCertMissing, event.ServerConfig}},
	{42, "bad_certificate", "a certificate was corrupt or did not verify",
		"the client refused our certificate: Go and GnuTLS send this for any cause, OpenSSL and NSS for a wrong host name",
		"the client's certificate was refused by its usage, its chain or the policy; crypto/tls sends it for whatever has no alert of its own",
		[]event.Reason{event.ServerCertUntrusted}, []event.Reason{event.PolicyDenied, event.ClientCertWrongUsage, event.ClientCertConstraint, event.ClientCertSignature, event.ClientCertWeak, event.ClientCertRevoked, event.RevocationUnavailable, event.ClientChainTooBig}},
	{43, "unsupported_certificate", "a certificate is of a kind that is not supported",
		"the client cannot use our certificate's key or usage", "the client's certificate has a key of a kind that is not supported",
		[]event.Reason{event.ServerCertUntrusted}, []event.Reason{event.ClientCertMalformed}},
	{44, "certificate_revoked", "a certificate was revoked",
		"the client takes our certificate for revoked", "the client's certificate is revoked",
		[]event.Reason{event.ServerCertUntrusted}, []event.Reason{event.ClientCertRevoked}},
	{45, "certificate_expired", "a certificate has expired, or is not valid now",
		"the client finds our certificate expired: it has, or the client's clock is wrong",
		"the client's certificate has expired, or is not valid yet: there is no alert for the latter",
		[]event.Reason{event.ServerCertExpired}, []event.Reason{event.ClientCertExpired, event.ClientCertNotYetValid}},
	{46, "certificate_unknown", "a certificate was refused for some other cause",
		"the client refused our certificate: Java sends this for any cause, browsers where nobody they trust issued it", "",
		[]event.Reason{event.ServerCertUntrusted}, nil},
	{47, "illegal_parameter", "a field was out of range or inconsistent",
		"the client finds a field of ours wrong", "a field of the client's message was wrong",
		[]event.Reason{event.ClientAlertOther}, []event.Reason{event.TLSMalformed, event.VersionMismatch, event.ClientKeyMismatch}},
	{48, "unknown_ca", "the issuer of a certificate is not known or not trusted",
		"the client does not trust the CA of our certificate, or we did not send an intermediate; OpenSSL clients send it without encryption",
		"no path leads from the client's certificate to a CA we trust; four causes share this alert",
		[]event.Reason{event.ServerCertUntrusted}, []event.Reason{event.ClientCAUnknown, event.ClientChainIncomplete, event.ClientCARegenerated, event.ClientCertSelfSigned}},
	{49, "access_denied", "the certificate is good, but its holder may not",
		"", "the policy does not let the client in",
		[]event.Reason{event.ClientAlertOther}, []event.Reason{event.PolicyDenied}},
	{50, "decode_error", "a message could not be decoded",
		"the client could not read a message of ours", "a message, or the certificate in it, could not be read",
		[]event.Reason{event.ClientAlertOther}, []event.Reason{event.TLSMalformed, event.ClientCertMalformed}},
	{51, "decrypt_error", "a signature or Finished did not verify",
		"our signature or Finished did not verify at the client: the key is not the certificate's, or something between the two changes the stream",
		"the client's signature or Finished did not verify: its key is not the certificate's",
		[]event.Reason{event.ClientAlertOther}, []event.Reason{event.ClientKeyMismatch, event.TLSMalformed}},
	{70, "protocol_version", "the version is known but not accepted",
		"the client refuses the version we chose", "the client offers no version that the listener takes",
		[]event.Reason{event.VersionMismatch}, []event.Reason{event.VersionMismatch, event.TLSMalformed}},
	{71, "insufficient_security", "only weaker parameters were offered than are required",
		"the client wants stronger parameters than we chose", "",
		[]event.Reason{event.ClientAlertOther, event.CipherMismatch}, nil},
	{80, "internal_error", "something failed that has nothing to do with the other side",
		"something failed within the client", "something failed within the proxy, such as the private key or the choice of a certificate",
		[]event.Reason{event.ClientAlertOther}, []event.Reason{event.ServerConfig, event.SNIUnknown, event.Internal}},
	{86, "inappropriate_fallback", "the client fell back to an older version without need",
		"", "the client came back with an older version after a failure: look at the connection before this one",
		nil, []event.Reason{event.VersionMismatch}},
	{90, "user_canceled", "the user called it off",
		"somebody cancelled, for instance when asked for a certificate", "",
		[]event.Reason{event.PeerClosed}, nil},
	{109, "missing_extension", "an extension that is needed was not there",
		"", "the client left out what TLS 1.3 needs, such as its signature algorithms",
		[]event.Reason{event.ClientAlertOther}, []event.Reason{event.SignatureMismatch, event.GroupMismatch}},
	{110, "unsupported_extension", "an extension came that was not asked for",
		"the client did not ask for an extension we sent", "the client sent what does not belong there, such as early data for a ticket of another server",
		[]event.Reason{event.ClientAlertOther}, []event.Reason{event.TLSMalformed}},
	{112, "unrecognized_name", "there is no server of that name",
		"", "the proxy has no certificate for the name the client asked for",
		[]event.Reason{event.ClientAlertOther}, []event.Reason{event.SNIUnknown}},
	{113, "bad_certificate_status_response", "a stapled OCSP response is not good",
		"the client did not accept the OCSP response we stapled", "",
		[]event.Reason{event.ServerCertUntrusted}, nil},
	{115, "unknown_psk_identity", "the session offered is not known",
		"", "", []event.Reason{event.ClientAlertOther}, nil},
	{116, "certificate_required", "a client certificate is needed and none came (TLS 1.3)",
		"", "no client certificate came; curl reports it as (56), after a handshake that looked well to it",
		nil, []event.Reason{event.ClientCertMissing}},
	{120, "no_application_protocol", "no application protocol (ALPN) in common",
		"", "the client asks for protocols of which the listener has none",
		[]event.Reason{event.ClientAlertOther}, []event.Reason{event.ALPNMismatch}},
	{121, "ech_required", "Encrypted Client Hello was not accepted, and the client insists",
		"the client insists on Encrypted Client Hello; its configuration for this name is out of date", "",
		[]event.Reason{event.ClientAlertOther}, nil},
}

func (r *alertRow) info() AlertInfo {
	return AlertInfo{Code: r.code, Name: r.name, Meaning: r.meaning, Received: r.from, Sent: r.to,
		ReceivedReasons: codes(r.received), SentReasons: codes(r.sent)}
}

func codes(reasons []event.Reason) []string {
	var list []string
	for _, r := range reasons {
		list = append(list, r.String())
	}
	return list
}

// Alerts returns what is known of alerts, in the order of their codes.
func Alerts() []AlertInfo {
	var list []AlertInfo
	for i := range alerts {
		list = append(list, alerts[i].info())
	}
	return list
}

// FindAlert returns the alert of a code, "48", or a name, however its words are
// joined: "unknown_ca", "unknown ca", "UNKNOWN-CA".
func FindAlert(s string) (AlertInfo, bool) {
	s = strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(strings.TrimSpace(s)))
	code, err := strconv.ParseUint(s, 10, 8)
	for i := range alerts {
		if alerts[i].name == s || err == nil && uint64(alerts[i].code) == code {
			return alerts[i].info(), true
		}
	}
	return AlertInfo{}, false
}
