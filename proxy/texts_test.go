package proxy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mtlsproxy/proxy/event"
)

// notOurs are the errors of crypto/tls that never end a handshake of this server,
// by how they begin, with why not.
var notOurs = map[string]string{
	// A client's.
	"server":                                                "client",
	"invalid server":                                        "client",
	"invalid ServerKeyExchange":                             "client",
	"invalid signature by the server":                       "client",
	"missing ServerKeyExchange":                             "client",
	"unexpected ServerKeyExchange":                          "client",
	"received unexpected CertificateStatus":                 "client",
	"received empty certificates":                           "client",
	"received malformed key_share":                          "client",
	"received a session ticket":                             "client",
	"no server certificates in client":                      "client",
	"no supported versions satisfy":                         "client",
	"failed to parse certificate from server":               "client",
	"downgrade attempt detected":                            "client",
	"incorrect renegotiation extension":                     "client",
	"client certificate private key":                        "client",
	"either ServerName or InsecureSkipVerify":               "client",
	"handshake did not verify":                              "client",
	"NextProtos values too large":                           "client",
	"invalid NextProtos value":                              "client",
	"unknown Renegotiation value":                           "client",
	"unexpected encrypted client hello extension in server": "client",
	"unexpected server_name extension in server":            "client",
	"EncryptedClientHelloConfigList":                        "client",
	"MaxVersion must be":                                    "client",
	"MinVersion must be":                                    "client",
	"CurvePreferences includes":                             "client, or QUIC",
	"malformed ECHConfig":                                   "client, or keys that are not set",
	"VerifyHostname called":                                 "not in the handshake",

	// QUIC.
	"Config MinVersion must be at least":     "QUIC",
	"Start called":                           "QUIC",
	"SendSessionTicket called":               "QUIC",
	"StoreSessionTicket called":              "QUIC",
	"handshake data received at wrong level": "QUIC",
	"client did not send a quic_transport":   "QUIC",
	"invalid early data for QUIC":            "QUIC",

	// Before or after the handshake.
	"CloseWrite called before":   "not in the handshake",
	"handshake has not yet":      "not in the handshake",
	"protocol is shutdown":       "not in the handshake",
	"failed to send closeNotify": "not in the handshake",

	// Loading keys and certificates, which certs does.
	"failed to find":                       "loading",
	"failed to parse private key":          "loading",
	"found a certificate rather than":      "loading",
	"found unknown private key":            "loading",
	"private key does not match":           "loading",
	"private key type does not match":      "loading",
	"unknown public key algorithm":         "loading",
	"neither Certificates, GetCertificate": "settings without a certificate are refused",
	"invalid EncryptedClientHelloKey":      "ECH keys are not set",

	// What does not happen here.
	"failed to write to key log":                      "our key log never fails",
	"short read from Rand":                            "the system's source never fails",
	"failed to create cipher while encrypting ticket": "keys have the right length",
	"invalid session encoding":                        "crypto/tls gives such tickets up",
	"unknown session encoding":                        "crypto/tls gives such tickets up",
	"unsupported key exchange":                        "all suites that are offered have one",
	"unsupported public key":                          "before TLS 1.2, which is never offered",
	"Ed25519 public keys are not":                     "before TLS 1.2, which is never offered",

	// Alerts that a server does not send by itself.
	"close notify": "alert", "bad certificate": "alert, with an error that has a type", "revoked certificate": "alert",
	"expired certificate": "alert, with an error that has a type", "unknown certificate": "alert, with an error that has a type",
	"access denied": "alert", "export restriction": "alert", "insufficient security level": "alert", "user canceled": "alert",
	"no renegotiation": "alert", "certificate unobtainable": "alert",
	"unknown PSK identity": "alert",
}

// TestTheTableKnowsTheLibrary reads the sources of crypto/tls of the Go version in
// use, and wants a reason for each error in them.
func TestTheTableKnowsTheLibrary(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("there is no go command to ask for the sources: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(root)), "src/crypto/tls/*.go"))
	if err != nil || len(files) == 0 {
		t.Skipf("the sources of crypto/tls are not installed (%v)", err)
	}
	texts := map[string]bool{}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			collect(t, file, texts)
		}
	}
	if len(texts) < 150 {
		t.Fatalf("only %d texts were found; the way to find them no longer fits the sources", len(texts))
	}
	for _, one := range []string{"oversized record received with length ", "first record does not look like a TLS handshake", "unexpected message"} {
		if !texts[one] {
			t.Errorf("%q was not found; the way to find texts no longer fits the sources", one)
		}
	}
	used := map[string]bool{}
	for _, text := range slices.Sorted(maps.Keys(texts)) {
		if _, known := reasonOf(text); known {
			continue
		}
		why := ""
		for prefix := range notOurs {
			if strings.HasPrefix(text, prefix) {
				why = prefix
			}
		}
		if why == "" {
			t.Errorf("crypto/tls can say %q, and nobody knows what that means.\n"+
				"Find out when a server returns it. If a client can cause it, add a line to texts in texts.go with its reason, "+
				"and provoke it in diagnose_test.go. If it cannot end a handshake of this server, add it to notOurs with why not.", text)
		}
		used[why] = true
	}
	for prefix := range notOurs {
		if !used[prefix] {
			t.Errorf("notOurs has %q, which crypto/tls no longer says, or which the table knows", prefix)
		}
	}
}

// collect adds to texts what the errors of a file say, without "tls: " and up to
// the first value: errors.New and fmt.Errorf that begin so, the texts of alerts,
// and those that become a tls.RecordHeaderError.
func collect(t *testing.T, file string, texts map[string]bool) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	add := func(e ast.Expr, prefix string) {
		if sum, ok := e.(*ast.BinaryExpr); ok {
			e = sum.X
		}
		lit, ok := e.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Fatal(err)
		}
		if text, ok = strings.CutPrefix(text, prefix); ok {
			text, _, _ = strings.Cut(text, "%")
			texts[text] = true
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) > 0 {
				pkg, _ := f.X.(*ast.Ident)
				if name := f.Sel.Name; pkg != nil && (pkg.Name == "errors" && name == "New" || pkg.Name == "fmt" && name == "Errorf") {
					add(n.Args[0], "tls: ")
				}
			}
		case *ast.ValueSpec:
			if len(n.Names) == 1 && n.Names[0].Name == "alertText" {
				for _, e := range n.Values[0].(*ast.CompositeLit).Elts {
					add(e.(*ast.KeyValueExpr).Value, "")
				}
			}
		case *ast.FuncDecl:
			if n.Name.Name == "readRecordOrCCS" {
				recordErrors(n, add)
			}
		}
		return true
	})
}

// recordErrors finds what is said about records: the texts given to Sprintf or
// newRecordHeaderError.
func recordErrors(f *ast.FuncDecl, add func(ast.Expr, string)) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if f, ok := call.Fun.(*ast.SelectorExpr); ok && (f.Sel.Name == "Sprintf" || f.Sel.Name == "newRecordHeaderError") {
			for _, arg := range call.Args {
				add(arg, "")
			}
		}
		return true
	})
}

func TestNoLineOfTheTableHidesAnother(t *testing.T) {
	for i, late := range texts {
		for _, early := range texts[:i] {
			if strings.HasPrefix(late.prefix, early.prefix) {
				t.Errorf("%q is never reached: %q comes first", late.prefix, early.prefix)
			}
		}
	}
}

func TestUnknownTextsAreInternalAndCounted(t *testing.T) {
	before := Unclassified()
	var d diagnosis
	d.fromText("tls: something new under the sun")
	if d.Reason != event.Internal || d.Detail == "" || Unclassified() != before+1 {
		t.Errorf("reason %v, detail %q, counted %d", d.Reason, d.Detail, Unclassified()-before)
	}
	d.fromText("local error: tls: unexpected message")
	if d.Reason != event.TLSMalformed || Unclassified() != before+1 {
		t.Errorf("reason %v, counted %d", d.Reason, Unclassified()-before)
	}
}
