package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"mtlsproxy/configs"
	"mtlsproxy/proxy/event"
)

// A certificate is told as expiring, with what an alert needs, while less than a
// tenth of its life is left; until then it is only loaded.
func TestACertificateNearItsEndIsToldAsExpiring(t *testing.T) {
	const day = 24 * time.Hour
	lab := newPolicyLab(t)
	private, err := x509.MarshalPKCS8PrivateKey(lab.key)
	if err != nil {
		t.Fatal(err)
	}
	lab.write(t, "server-key.pem", "PRIVATE KEY", private)
	for _, tt := range []struct {
		name     string
		left     time.Duration
		daysLeft int
		want     bool
	}{
		{"nine days of a hundred", 9*day + time.Hour, 9, true},
		{"eleven days of a hundred", 11*day + time.Hour, 11, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			end := time.Now().Add(tt.left).Truncate(time.Second)
			cert, key := lab.path("server.pem"), lab.path("server-key.pem")
			template := &x509.Certificate{
				SerialNumber: big.NewInt(42), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
				NotBefore: end.Add(-100 * day), NotAfter: end, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			}
			lab.sign(t, "server.pem", template, template)
			m := planner{plan: &plan{policies: &policyPlan{}}}
			m.keyPairs("listeners.main.tls.certificates", &configs.ListenerTLS{
				CertificateNames: []string{"default"}, Certificates: map[string]configs.Certificate{"default": {Cert: cert, Key: key}},
			})
			var got []event.CertExpiring
			loaded := 0
			for _, b := range m.plan.news {
				switch b := b.(type) {
				case event.CertExpiring:
					got = append(got, b)
				case event.CertLoaded:
					loaded++
				}
			}
			if loaded != 1 || (len(got) == 1) != tt.want || len(got) > 1 {
				t.Fatalf("%d times loaded, expiring: %+v", loaded, got)
			}
			if !tt.want {
				return
			}
			c := got[0]
			if c.Kind != "server" || c.Key != "listeners.main.tls.certificates.default" || c.File != cert || c.Subject != "CN=localhost" ||
				c.Serial != "2a" || !c.NotAfter.Equal(end) || c.DaysLeft != tt.daysLeft || !strings.Contains(c.Detail, "expires in 9 days") {
				t.Errorf("%+v", c)
			}
		})
	}
}
