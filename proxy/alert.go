package proxy

import (
	"bytes"

	"mtlsproxy/proxy/tlswire"
)

// rightAlert returns what is sent for p, which crypto/tls is about to write after
// VerifyConnection has refused the client. crypto/tls sends bad_certificate for
// whatever that returns; where p is an alert that can be changed, what is sent is
// the one that the policy names, and else p. At TLS 1.3 it takes the secrets that
// come with inspect.level messages; without them the client reads bad_certificate.
func (t *tap) rightAlert(p []byte) []byte {
	alert := t.session.decision.Alert
	if alert == 0 {
		return p
	}
	changed := bytes.Clone(p) // it is crypto/tls's
	if _, clear := clearAlert(p); clear && len(p) == 5+2 {
		changed[6] = alert
		return changed
	}
	if t.log == nil || t.log.missing > 0 {
		return p
	}
	tr := transcripts.Get().(*tlswire.Transcript)
	defer func() { tr.Reset(); transcripts.Put(tr) }()
	tr.SetSecrets(&t.log.secrets)
	t.log.feed(tr, nil)
	if !tr.ReplaceAlert(tlswire.ServerToClient, changed, tlswire.AlertDescription(alert)) {
		return p
	}
	return changed
}
