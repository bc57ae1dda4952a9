package admin

import (
	"regexp"
	"strings"

	"mtlsproxy/proxy/event"
)

// Match is what an error text stands for.
type Match struct {
	Text    string   `json:"text"`    // what was recognised
	SeenBy  string   `json:"seen_by"` // whose error it is: client, proxy
	Reasons []string `json:"reasons"` // the likeliest first
	Note    string   `json:"note,omitempty"`
}

// Whose error a text is.
const (
	byClient = "client"
	byProxy  = "proxy"
)

// errorRow is one known text: the pieces that must all be in it, in lower case.
// Rows marked weak count only where no other matches.
type errorRow struct {
	pieces  []string
	by      string
	weak    bool
	reasons []event.Reason
	note    string
}

func has(pieces ...string) []string { return pieces }

var (
	// chainFaults share Go's "unknown authority" and the alert unknown_ca.
	chainFaults = []event.Reason{event.ClientCAUnknown, event.ClientChainIncomplete, event.ClientCARegenerated, event.ClientCertSelfSigned}

	// badCertificate are what the proxy's alert 42 stands for.
	badCertificate = []event.Reason{event.PolicyDenied, event.ClientCertWrongUsage, event.ClientCertConstraint, event.ClientCertRevoked, event.ClientCertWeak}

	nothingShared = []event.Reason{event.ClientCertMissing, event.CipherMismatch, event.GroupMismatch, event.SignatureMismatch}
	clientRefused = []event.Reason{event.ServerCertUntrusted}
)

// errorTexts are what Go, OpenSSL, curl, Java and Node write, as measured. The
// more telling of two stands first.
var errorTexts = []errorRow{
	// Go, on either side of the connection.
	{has("bad record mac"), byProxy, false, []event.Reason{event.ServerCertUntrusted, event.ServerCertExpired, event.TLSMalformed},
		"usually no corruption: OpenSSL clients (curl, Python, many more) send their alert before they switch to encryption, and Go takes it for a broken record"},
	{has("client didn't provide a certificate"), byProxy, false, []event.Reason{event.ClientCertMissing}, ""},
	{has("unknown authority", "while trying to verify candidate authority"), byProxy, false, []event.Reason{event.ClientCARegenerated, event.ClientCAUnknown}, "a CA of the right name has another key"},
	{has("signed by unknown authority"), byProxy, false, chainFaults, "four causes share this text; the chain that was sent tells them apart"},
	{has("signed by unknown authority"), byClient, false, clientRefused, "a Go client says the same about the proxy's certificate"},
	{has("expired or is not yet valid", "is before"), byProxy, false, []event.Reason{event.ClientCertNotYetValid}, "in a Go client's log it is about the proxy's certificate"},
	{has("expired or is not yet valid", "is after"), byProxy, false, []event.Reason{event.ClientCertExpired}, "in a Go client's log it is about the proxy's certificate"},
	{has("expired or is not yet valid"), byClient, false, []event.Reason{event.ServerCertExpired}, ""},
	{has("incompatible key usage"), byProxy, false, []event.Reason{event.ClientCertWrongUsage}, ""},
	{has("invalid signature by the client certificate"), byProxy, false, []event.Reason{event.ClientKeyMismatch}, ""},
	{has("failed to parse client certificate"), byProxy, false, []event.Reason{event.ClientCertMalformed}, ""},
	{has("offered only unsupported versions"), byProxy, false, []event.Reason{event.VersionMismatch}, ""},
	{has("no cipher suite supported by both"), byProxy, false, []event.Reason{event.CipherMismatch}, ""},
	{has("no key exchanges supported by both"), byProxy, false, []event.Reason{event.GroupMismatch}, ""},
	{has("no supported elliptic curves"), byProxy, false, []event.Reason{event.GroupMismatch}, ""},
	{has("doesn't support any of the certificate's signature algorithms"), byProxy, false, []event.Reason{event.SignatureMismatch}, ""},
	{has("unsupported application protocols"), byProxy, false, []event.Reason{event.ALPNMismatch}, ""},
	{has("no certificates configured"), byProxy, false, []event.Reason{event.SNIUnknown}, ""},
	{has("received record with version"), byProxy, false, []event.Reason{event.PeerClosed, event.TLSMalformed}, "often a close_notify with the version of the first record: the client went away"},
	{has("first record does not look like a tls handshake"), byProxy, false, []event.Reason{event.NotTLSHTTP, event.NotTLS}, ""},
	{has("http request to an https server"), byClient, false, []event.Reason{event.NotTLSHTTP}, ""},
	{has("certificate is valid for", "not "), byClient, false, clientRefused, "the name the client used is not in the proxy's certificate"},

	// Alerts, as Go writes those it received.
	{has("remote error", "unknown certificate authority"), byProxy, false, clientRefused, ""},
	{has("remote error", "unknown certificate authority"), byClient, false, chainFaults, ""},
	{has("remote error", "bad certificate"), byProxy, false, clientRefused, ""},
	{has("remote error", "bad certificate"), byClient, false, badCertificate, ""},
	{has("remote error", "unknown certificate"), byProxy, false, clientRefused, "Java sends this for any cause"},
	{has("remote error", "expired certificate"), byProxy, false, []event.Reason{event.ServerCertExpired}, ""},
	{has("remote error", "expired certificate"), byClient, false, []event.Reason{event.ClientCertExpired, event.ClientCertNotYetValid}, ""},
	{has("remote error", "revoked certificate"), byClient, false, []event.Reason{event.ClientCertRevoked}, ""},
	{has("remote error", "handshake failure"), byClient, false, nothingShared, ""},
	{has("remote error", "handshake failure"), byProxy, false, []event.Reason{event.ClientAlertOther}, ""},
	{has("remote error", "certificate required"), byClient, false, []event.Reason{event.ClientCertMissing}, ""},
	{has("remote error", "protocol version not supported"), byClient, false, []event.Reason{event.VersionMismatch}, ""},
	{has("remote error", "no application protocol"), byClient, false, []event.Reason{event.ALPNMismatch}, ""},
	{has("remote error", "unrecognized name"), byClient, false, []event.Reason{event.SNIUnknown}, ""},

	// Alerts, as OpenSSL and those on it write them.
	{has("alert certificate required"), byClient, false, []event.Reason{event.ClientCertMissing}, ""},
	{has("alert unknown ca"), byClient, false, chainFaults, ""},
	{has("alert bad certificate"), byClient, false, badCertificate, "the proxy's log names the rule or the fault; the alert cannot"},
	{has("alert certificate expired"), byClient, false, []event.Reason{event.ClientCertExpired, event.ClientCertNotYetValid}, "it is about the client's own certificate"},
	{has("alert certificate revoked"), byClient, false, []event.Reason{event.ClientCertRevoked}, ""},
	{has("alert handshake failure"), byClient, false, nothingShared, "at TLS 1.2 a missing client certificate looks like this"},
	{has("alert protocol version"), byClient, false, []event.Reason{event.VersionMismatch}, ""},
	{has("alert no application protocol"), byClient, false, []event.Reason{event.ALPNMismatch}, ""},
	{has("alert decrypt error"), byClient, false, []event.Reason{event.ClientKeyMismatch}, ""},
	{has("alert unrecognized name"), byClient, false, []event.Reason{event.SNIUnknown}, ""},
	{has("alert internal error"), byClient, false, []event.Reason{event.ServerConfig, event.SNIUnknown, event.Internal}, ""},
	{has("alert access denied"), byClient, false, []event.Reason{event.PolicyDenied}, ""},
	{has("received fatal alert: certificate_unknown"), byClient, false, clientRefused, ""},
	{has("received fatal alert: bad_certificate"), byClient, false, badCertificate, "Java's words"},
	{has("received fatal alert: handshake_failure"), byClient, false, nothingShared, "Java's words; it sends no certificate of an issuer that was not asked for"},
	{has("received fatal alert: certificate_required"), byClient, false, []event.Reason{event.ClientCertMissing}, "Java sends no certificate of an issuer that was not asked for"},

	// The client about the proxy's certificate.
	{has("unable to get local issuer certificate"), byClient, false, clientRefused, "the client lacks the proxy's CA, or the proxy an intermediate"},
	{has("unable to verify the first certificate"), byClient, false, clientRefused, "the proxy does not send its intermediate, or the client lacks the CA"},
	{has("self-signed certificate"), byClient, false, clientRefused, "the client does not know the proxy's CA"},
	{has("self signed certificate"), byClient, false, clientRefused, "the client does not know the proxy's CA"},
	{has("unable_to_verify_leaf_signature"), byClient, false, clientRefused, "Node's words"},
	{has("self_signed_cert"), byClient, false, clientRefused, "Node's words"},
	{has("pkix path"), byClient, false, clientRefused, "Java's words"},
	{has("certificate has expired"), byClient, false, []event.Reason{event.ServerCertExpired, event.ClientCertExpired}, "whose certificate it is depends on who says it"},
	{has("no alternative certificate subject name"), byClient, false, clientRefused, "the name the client used is not in the proxy's certificate"},
	{has("hostname mismatch"), byClient, false, clientRefused, "the name the client used is not in the proxy's certificate"},
	{has("certificate verify failed"), byClient, false, clientRefused, ""},
	{has("key values mismatch"), byClient, false, []event.Reason{event.ClientKeyMismatch}, "the client saw by itself that certificate and key do not belong together"},

	{has("no shared cipher"), byClient, false, []event.Reason{event.CipherMismatch}, ""},
	{has("unsupported protocol"), byClient, false, []event.Reason{event.VersionMismatch}, ""},
	{has("wrong version number"), byClient, false, []event.Reason{event.NotTLS, event.NotTLSHTTP}, "what answered the client was not TLS: a wrong port, or TLS to an http:// service"},
	{has("err_bad_ssl_client_auth_cert"), byClient, false, append([]event.Reason{event.ClientCertMissing}, chainFaults...), "Chromium's words"},

	// The upstream, and this machine.
	{has("connection refused"), byProxy, false, []event.Reason{event.UpstreamRefused}, "in the client's log: the proxy does not listen there"},
	{has("no such host"), byProxy, false, []event.Reason{event.UpstreamDNS}, ""},
	{has("no route to host"), byProxy, false, []event.Reason{event.UpstreamUnreachable}, ""},
	{has("network is unreachable"), byProxy, false, []event.Reason{event.UpstreamUnreachable}, ""},
	{has("too many open files"), byProxy, false, []event.Reason{event.LimitDescriptors}, ""},
	{has("cannot assign requested address"), byProxy, false, []event.Reason{event.UpstreamPortsExhausted}, ""},

	// What says little by itself.
	{has("(60)"), byClient, true, []event.Reason{event.ServerCertUntrusted, event.ServerCertExpired, event.ClientCertExpired}, "curl's code for a certificate that did not verify; at TLS 1.2 it also says so about its own that we found expired"},
	{has("(58)"), byClient, true, []event.Reason{event.ClientKeyMismatch, event.ClientCertMissing}, "curl could not use its own certificate or key"},
	{has("(55)"), byClient, true, []event.Reason{event.ClientCertMissing, event.ClientCAUnknown, event.PolicyDenied}, "curl could not send: it was refused after the handshake, and the alert was lost"},
	{has("(56)"), byClient, true, []event.Reason{event.ClientCertMissing, event.ClientCAUnknown, event.PolicyDenied}, "curl was refused after a handshake that looked well to it: at TLS 1.3 the proxy's verdict comes later"},
	{has("(35)"), byClient, true, []event.Reason{event.VersionMismatch, event.ClientCertMissing, event.CipherMismatch}, "curl's code for a handshake that failed"},
	{has("(52)"), byClient, true, []event.Reason{event.PolicyDenied, event.UpstreamRefused}, "the connection was closed without an answer"},
	{has("broken pipe"), byClient, true, []event.Reason{event.ClientCertMissing, event.ClientCAUnknown, event.PolicyDenied}, "the client was still writing when it was refused"},
	{has("connection reset"), byProxy, true, []event.Reason{event.PeerReset, event.TCPReset}, ""},
	{has("econnreset"), byClient, true, []event.Reason{event.LimitConnections, event.LimitMadeRoom, event.LimitPerIP, event.UpstreamRefused}, "the proxy turned the client away, or could not reach the upstream"},
	{has("i/o timeout"), byProxy, true, []event.Reason{event.HandshakeTimeout, event.FirstByteTimeout, event.UpstreamTimeout}, ""},
	{has("deadline exceeded"), byProxy, true, []event.Reason{event.HandshakeTimeout, event.FirstByteTimeout, event.UpstreamTimeout}, ""},
	{has("eof"), byProxy, true, []event.Reason{event.PeerClosed, event.ServerCertUntrusted, event.TCPProbe}, "the client went away without a word; Node.js does so when it refuses our certificate"},
}

// alertNumber is how OpenSSL writes the alert it received.
var alertNumber = regexp.MustCompile(`alert number (\d{1,3})`)

// Recognise says what an error text of a client or of the proxy stands for, what
// is most telling first; nil where nothing in it is known.
func Recognise(text string) []Match {
	text = strings.ToLower(strings.ReplaceAll(text, "’", "'"))
	var sure, weak []Match
	for i := range errorTexts {
		row := &errorTexts[i]
		if !hasAll(text, row.pieces) {
			continue
		}
		m := Match{Text: strings.Join(row.pieces, " … "), SeenBy: row.by, Reasons: codes(row.reasons), Note: row.note}
		if row.weak {
			weak = append(weak, m)
		} else {
			sure = append(sure, m)
		}
	}
	if n := alertNumber.FindStringSubmatch(text); n != nil && len(sure) == 0 {
		if a, ok := FindAlert(n[1]); ok && len(a.SentReasons) > 0 {
			sure = append(sure, Match{Text: n[0], SeenBy: byClient, Reasons: a.SentReasons, Note: a.Sent})
		}
	}
	if len(sure) > 0 {
		return sure
	}
	return weak
}

func hasAll(text string, pieces []string) bool {
	for _, p := range pieces {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}
