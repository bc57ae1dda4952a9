package proxy

import (
	"bytes"
	"errors"

	"mtlsproxy/proxy/tlswire"
)

// libraryAlert is what crypto/tls sends when a callback refuses: bad_certificate.
const libraryAlert = 42

// errLastWord is what a write returns after an alert was put in another's place.
// That one was sealed under the nonce of the one crypto/tls made, which is gone;
// were crypto/tls to write again, nothing may come of it.
var errLastWord = errors.New("the connection has said its last word")

// rightAlert returns what is sent for p, which crypto/tls is about to write after
// VerifyConnection has refused the client, where the policy is to have its own
// alerts (OwnVerification). crypto/tls sends bad_certificate for whatever that
// returns; where p is an alert that can be changed, what is sent is the one that
// the policy names, and else p. At TLS 1.3 it takes what was recorded of the
// handshake, with its secrets.
func (t *tap) rightAlert(p []byte) []byte {
	alert := t.session.decision.Alert
	if alert == 0 || alert == libraryAlert {
		return p
	}
	changed := bytes.Clone(p) // it is crypto/tls's
	if said, clear := clearAlert(p); clear && len(p) == 5+2 {
		if said != libraryAlert {
			return p
		}
		changed[6] = alert
		t.lastWord = true
		return changed
	}
	if t.log == nil || t.log.missing > 0 {
		return p
	}
	r := readings.Get().(*reading)
	defer r.release()
	tr := &r.tr
	tr.SetSecrets(&t.log.secrets)
	t.log.feed(tr, nil)
	if !tr.ReplaceAlert(tlswire.ServerToClient, changed, tlswire.AlertDescription(alert)) {
		return p
	}
	t.lastWord = true
	return changed
}
