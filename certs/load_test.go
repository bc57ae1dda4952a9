package certs

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// codes lists the kinds of warnings, in order.
func codes(ws []Warning) []WarningCode {
	var out []WarningCode
	for _, w := range ws {
		out = append(out, w.Code)
	}
	return out
}

func TestLoadKeyPair(t *testing.T) {
	root := newRoot(t, "root")
	issuing := root.ca(t, "issuing")
	server := issuing.leaf(t, "server", forServer)
	ecKey := server.key.(*ecdsa.PrivateKey)
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	key := keyPEM(t, server.key)
	relabelled := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: sec1})
	params := []byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n")
	ec := append(params, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})...)
	other := newRoot(t, "other")

	cases := []struct {
		name      string
		cert, key []byte
		mode      os.FileMode
		want      []WarningCode
		chain     []*entity
	}{
		{name: "a chain in order", cert: certPEM(server, issuing), key: key, chain: []*entity{server, issuing}},
		{name: "a SEC 1 key after its parameters", cert: certPEM(server, issuing), key: ec, chain: []*entity{server, issuing}},
		{name: "a SEC 1 key with the label of PKCS 8", cert: certPEM(server, issuing), key: relabelled, chain: []*entity{server, issuing}},
		{name: "the chain the wrong way round", cert: certPEM(issuing, server), key: key, want: []WarningCode{WarnChainOrder}, chain: []*entity{server, issuing}},
		{name: "the root sent along", cert: certPEM(server, issuing, root), key: key, want: []WarningCode{WarnChainExtra}, chain: []*entity{server, issuing, root}},
		{name: "a certificate that belongs to another chain", cert: certPEM(server, other, issuing), key: key, want: []WarningCode{WarnChainExtra, WarnChainOrder, WarnChainExtra}, chain: []*entity{server, issuing, other}},
		{name: "the leaf twice", cert: certPEM(server, server, issuing), key: key, want: []WarningCode{WarnDuplicate}, chain: []*entity{server, issuing}},
		{name: "a key the group may read", cert: certPEM(server, issuing), key: key, mode: 0o640, want: []WarningCode{WarnKeyMode}, chain: []*entity{server, issuing}},
		{name: "text around the blocks", cert: append([]byte("subject=CN = server\n\n"), certPEM(server)...), key: key, chain: []*entity{server}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if c.mode == 0 {
				c.mode = 0o600
			}
			certFile, keyFile := writeFile(t, dir, "c.pem", c.cert, 0o644), writeFile(t, dir, "k.pem", c.key, c.mode)
			got, err := fixedClock().LoadKeyPair(certFile, keyFile)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, codes(got.Warnings)); d != "" {
				t.Errorf("warnings %v: %s", got.Warnings, d)
			}
			if len(got.Chain) != len(c.chain) || len(got.Certificate.Certificate) != len(c.chain) {
				t.Fatalf("chain of %d, want %d", len(got.Chain), len(c.chain))
			}
			for i, e := range c.chain {
				if !got.Chain[i].Equal(e.cert) {
					t.Errorf("chain[%d] = %v, want %v", i, got.Chain[i].Subject, e.cert.Subject)
				}
			}
			if got.Leaf != got.Certificate.Leaf || len(got.SHA256()) != 64 {
				t.Error("leaf or fingerprint wrong")
			}
			if d := cmp.Diff([]string{"localhost", "127.0.0.1"}, got.Names()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestLoadKeyPairServes(t *testing.T) {
	server := newRoot(t, "root").leaf(t, "server", forServer)
	dir := t.TempDir()
	both := writeFile(t, dir, "both.pem", append(certPEM(server), keyPEM(t, server.key)...), 0o600)
	pair, err := fixedClock().LoadKeyPair(both, both)
	if err != nil {
		t.Fatal(err)
	}
	want, err := tls.LoadX509KeyPair(both, both)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want.Certificate, pair.Certificate.Certificate); d != "" {
		t.Error(d)
	}
}

func TestLoadKeyPairRefuses(t *testing.T) {
	root := newRoot(t, "root")
	server := root.leaf(t, "server", forServer)
	good, key := certPEM(server), keyPEM(t, server.key)
	const encryptedSEC1 = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00000000000000000000000000000000\n\nAAAA\n-----END EC PRIVATE KEY-----\n"
	garbage := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("nothing")})
	badKey := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("nothing")})

	cases := []struct {
		name      string
		cert, key []byte
		is        error
		says      string
	}{
		{"a key of another certificate", good, keyPEM(t, newKey(t)), ErrKeyMismatch, "k.pem: the private key (ECDSA P-256) does not match CN=server"},
		{"certificate and key swapped", key, good, ErrNoCertificate, "c.pem: holds a private key and no certificate; are certificate and key swapped?"},
		{"a certificate given as key", good, good, ErrNoPrivateKey, "k.pem: holds a certificate and no private key"},
		{"an encrypted PKCS 8 key", good, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}), ErrKeyEncrypted, "openssl pkey -in"},
		{"an encrypted SEC 1 key", good, []byte(encryptedSEC1), ErrKeyEncrypted, "encrypted"},
		{"an OpenSSH key", good, pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte{1}}), ErrMalformed, "OpenSSH"},
		{"two keys", good, append(key, key...), ErrMalformed, "holds 2 private keys"},
		{"a key that cannot be parsed", good, badKey, ErrMalformed, "private key cannot be parsed"},
		{"an empty certificate file", nil, key, ErrNoCertificate, "no certificate found"},
		{"a certificate that cannot be parsed", garbage, key, ErrMalformed, "certificate 1 cannot be parsed"},
		{"a cut-off certificate", good[:len(good)/2], key, ErrMalformed, "truncated"},
		{"a request instead of a certificate", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST"}), key, ErrNoCertificate, `only a block "CERTIFICATE REQUEST"`},
		{"DER instead of PEM", server.cert.Raw, key, ErrNotPEM, "is a DER certificate, not PEM; convert it: openssl x509 -inform DER"},
		{"another binary file", append([]byte{0x30, 0x82}, make([]byte, 100)...), key, ErrNotPEM, "PKCS #12"},
		{"text", []byte("hello"), key, ErrNoCertificate, "-----BEGIN CERTIFICATE-----"},
		{"a file of 2 MiB", make([]byte, 2<<20), key, ErrTooLarge, "larger than 1048576 bytes"},
		{"an expired certificate", certPEM(sign(t, root, server.key, template("server", []change{forServer, valid(-48*time.Hour, -time.Hour)}))), key, ErrExpired, "CN=server expired 1 hour ago (2026-11-22 11:00 UTC); issue a new one"},
		{"a certificate of tomorrow", certPEM(sign(t, root, server.key, template("server", []change{forServer, valid(time.Hour, 48*time.Hour)}))), key, ErrNotYetValid, "clock"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			certFile, keyFile := writeFile(t, dir, "c.pem", c.cert, 0o644), writeFile(t, dir, "k.pem", c.key, 0o600)
			_, err := fixedClock().LoadKeyPair(certFile, keyFile)
			wantError(t, err, c.is, c.says)
		})
	}
}

func wantError(t *testing.T, err, is error, says string) {
	t.Helper()
	if !errors.Is(err, is) {
		t.Fatalf("error %v does not match %v", err, is)
	}
	var fe *FileError
	if !errors.As(err, &fe) {
		t.Fatalf("%T is no *FileError", err)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("error %q does not say %q", err, says)
	}
	if n := strings.Count(err.Error(), fe.Path+":"); n != 1 {
		t.Errorf("error %q names the file %d times", err, n)
	}
}

func TestLoadKeyPairFromOddFiles(t *testing.T) {
	dir := t.TempDir()
	server := newRoot(t, "root").leaf(t, "server", forServer)
	cert := writeFile(t, dir, "c.pem", certPEM(server), 0o644)
	t.Run("a missing file", func(t *testing.T) {
		_, err := LoadKeyPair(cert, filepath.Join(dir, "none.pem"))
		wantError(t, err, fs.ErrNotExist, "none.pem: no such file or directory; check the path")
	})
	t.Run("a directory", func(t *testing.T) {
		_, err := LoadKeyPair(dir, cert)
		wantError(t, err, ErrNotRegular, "is a directory, not a file")
	})
	t.Run("a named pipe does not block", func(t *testing.T) {
		if runtime.GOOS != "linux" {
			t.Skip("makes a named pipe the Linux way")
		}
		pipe := filepath.Join(dir, "pipe")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Skip("no named pipe here:", err)
		}
		_, err := LoadKeyPair(cert, pipe)
		wantError(t, err, ErrNotRegular, "is a named pipe")
	})
	t.Run("an unreadable file", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root reads every file")
		}
		_, err := LoadKeyPair(cert, writeFile(t, dir, "k.pem", nil, 0o000))
		wantError(t, err, fs.ErrPermission, "make it readable")
	})
}

func TestRolesOfKeyPairs(t *testing.T) {
	root := newRoot(t, "root")
	client := root.leaf(t, "alice", withURI("spiffe://demo.test/alice"))
	dir := t.TempDir()
	certFile, keyFile := writeFile(t, dir, "c.pem", certPEM(client), 0o644), writeFile(t, dir, "k.pem", keyPEM(t, client.key), 0o600)
	l := fixedClock()
	asServer, err := l.LoadKeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]WarningCode{WarnUsage, WarnNoNames}, codes(asServer.Warnings)); d != "" {
		t.Error(d)
	}
	l.Client = true
	asClient, err := l.LoadKeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	if len(asClient.Warnings) != 0 {
		t.Errorf("warnings %v", asClient.Warnings)
	}
}

func TestRemarksAboutWhatIsServed(t *testing.T) {
	root := newRoot(t, "root")
	old := root.ca(t, "old", valid(-48*time.Hour, -time.Hour))
	small := sign(t, old, smallRSAKey(t), template("server", []change{forServer, valid(-240*time.Hour, time.Hour)}))
	dir := t.TempDir()
	pair, err := fixedClock().LoadKeyPair(writeFile(t, dir, "c.pem", certPEM(small, old), 0o644), writeFile(t, dir, "k.pem", keyPEM(t, small.key), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]WarningCode{WarnExpiresSoon, WarnWeak, WarnChainExpired}, codes(pair.Warnings)); d != "" {
		t.Errorf("%v: %s", pair.Warnings, d)
	}
}

func TestLoadPool(t *testing.T) {
	a, b := newRoot(t, "a"), newRoot(t, "b")
	old := newRoot(t, "old", valid(-48*time.Hour, -time.Hour))
	dir := t.TempDir()
	fileA := writeFile(t, dir, "a.pem", certPEM(a), 0o644)
	fileBA := writeFile(t, dir, "ba.crt", append([]byte("# both\n"), certPEM(b, a)...), 0o644)
	fileOld := writeFile(t, t.TempDir(), "old.pem", certPEM(a, old), 0o644)
	writeFile(t, dir, "README", []byte("our CAs"), 0o644)
	writeFile(t, dir, ".hidden.pem", []byte("not looked at"), 0o644)
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	load := func(paths ...string) *Pool {
		t.Helper()
		p, err := fixedClock().LoadPool(paths...)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}

	t.Run("files in any order make the same set", func(t *testing.T) {
		p, q := load(fileA, fileBA), load(fileBA)
		if p.Fingerprint() != q.Fingerprint() || p.Fingerprint() == load(fileA).Fingerprint() {
			t.Error("the fingerprint does not identify the set")
		}
		if d := cmp.Diff([]string{"CN=a", "CN=b"}, p.Subjects()); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]WarningCode{WarnDuplicate}, codes(p.Warnings())); d != "" {
			t.Error(d)
		}
		if !p.Contains(a.cert) || p.Contains(old.cert) || p.Len() != 2 || len(p.Certificates()) != 2 {
			t.Error("contents wrong")
		}
	})
	t.Run("a directory is read without what is no certificate", func(t *testing.T) {
		p := load(dir)
		if p.Fingerprint() != load(fileBA).Fingerprint() {
			t.Errorf("subjects %v", p.Subjects())
		}
		if d := cmp.Diff([]WarningCode{WarnIgnored, WarnDuplicate}, codes(p.Warnings())); d != "" {
			t.Error(d)
		}
	})
	t.Run("one expired CA among others is a warning", func(t *testing.T) {
		if d := cmp.Diff([]WarningCode{WarnExpiredCA}, codes(load(fileOld).Warnings())); d != "" {
			t.Error(d)
		}
	})
}

func TestLoadPoolRefuses(t *testing.T) {
	root := newRoot(t, "root")
	server := root.leaf(t, "server", forServer)
	old := newRoot(t, "old", valid(-48*time.Hour, -time.Hour))
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		path string
		is   error
		says string
	}{
		{"a leaf", writeFile(t, dir, "ca.pem", certPEM(root, server), 0o644), ErrNotCA, "ca.pem: holds a leaf certificate (CN=server, CA:FALSE), not a CA – nothing could ever verify"},
		{"a CA with its key", writeFile(t, dir, "key.pem", append(certPEM(root), keyPEM(t, root.key)...), 0o600), ErrUnexpectedKey, "holds a private key; a trust store needs certificates only"},
		{"an expired CA alone", writeFile(t, dir, "old.pem", certPEM(old), 0o644), ErrExpired, "CA CN=old expired 1 hour ago"},
		{"a file without certificate", writeFile(t, dir, "none.pem", []byte("x"), 0o644), ErrNoCertificate, "no certificate found"},
		{"a DER certificate", writeFile(t, dir, "ca.der", root.cert.Raw, 0o644), ErrNotPEM, "DER"},
		{"an empty directory", empty, ErrNoCertificate, "no CA certificate in this directory"},
		{"a path that is not there", filepath.Join(dir, "gone"), fs.ErrNotExist, "no such file"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := fixedClock().LoadPool(c.path)
			wantError(t, err, c.is, c.says)
		})
	}
	t.Run("nothing", func(t *testing.T) {
		if _, err := LoadPool(); !errors.Is(err, ErrEmptyPool) {
			t.Errorf("LoadPool() = %v", err)
		}
		if _, err := NewPool(); !errors.Is(err, ErrEmptyPool) {
			t.Errorf("NewPool() = %v", err)
		}
		if _, err := NewPool(server.cert); !errors.Is(err, ErrNotCA) {
			t.Errorf("NewPool(leaf) = %v", err)
		}
	})
}

func FuzzParsePEM(f *testing.F) {
	e := newRoot(f, "root")
	f.Add(append(certPEM(e), keyPEM(f, e.key)...))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n"))
	f.Add(e.cert.Raw)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parsePEM("f.pem", data)
		if err != nil {
			return
		}
		for _, k := range c.keys {
			if key, err := parseKey("f.pem", k); (key == nil) == (err == nil) {
				t.Errorf("key %v, error %v", key, err)
			}
		}
	})
}
