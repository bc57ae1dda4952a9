package admin

import (
	"strconv"
	"testing"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

func TestAlertsBearTheRegistrysNames(t *testing.T) {
	last := -1
	for _, a := range Alerts() {
		if int(a.Code) <= last {
			t.Errorf("%s: out of order", a.Name)
		}
		last = int(a.Code)
		if got := tlswire.AlertDescription(a.Code).Name(); got != a.Name {
			t.Errorf("alert %d is %q, not %q", a.Code, got, a.Name)
		}
		if a.Meaning == "" || len(a.ReceivedReasons)+len(a.SentReasons) == 0 {
			t.Errorf("%s: nothing is said about it", a.Name)
		}
		for _, s := range []string{a.Name, strconv.Itoa(int(a.Code))} {
			if got, ok := FindAlert(s); !ok || got.Code != a.Code {
				t.Errorf("FindAlert(%q) = %v, %v", s, got, ok)
			}
		}
	}
	if a, ok := FindAlert(" Unknown CA "); !ok || a.Code != 48 {
		t.Errorf("got %v, %v", a, ok)
	}
	for _, s := range []string{"", "256", "999", "no_such"} {
		if _, ok := FindAlert(s); ok {
			t.Errorf("FindAlert(%q) found one", s)
		}
	}
}

func TestErrorTextsAreRecognised(t *testing.T) {
	for _, tt := range []struct {
		text string
		want event.Reason // the likeliest
		by   string
	}{
		{"local error: tls: bad record MAC", event.ServerCertUntrusted, "proxy"},
		{"tls: client didn't provide a certificate", event.ClientCertMissing, "proxy"},
		{"tls: client didn’t provide a certificate", event.ClientCertMissing, "proxy"},
		{`curl: (56) OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required, errno 0`, event.ClientCertMissing, "client"},
		{`curl: (56) OpenSSL SSL_read: OpenSSL/3.0.17: error:0A000418:SSL routines::tlsv1 alert unknown ca, errno 0`, event.ClientCAUnknown, "client"},
		{`curl: (60) SSL certificate problem: unable to get local issuer certificate`, event.ServerCertUntrusted, "client"},
		{`curl: (60) SSL: no alternative certificate subject name matches target host name 'x'`, event.ServerCertUntrusted, "client"},
		{`curl: (55) Send failure: Broken pipe`, event.ClientCertMissing, "client"},
		{`tls: failed to verify certificate: x509: certificate signed by unknown authority (possibly because of "x509: ECDSA verification failure" while trying to verify candidate authority certificate "Demo")`, event.ClientCARegenerated, "proxy"},
		{`tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026 is before 2027`, event.ClientCertNotYetValid, "proxy"},
		{`tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026 is after 2025`, event.ClientCertExpired, "proxy"},
		{`remote error: tls: bad certificate`, event.ServerCertUntrusted, "proxy"},
		{`4047A3:error:0A000412:SSL routines:ssl3_read_bytes:sslv3 alert bad certificate:rec_layer_s3.c:1584:SSL alert number 42`, event.PolicyDenied, "client"},
		{`SSL alert number 120`, event.ALPNMismatch, "client"},
		{`javax.net.ssl.SSLHandshakeException: PKIX path building failed`, event.ServerCertUntrusted, "client"},
		{`tls: first record does not look like a TLS handshake`, event.NotTLSHTTP, "proxy"},
		{`EOF`, event.PeerClosed, "proxy"},
		{`dial tcp 10.0.0.1:80: connect: connection refused`, event.UpstreamRefused, "proxy"},
	} {
		got := Recognise(tt.text)
		if len(got) == 0 {
			t.Errorf("%q: not recognised", tt.text)
			continue
		}
		if got[0].Reasons[0] != tt.want.String() || got[0].SeenBy != tt.by {
			t.Errorf("%q: %s by %s, want %v by %s", tt.text, got[0].Reasons[0], got[0].SeenBy, tt.want, tt.by)
		}
	}
	if got := Recognise("it does not work"); got != nil {
		t.Errorf("recognised %v", got)
	}
}
