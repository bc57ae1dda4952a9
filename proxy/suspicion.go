package proxy

import (
	"fmt"
	"strings"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/proxy/event"
)

// suspicion is what the end of a connection hints at after a handshake that went
// well.
type suspicion struct {
	reason             event.Reason // OK where there is none
	confidence, detail string
}

// atOnce is how soon a client leaves that leaves because of the handshake.
const atOnce = time.Second

// suspicion returns what is to be thought of a client that made a full handshake
// and then ended the connection without having sent or got a byte. Some stacks
// check our certificate only then, and close without a word: wget, Node.js at TLS
// 1.2, curl where the name is wrong. NSS sends its alert then.
func (s *session) suspicion(o outcome) suspicion {
	left := o.by == byClient || s.toUpstream.first.Load()
	if !left || !s.tlsDone || o.reason != event.OK || s.state.Resumed ||
		s.toUpstream.bytes.Load() != 0 || s.toClient.bytes.Load() != 0 {
		return suspicion{}
	}
	if o.cause == event.CauseClientAlert {
		return lateAlert(o.detail)
	}
	if o.cause != event.CauseClean && o.cause != event.CauseTruncated && o.cause != event.CauseClientReset {
		return suspicion{}
	}
	stayed := time.Since(s.about.Started) - s.tap.when.cut.now()
	if stayed > atOnce {
		return suspicion{}
	}
	doubt := suspicion{
		reason: event.ServerCertUntrusted, confidence: "possible",
		detail: fmt.Sprintf("the client left %s after the handshake and had sent nothing, as clients do that find fault "+
			"with our certificate late; a health check that only makes a handshake looks the same", stayed.Round(100*time.Microsecond)),
	}
	if name := s.hello.serverName; name != "" && !s.named(name) {
		doubt.confidence = "likely"
		doubt.detail = fmt.Sprintf("the client asked for %q, which none of our certificates is for (%s), and left %s after the handshake without a word",
			certs.Printable(name), listed(s.servedNames()), stayed.Round(100*time.Microsecond))
	}
	return doubt
}

// lateAlert reads the alert with which a client ended a connection, out of
// crypto/tls's words for it.
func lateAlert(text string) suspicion {
	var d diagnosis
	d.alertByName(strings.TrimPrefix(text, "remote error: tls: "))
	if d.Reason != event.ServerCertUntrusted && d.Reason != event.ServerCertExpired {
		return suspicion{}
	}
	return suspicion{d.Reason, "certain", "the client refused our certificate after the handshake"}
}
