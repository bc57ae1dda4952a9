package ca

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"strings"
	"testing"
	"time"
)

// What cfssl 1.6 does by itself and must not do here.
func TestPitfallsOfTheSigningLibrary(t *testing.T) {
	a := mustNew(t, InitOptions{})
	now := time.Now().Truncate(time.Second)
	t.Run("a request cannot grant itself usages", func(t *testing.T) {
		key, err := ECDSAP256.generate()
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}},                 // CA:TRUE
			{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: []byte{3, 2, 2, 4}},                          // certSign
			{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: []byte{0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1}},           // serverAuth
			{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: []byte("garbage that cfssl fails to parse")}, // name constraints
		}}, key)
		if err != nil {
			t.Fatal(err)
		}
		request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
		p := profile{usages: []string{"digital signature", "client auth"}, notBefore: now, notAfter: now.Add(time.Minute)}
		c, err := sign(a.issuer, a.key, request, p)
		if err != nil {
			t.Fatal(err)
		}
		if err := (&subject{usage: Client}).compare(c, a.issuer, key.Public(), p); err != nil {
			t.Error(err)
		}
	})
	t.Run("a panic does not reach the caller", func(t *testing.T) {
		err := guard("signing", func() error { panic("unable to wrap a wrapped error") })
		if err == nil || !strings.Contains(err.Error(), "signing: the signing library stopped") {
			t.Error(err)
		}
	})
	t.Run("an unknown usage is an error", func(t *testing.T) {
		if _, err := sign(a.issuer, a.key, nil, profile{usages: []string{"serverAuth"}}); err == nil {
			t.Error("no error")
		}
	})
	t.Run("errors are sentences, not JSON", func(t *testing.T) {
		_, err := sign(a.issuer, a.key, []byte("nothing"), profile{usages: []string{"client auth"}, notBefore: now, notAfter: now.Add(time.Minute)})
		if err == nil || strings.Contains(err.Error(), "{") {
			t.Error(err)
		}
	})
	t.Run("a certificate that differs is not handed out", func(t *testing.T) {
		i := mustIssue(t, a, Request{Name: "a.test", Usage: Client, NotBefore: now, NotAfter: now.Add(time.Minute)})
		p := profile{usages: []string{"digital signature", "client auth"}, notBefore: now, notAfter: now.Add(time.Minute)}
		good := subject{commonName: "a.test", sans: []SAN{{DNS, "a.test"}}, usage: Client}
		if err := good.compare(i.Cert, a.issuer, i.Key.Public(), p); err != nil {
			t.Fatal(err)
		}
		other := mustIssue(t, a, Request{Name: "b"})
		for name, err := range map[string]error{
			"another name":    (&subject{commonName: "a.test", sans: []SAN{{DNS, "b.test"}}, usage: Client}).compare(i.Cert, a.issuer, i.Key.Public(), p),
			"another kind":    (&subject{commonName: "a.test", sans: []SAN{{URI, "a.test"}}, usage: Client}).compare(i.Cert, a.issuer, i.Key.Public(), p),
			"another usage":   good.compare(i.Cert, a.issuer, i.Key.Public(), profile{usages: []string{"digital signature", "server auth"}, notBefore: now, notAfter: p.notAfter}),
			"another subject": (&subject{commonName: "b.test", sans: good.sans, usage: Client}).compare(i.Cert, a.issuer, i.Key.Public(), p),
			"a CRL address":   good.compare(i.Cert, a.issuer, i.Key.Public(), profile{usages: p.usages, notBefore: now, notAfter: p.notAfter, crl: []string{"http://x.test/"}}),
			"another key":     good.compare(i.Cert, a.issuer, other.Key.Public(), p),
			"another end":     good.compare(i.Cert, a.issuer, i.Key.Public(), profile{usages: p.usages, notBefore: now, notAfter: now.Add(time.Hour)}),
			"another KU":      good.compare(i.Cert, a.issuer, i.Key.Public(), profile{usages: []string{"cert sign"}, notBefore: now, notAfter: p.notAfter}),
			"another issuer":  good.compare(i.Cert, other.Cert, i.Key.Public(), p),
			"a CA":            good.compare(a.root, a.root, i.Key.Public(), p),
		} {
			if err == nil {
				t.Errorf("%s is not noticed", name)
			}
		}
	})
}

func TestSigningLogsOnlyWhereAsked(t *testing.T) {
	var got recorder
	SetLogger(&got)
	defer SetLogger(nil)
	a := mustNew(t, InitOptions{})
	if len(got.lines) == 0 {
		t.Error("nothing was logged")
	}
	SetLogger(nil)
	n := len(got.lines)
	mustIssue(t, a, Request{Name: "a"})
	if len(got.lines) != n {
		t.Error("logged after it was switched off")
	}
}

type recorder struct{ lines []string }

func (r *recorder) Log(level, message string) { r.lines = append(r.lines, level+" "+message) }
