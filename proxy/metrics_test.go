package proxy_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http/httptest"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/sink"
	"mtlsproxy/proxy/sockopt"
)

// stranger is a client that makes up its name, its protocols and whom it asks for.
func stranger(t *testing.T, n int) *tls.Config {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("stranger-%d", n)
	made := &x509.Certificate{
		SerialNumber: big.NewInt(int64(n + 1)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, made, made, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	pair := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{
		ServerName: name + ".test", NextProtos: []string{name}, InsecureSkipVerify: true, MaxVersion: []uint16{tls.VersionTLS12, tls.VersionTLS13}[n%2],
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
	}
}

// seriesOf returns the series that are served now, without their values, and one
// of the values.
func seriesOf(m *sink.Metrics, wanted string) (series []string, value string) {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		name, v, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if strings.HasPrefix(name, "mtlsproxy_") {
			series = append(series, name)
		}
		if name+"}" == wanted {
			value = v
		}
	}
	sort.Strings(series)
	return series, value
}

func TestStrangersMakeNoSeries(t *testing.T) {
	l := newStillLab(t, echo, func(s *proxy.Settings) { s.Timeouts.AlertLinger = 50 * time.Millisecond })
	m := sink.NewMetrics(sink.MetricsOptions{Listeners: []string{"main"}})
	ln, _, err := sockopt.Listen(t.Context(), "tcp", "127.0.0.1:0", l.settings.Socket)
	if err != nil {
		t.Fatal(err)
	}
	l.serve(ln, m)
	come := func(from, to int) []string {
		for n := from; n < to; n++ {
			raw, err := net.Dial("tcp", l.addr)
			if err != nil {
				t.Fatal(err)
			}
			conn := tls.Client(raw, stranger(t, n))
			if conn.Handshake() == nil {
				conn.Read(make([]byte, 1)) // the refusal
			}
			raw.Close()
		}
		const refused = `mtlsproxy_handshakes_total{listener="main",reason="client_cert_self_signed",result="failed"}`
		var series []string
		var value string
		for deadline := time.Now().Add(20 * time.Second); value != fmt.Sprint(to); time.Sleep(5 * time.Millisecond) {
			if series, value = seriesOf(m, refused); time.Now().After(deadline) {
				t.Fatalf("%s is %q after %d clients", refused, value, to)
			}
		}
		return series
	}
	few := come(0, 40)
	if many := come(40, 300); !cmp.Equal(few, many) {
		t.Errorf("300 clients made other series than 40 did:\n%s", cmp.Diff(few, many))
	}
}
