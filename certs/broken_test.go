package certs

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
)

func sha1Sum(b []byte) []byte { s := sha1.Sum(b); return s[:] }

type sha1Opts struct{}

func (sha1Opts) HashFunc() crypto.Hash { return crypto.SHA1 }

// corrupt flips a bit of the signature.
func corrupt(t *testing.T, c *x509.Certificate) *x509.Certificate {
	t.Helper()
	raw := bytes.Clone(c.Raw)
	raw[len(raw)-1] ^= 1
	out, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sha1Leaf makes what crypto/x509 refuses to make: its signature algorithm is
// written as ECDSA with SHA-1 and the signature is one.
func sha1Leaf(t *testing.T, issuer *entity) *x509.Certificate {
	t.Helper()
	good := issuer.leaf(t, "sha1").cert
	withSHA256 := []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}
	var outer struct {
		TBS asn1.RawValue
		Alg asn1.RawValue
		Sig asn1.BitString
	}
	if _, err := asn1.Unmarshal(good.Raw, &outer); err != nil {
		t.Fatal(err)
	}
	// ecdsa-with-SHA1 is one byte shorter: build the algorithm anew.
	alg, err := asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}})
	if err != nil {
		t.Fatal(err)
	}
	var tbs []asn1.RawValue
	if _, err := asn1.Unmarshal(outer.TBS.FullBytes, &tbs); err != nil {
		t.Fatal(err)
	}
	for i, v := range tbs {
		if i < 3 && bytes.Contains(v.FullBytes, withSHA256) {
			tbs[i] = asn1.RawValue{FullBytes: alg}
		}
	}
	newTBS, err := asn1.Marshal(tbs)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := issuer.key.Sign(rand.Reader, sha1Sum(newTBS), sha1Opts{})
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		TBS, Alg asn1.RawValue
		Sig      asn1.BitString
	}{asn1.RawValue{FullBytes: newTBS}, asn1.RawValue{FullBytes: alg}, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
