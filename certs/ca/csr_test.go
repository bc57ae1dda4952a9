package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/certs"
)

func csrPEM(t testing.TB, key any, tmpl *x509.CertificateRequest) []byte {
	t.Helper()
	if key == nil {
		k, err := ECDSAP256.generate()
		if err != nil {
			t.Fatal(err)
		}
		key = k
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, tmpl, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func TestIssueForACSR(t *testing.T) {
	a := mustNew(t, InitOptions{})
	id := &url.URL{Scheme: "spiffe", Host: "demo.test", Path: "/svc"}
	text := csrPEM(t, nil, &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "svc", Organization: []string{"Demo"}, Country: []string{"SE"}, OrganizationalUnit: []string{"Ops"}},
		DNSNames: []string{"svc.demo.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, URIs: []*url.URL{id}, EmailAddresses: []string{"ops@demo.test"},
		ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: []byte{3, 2, 2, 4}},                // certSign
			{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: []byte{0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1}}, // serverAuth
			{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Value: []byte("garbage")},
			{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}},
		},
	})
	csr, err := ParseCSR(text)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"key usage", "extended key usage", "name constraints", "extension 1.2.3"}, csr.Ignored()); d != "" {
		t.Error(d)
	}
	r := csr.Request()
	r.Usage = Client
	i := mustIssue(t, a, r)
	d := certs.Describe(i.Cert)
	if d.Subject != "CN=svc,OU=Ops,O=Demo,C=SE" || i.Key != nil || i.Cert.KeyUsage != x509.KeyUsageDigitalSignature || i.Cert.IsCA {
		t.Errorf("%+v", d)
	}
	if diff := cmp.Diff([]string{"clientAuth"}, d.EKU); diff != "" {
		t.Error("the request granted itself usages", diff)
	}
	if diff := cmp.Diff([]string{"dns:svc.demo.test", "ip:127.0.0.1", "uri:spiffe://demo.test/svc", "email:ops@demo.test"}, sansOf(i.Cert)); diff != "" {
		t.Error(diff)
	}

	t.Run("whoever issues decides on the names", func(t *testing.T) {
		r := csr.Request()
		r.Usage, r.CommonName, r.SANs, r.Attributes = Server, "other", []string{"other.demo.test"}, Attributes{}
		got := certs.Describe(mustIssue(t, a, r).Cert)
		if got.Subject != "CN=other,O=Demo" || strings.Join(got.SANs, " ") != "DNS:other.demo.test" || got.SPKI != d.SPKI {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a CSR in DER", func(t *testing.T) {
		b, _ := pem.Decode(text)
		if _, err := ParseCSR(b.Bytes); err != nil {
			t.Error(err)
		}
	})
	t.Run("nothing but alternative names makes them critical", func(t *testing.T) {
		c, err := ParseCSR(csrPEM(t, nil, &x509.CertificateRequest{URIs: []*url.URL{id}}))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range mustIssue(t, a, c.Request()).Cert.Extensions {
			if e.Id.Equal(oidAltNames) && !e.Critical {
				t.Error("not critical")
			}
		}
	})
}

func TestParseCSRRefuses(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := csrPEM(t, nil, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "a"}})
	spoilt, _ := pem.Decode(good)
	spoilt.Bytes[len(spoilt.Bytes)-1] ^= 1
	san := func(der ...byte) []byte {
		return csrPEM(t, nil, &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: oidAltNames, Value: der}}})
	}
	cases := []struct {
		name string
		data []byte
		says string
	}{
		{"nothing", nil, "no certificate request"},
		{"a file that is cut", good[:100], "cut short"},
		{"a certificate", []byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), "holds a CERTIFICATE"},
		{"two requests", append(append([]byte{}, good...), good...), "more than one"},
		{"a signature that does not hold", pem.EncodeToMemory(spoilt), "not signed with its own key"},
		{"a weak key", csrPEM(t, weak, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "a"}}), "RSA key of 1024 bits"},
		{"a weak curve", csrPEM(t, p224, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "a"}}), "P-224"},
		{"a CA", csrPEM(t, nil, &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30, 3, 1, 1, 0xff}}}}), "asks to be a CA"},
		{"two organizations", csrPEM(t, nil, &x509.CertificateRequest{Subject: pkix.Name{Organization: []string{"a", "b"}}}), "twice"},
		{"an attribute that is not issued", csrPEM(t, nil, &x509.CertificateRequest{Subject: pkix.Name{SerialNumber: "1"}}), "only CN, O"},
		{"a name that is none", csrPEM(t, nil, &x509.CertificateRequest{DNSNames: []string{"bad..name"}}), "empty label"},
		{"an address as a DNS name", csrPEM(t, nil, &x509.CertificateRequest{DNSNames: []string{"10.0.0.0/8"}}), "character"},
		{"another kind of name", san(0x30, 4, 0x88, 2, 0x2a, 3), "a kind that is not issued"},
		{"an address of five bytes", san(0x30, 7, 0x87, 5, 1, 2, 3, 4, 5), ""},
		{"names that are not DER", san(0x30, 9, 1), ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := ParseCSR(c.data); !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}

func FuzzParseCSR(f *testing.F) {
	f.Add(csrPEM(f, nil, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "a"}, DNSNames: []string{"a.test"}}))
	a := mustNew(f, InitOptions{})
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCSR(data)
		if err != nil {
			return
		}
		r := c.Request()
		r.Usage = Client
		if _, err := a.Issue(r); err != nil && !errors.Is(err, ErrBadRequest) {
			t.Error(err)
		}
	})
}

func TestParseCFSSLRequest(t *testing.T) {
	got, err := ParseCFSSLRequest([]byte(`{"CN":"from-cfssl","hosts":["a.test","127.0.0.1","spiffe://demo.test/a"],"names":[{"C":"SE","O":"Demo"},{"OU":"Ops"}],"key":{"algo":"ecdsa","size":384}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Request{
		CommonName: "from-cfssl", SANs: []string{"dns:a.test", "ip:127.0.0.1", "uri:spiffe://demo.test/a"},
		Organization: "Demo", Attributes: Attributes{Country: "SE", Unit: "Ops"}, KeyAlgo: ECDSAP384,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for in, says := range map[string]string{
		``:                                      "no request of cfssl's",
		`[]`:                                    "no request of cfssl's",
		`{"CN":"a","hots":[]}`:                  `"hots"`,
		`{"CN":"a"} {}`:                         "something after",
		`{"CN":"a","hosts":["localhost:8443"]}`: "has a port",
		`{"CN":"a","key":{"algo":"rsa","size":1024}}`: "rsa-1024",
		`{"CN":"a","key":{"algo":"dsa","size":1024}}`: "is not one of",
		`{"names":[{"O":"a"},{"O":"b"}]}`:             "twice",
	} {
		if _, err := ParseCFSSLRequest([]byte(in)); !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want %q", in, err, says)
		}
	}
}
