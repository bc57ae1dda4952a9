package proxy

import (
	"bytes"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

// refusalAlert is the alert that says why a client is refused: RFC 8446, Section
// 6.2. crypto/tls sends bad_certificate for whatever VerifyConnection returns.
func refusalAlert(r event.Reason) (a tlswire.AlertDescription, ok bool) {
	switch r {
	case event.ClientCertExpired, event.ClientCertNotYetValid:
		return tlswire.AlertCertificateExpired, true
	case event.ClientCAUnknown, event.ClientChainIncomplete, event.ClientCARegenerated, event.ClientCertSelfSigned:
		return tlswire.AlertUnknownCA, true
	case event.ClientCertRevoked:
		return tlswire.AlertCertificateRevoked, true
	case event.PolicyDenied:
		return tlswire.AlertAccessDenied, true
	}
	return 0, false
}

// rightAlert returns what is sent for p, which crypto/tls is about to write after
// VerifyConnection has refused the client: the alert that fits, where p is an
// alert that can be changed, and else p. At TLS 1.3 it takes the secrets that come
// with inspect.level messages; without them the client reads bad_certificate.
func (t *tap) rightAlert(p []byte) []byte {
	alert, ok := refusalAlert(faultReason(t.session.decision.Verdict.Fault))
	if !ok {
		return p
	}
	changed := bytes.Clone(p) // it is crypto/tls's
	if _, clear := clearAlert(p); clear && len(p) == 7 {
		changed[6] = byte(alert)
		return changed
	}
	if t.log == nil || t.log.missing > 0 {
		return p
	}
	tr := transcripts.Get().(*tlswire.Transcript)
	defer func() { tr.Reset(); transcripts.Put(tr) }()
	tr.SetSecrets(&t.log.secrets)
	t.log.feed(tr, nil)
	if !tr.ReplaceAlert(tlswire.ServerToClient, changed, alert) {
		return p
	}
	return changed
}
