package policy

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// A responder answers as it is told to.
type responder struct {
	*httptest.Server
	asked  int
	hashes []crypto.Hash
	body   []byte
	answer func(*ocsp.Request) []byte
}

func newResponder(t *testing.T, answer func(*ocsp.Request) []byte) *responder {
	r := &responder{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.body, _ = io.ReadAll(req.Body)
		q, err := ocsp.ParseRequest(r.body)
		if err != nil || req.Header.Get("Content-Type") != "application/ocsp-request" {
			t.Errorf("request: %v", err)
			return
		}
		r.asked++
		r.hashes = append(r.hashes, q.HashAlgorithm)
		w.Write(r.answer(q))
	}))
	t.Cleanup(r.Close)
	return r
}

// signs makes an answer by signer about a serial number of ca.
func signs(t *testing.T, ca, signer *entity, tmpl ocsp.Response) func(*ocsp.Request) []byte {
	return func(q *ocsp.Request) []byte {
		r := tmpl
		r.IssuerHash = q.HashAlgorithm
		if r.SerialNumber == nil {
			r.SerialNumber = q.SerialNumber
		}
		if r.ThisUpdate.IsZero() {
			r.ThisUpdate = now.Add(-time.Minute)
		}
		if r.NextUpdate.IsZero() {
			r.NextUpdate = now.Add(time.Hour)
		}
		if signer != ca {
			r.Certificate = signer.cert
		}
		der, err := ocsp.CreateResponse(ca.cert, signer.cert, r, signer.key)
		if err != nil {
			t.Error(err)
		}
		return der
	}
}

func forOCSP(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} }

func TestOCSPCheck(t *testing.T) {
	ca, other := root(t, "Root"), root(t, "Root")
	leaf := ca.client(t, "leaf")
	delegate := issue(t, ca, "responder", forOCSP)
	revoked := ocsp.Response{Status: ocsp.Revoked, RevokedAt: now.Add(-time.Hour), RevocationReason: ocsp.KeyCompromise}
	good := ocsp.Response{Status: ocsp.Good}
	for _, tt := range []struct {
		name   string
		answer func(*ocsp.Request) []byte
		want   RevocationStatus
		detail string
		asked  int // SHA-256, and SHA-1 where that was not known
	}{
		{"good", signs(t, ca, ca, good), NotRevoked, "", 1},
		{"revoked", signs(t, ca, ca, revoked), IsRevoked, "(key compromise), says its OCSP responder", 1},
		{"a responder the CA named", signs(t, ca, delegate, good), NotRevoked, "", 1},
		{"unknown", signs(t, ca, ca, ocsp.Response{Status: ocsp.Unknown}), UnknownCert, "does not know the certificate", 2},
		{"unauthorized", func(*ocsp.Request) []byte { return ocsp.UnauthorizedErrorResponse }, UnknownCert, "status 6, unauthorized", 2},
		{"SHA-1 only", func(q *ocsp.Request) []byte {
			if q.HashAlgorithm != crypto.SHA1 {
				return ocsp.UnauthorizedErrorResponse
			}
			return signs(t, ca, ca, good)(q)
		}, NotRevoked, "", 2},
		{"signed by another CA of the name", signs(t, other, other, good), Unusable, "its signature is neither", 1},
		{"a responder another CA named", signs(t, ca, issue(t, other, "responder", forOCSP), good), Unusable, "was not made a responder", 1},
		{"a client as responder", signs(t, ca, ca.client(t, "mallory"), good), Unusable, "is not for OCSP signing", 1},
		{"a responder out of date", signs(t, ca, issue(t, ca, "old", forOCSP, valid(-2*time.Hour, -time.Hour)), good), Unusable, "out of date", 1},
		{"about another certificate", signs(t, ca, ca, ocsp.Response{Status: ocsp.Good, SerialNumber: ca.cert.SerialNumber}), UnknownCert, "another certificate", 2},
		{"old", signs(t, ca, ca, ocsp.Response{Status: ocsp.Good, ThisUpdate: now.Add(-2 * time.Hour), NextUpdate: now.Add(-time.Hour)}), Stale, "good until 2026-11-22 11:00 UTC", 1},
		{"from the future", signs(t, ca, ca, ocsp.Response{Status: ocsp.Good, ThisUpdate: now.Add(time.Hour), NextUpdate: now.Add(2 * time.Hour)}), Unusable, "from the future", 1},
		{"no answer", func(*ocsp.Request) []byte { return nil }, Unusable, "no OCSP answer", 1},
		{"too much of an answer", func(*ocsp.Request) []byte { return make([]byte, 1<<20) }, Unreachable, "larger than 65536", 1},
		{"an altered answer", func(q *ocsp.Request) []byte {
			der := signs(t, ca, ca, revoked)(q)
			return bytes.Replace(der, []byte("20261122110000Z"), []byte("20261122110001Z"), 1)
		}, Unusable, "its signature", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newResponder(t, tt.answer)
			for _, mode := range []Choice{Soft, Hard} {
				r.asked, r.hashes = 0, nil
				o := &OCSP{Mode: mode, Responder: r.URL, Now: func() time.Time { return now }}
				v := o.Check(t.Context(), list(leaf, ca))
				refused := tt.want == IsRevoked || mode == Hard && tt.want != NotRevoked
				if v.Status != tt.want || !strings.Contains(v.Detail, tt.detail) || v.Refused != refused || r.asked != tt.asked {
					t.Errorf("%s: got %s, %q, refused %v, asked %d; want %s, %q, %v, %d", mode, v.Status, v.Detail, v.Refused, r.asked, tt.want, tt.detail, refused, tt.asked)
				}
				if r.hashes[0] != crypto.SHA256 {
					t.Errorf("asked by %v first", r.hashes[0])
				}
			}
		})
	}
}

func TestOCSPAnswersAreKept(t *testing.T) {
	ca := root(t, "Root")
	leaf := ca.client(t, "leaf")
	at := now
	r := newResponder(t, signs(t, ca, ca, ocsp.Response{Status: ocsp.Good, NextUpdate: now.Add(10 * time.Minute)}))
	o := &OCSP{Mode: Hard, Responder: r.URL, Now: func() time.Time { return at }}
	for range 3 {
		o.Check(t.Context(), list(leaf, ca))
	}
	if r.asked != 1 {
		t.Errorf("asked %d times within the answer's life", r.asked)
	}
	at = now.Add(10 * time.Minute)
	o.Check(t.Context(), list(leaf, ca))
	if r.asked != 2 {
		t.Errorf("asked %d times after it", r.asked)
	}
	// A responder that is down is not asked for every connection.
	r.Close()
	at = now.Add(20 * time.Minute)
	if v := o.Check(t.Context(), list(leaf, ca)); v.Status != Unreachable || !v.Refused {
		t.Errorf("down: %+v", v)
	}
	if _, ok := o.cached(ocspKey(leaf.cert, ca.cert), at.Add(ocspRetry-1)); !ok {
		t.Error("the failure is not remembered")
	}
	for i := range ocspCacheSize + 10 {
		o.keep([32]byte{byte(i), byte(i >> 8)}, ocspEntry{until: at.Add(time.Hour)}, at)
	}
	if len(o.cache) > ocspCacheSize {
		t.Errorf("%d answers kept", len(o.cache))
	}
}

func TestOCSPKeepsToItsTimeAndHost(t *testing.T) {
	ca := root(t, "Root")
	leaf := ca.client(t, "leaf")
	ln, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	start := time.Now()
	o := &OCSP{Mode: Hard, Responder: "http://" + ln.Addr().String(), Timeout: 50 * time.Millisecond}
	if v := o.Check(t.Context(), list(leaf, ca)); v.Status != Unreachable {
		t.Errorf("silent: %+v", v)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
	elsewhere := newResponder(t, signs(t, ca, ca, ocsp.Response{Status: ocsp.Good}))
	redirect := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer redirect.Close()
	o = &OCSP{Mode: Hard, Responder: redirect.URL, Now: func() time.Time { return now }}
	if v := o.Check(t.Context(), list(leaf, ca)); v.Status != Unreachable || !strings.Contains(v.Detail, "redirects to another host") || elsewhere.asked != 0 {
		t.Errorf("redirected: %+v", v)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o = &OCSP{Mode: Hard, Responder: elsewhere.URL, Now: func() time.Time { return now }}
	if v := o.Check(ctx, list(leaf, ca)); v.Status != Unreachable {
		t.Errorf("cancelled: %+v", v)
	}
	if v := o.Check(t.Context(), list(leaf, ca)); v.Status != NotRevoked {
		t.Errorf("a client's going was held against the responder: %+v", v)
	}
}

func TestOCSPAddress(t *testing.T) {
	ca := root(t, "Root")
	leaf := ca.client(t, "leaf", func(c *x509.Certificate) { c.OCSPServer = []string{"ldap://x/", "http://ocsp.test/a"} })
	none, odd := ca.client(t, "none"), ca.client(t, "odd", func(c *x509.Certificate) { c.OCSPServer = []string{"file:///etc/passwd"} })
	for _, tt := range []struct {
		o             *OCSP
		leaf          *entity
		address, want string
	}{
		{&OCSP{}, leaf, "http://ocsp.test/a", ""},
		{&OCSP{Responder: "http://mine.test"}, leaf, "http://mine.test", ""},
		{&OCSP{}, none, "", "CN=none names no OCSP responder, and none is configured"},
		{&OCSP{}, odd, "", `"file:///etc/passwd" is no URL of a responder`},
	} {
		if address, why := tt.o.address(tt.leaf.cert); address != tt.address || why != tt.want {
			t.Errorf("got %q, %q; want %q, %q", address, why, tt.address, tt.want)
		}
	}
	if v := (&OCSP{Mode: Hard}).Check(t.Context(), list(none, ca)); v.Status != NoList || !v.Refused {
		t.Errorf("without a responder: %+v", v)
	}
	if v := (&OCSP{Mode: Hard}).Check(t.Context(), list(ca)); v.Status != Unchecked || v.Refused {
		t.Errorf("a trust anchor: %+v", v)
	}
}

// withNonce answers with a nonce, by hand: x/crypto has no way to.
func withNonce(t *testing.T, ca *entity, q *ocspQuestion, nonce []byte) []byte {
	t.Helper()
	id, err := q.id()
	if err != nil {
		t.Fatal(err)
	}
	value, _ := asn1.Marshal(nonce)
	alg := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}
	key := asn1.RawValue{Class: 2, Tag: 2, IsCompound: true, Bytes: append([]byte{4, 4}, "abcd"...)}
	data, err := asn1.Marshal(struct {
		Responder  asn1.RawValue
		ProducedAt time.Time `asn1:"generalized"`
		Answers    []struct {
			ID         ocspCertID
			Good       asn1.RawValue
			ThisUpdate time.Time `asn1:"generalized"`
			NextUpdate time.Time `asn1:"generalized,explicit,tag:0"`
		}
		Extensions []pkix.Extension `asn1:"explicit,tag:1"`
	}{key, now, []struct {
		ID         ocspCertID
		Good       asn1.RawValue
		ThisUpdate time.Time `asn1:"generalized"`
		NextUpdate time.Time `asn1:"generalized,explicit,tag:0"`
	}{{id, asn1.RawValue{Class: 2, Tag: 0}, now, now.Add(time.Hour)}}, []pkix.Extension{{Id: oidOCSPNonce, Value: value}}})
	if err != nil {
		t.Fatal(err)
	}
	h := crypto.SHA256.New()
	h.Write(data)
	sig, err := ecdsa.SignASN1(nil, ca.key.(*ecdsa.PrivateKey), h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	body, err := asn1.Marshal(struct {
		Data asn1.RawValue
		Alg  pkix.AlgorithmIdentifier
		Sig  asn1.BitString
	}{asn1.RawValue{FullBytes: data}, alg, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}})
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(ocspResponse{Bytes: ocspResponseBytes{oidOCSPBasic, body}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestOCSPNonce(t *testing.T) {
	ca := root(t, "Root")
	q := &ocspQuestion{leaf: ca.client(t, "leaf").cert, issuer: ca.cert, hash: crypto.SHA256, nonce: []byte("ours")}
	if v, _ := q.read(withNonce(t, ca, q, []byte("ours")), now); v.Status != NotRevoked {
		t.Errorf("our nonce: %+v", v)
	}
	if v, _ := q.read(withNonce(t, ca, q, []byte("theirs")), now); v.Status != Unusable || !strings.Contains(v.Detail, "nonce") {
		t.Errorf("another nonce: %+v", v)
	}
	der := withNonce(t, ca, q, []byte("ours"))
	for i := range der { // every truncation is refused, and none panics
		if v, _ := q.read(der[:i], now); v.Status == NotRevoked {
			t.Errorf("%d of %d bytes are enough", i, len(der))
		}
	}
}

func FuzzOCSPRead(f *testing.F) {
	t := &testing.T{}
	ca := root(f, "Root")
	q := &ocspQuestion{leaf: ca.client(f, "leaf").cert, issuer: ca.cert, hash: crypto.SHA256}
	f.Add(withNonce(t, ca, q, nil))
	f.Add(ocsp.UnauthorizedErrorResponse)
	good := withNonce(t, ca, q, nil)
	f.Fuzz(func(t *testing.T, der []byte) {
		if v, _ := q.read(der, now); v.Status == NotRevoked && !bytes.Equal(der, good) && !bytes.Contains(der, []byte("abcd")) {
			t.Error("an answer nobody signed was taken")
		}
	})
}

// The responder of OpenSSL: a good certificate, a revoked and an unknown one.
func TestOCSPAgainstOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl: ", err)
	}
	now := time.Now() // OpenSSL has no other clock
	fresh := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-time.Hour), now.Add(time.Hour) }
	ca := issue(t, nil, "Root", isCA, fresh)
	good, revoked, unknown := ca.client(t, "good", fresh), ca.client(t, "revoked", fresh), ca.client(t, "unknown", fresh)
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(ca.key)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert := file("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}))
	keyFile := file("ca-key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	hexSerial := func(e *entity) string {
		s := e.cert.SerialNumber.Text(16)
		return strings.ToUpper(strings.Repeat("0", len(s)%2) + s)
	}
	const form = "060102150405Z"
	index := file("index.txt", fmt.Appendf(nil, "V\t%s\t\t%s\tunknown\t/CN=good\nR\t%s\t%s,keyCompromise\t%s\tunknown\t/CN=revoked\n",
		good.cert.NotAfter.UTC().Format(form), hexSerial(good),
		revoked.cert.NotAfter.UTC().Format(form), now.UTC().Add(-time.Minute).Format(form), hexSerial(revoked)))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, openssl, "ocsp", "-index", index, "-CA", cert, "-rsigner", cert, "-rkey", keyFile, "-port", fmt.Sprint(port), "-nmin", "5")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Skip("openssl ocsp does not start: ", err)
	}
	defer func() { cancel(); cmd.Wait() }()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	ask := func(e *entity) RevocationVerdict {
		o := &OCSP{Mode: Hard, Responder: "http://" + address, Nonce: true, Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		return o.Check(ctx, list(e, ca))
	}
	v := ask(good)
	for range 100 { // until it listens
		if v.Status != Unreachable || !strings.Contains(v.Detail, "refused") {
			break
		}
		time.Sleep(50 * time.Millisecond)
		v = ask(good)
	}
	if v.Status == Unreachable {
		cancel()
		cmd.Wait()
		t.Skipf("openssl ocsp does not answer: %s: %s", v.Detail, said.String())
	}
	for e, want := range map[*entity]RevocationStatus{good: NotRevoked, revoked: IsRevoked, unknown: UnknownCert} {
		v := ask(e)
		if v.Status != want {
			t.Errorf("%s: got %s (%s), want %s", e.cert.Subject, v.Status, v.Detail, want)
		}
	}
}
