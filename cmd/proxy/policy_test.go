package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"mtlsproxy/configs"
)

// policyLab is a directory with a CA, clients of it and its revocation list, and
// the configuration that goes with them.
type policyLab struct {
	dir string
	ca  *x509.Certificate
	key *ecdsa.PrivateKey
	cfg *configs.Config
}

func newPolicyLab(t *testing.T) *policyLab {
	t.Helper()
	lab := &policyLab{dir: t.TempDir()}
	var err error
	if lab.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Lab Root"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	lab.ca = lab.sign(t, "ca.pem", tmpl, tmpl)
	lab.client(t, "alice", 2)
	lab.client(t, "mallory", 3)
	lab.client(t, "revoked", 4)
	lab.list(t, 5, 4)
	lab.cfg = configs.Default()
	main := lab.cfg.Listeners["main"]
	main.ClientAuth.CA = []string{lab.path("ca.pem")}
	main.ClientAuth.Revocation.Mode, main.ClientAuth.Revocation.CRL = "hard", []string{lab.path("ca.crl")}
	main.ClientAuth.Alerts = "precise"
	lab.cfg.Listeners["main"] = main
	lab.cfg.Policy.Rules = []configs.Rule{{Name: "no-mallory", Action: "deny", Match: configs.Match{CN: []string{"mallory"}}}}
	return lab
}

func (l *policyLab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *policyLab) sign(t *testing.T, name string, tmpl, parent *x509.Certificate) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, l.key.Public(), l.key)
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, name, "CERTIFICATE", der)
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (l *policyLab) write(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(l.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (l *policyLab) client(t *testing.T, cn string, serial int64) {
	l.sign(t, cn+".pem", &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: cn}, NotBefore: l.ca.NotBefore, NotAfter: l.ca.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, l.ca)
}

func (l *policyLab) list(t *testing.T, number int64, revoked ...int64) {
	t.Helper()
	tmpl := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, serial := range revoked {
		tmpl.RevokedCertificateEntries = append(tmpl.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(serial), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, tmpl, l.ca, l.key)
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, "ca.crl", "X509 CRL", der)
}

func (l *policyLab) offline(t *testing.T) *offlinePolicy {
	t.Helper()
	o := newOfflinePolicy(l.cfg, time.Now())
	if n, _ := configs.Count(o.plan.findings); n > 0 {
		t.Fatal(o.plan.findings)
	}
	return o
}

func TestPolicyTestTable(t *testing.T) {
	lab := newPolicyLab(t)
	main := lab.cfg.Listeners["main"]
	open := main.ClientAuth
	open.Mode = "request"
	main.ServerNames = map[string]configs.ServerName{"public": {Names: []string{"www.example"}, ClientAuth: open}}
	lab.cfg.Listeners["main"] = main
	table := lab.path("t.yaml")
	content := `tests:
  - { name: alice passes, cert: alice.pem, sni: api.example, ip: 192.0.2.7, want: allow, rule: default, reason: ok, alert: none }
  - { name: mallory does not, cert: mallory.pem, want: deny, rule: no-mallory, reason: policy_denied, alert: "49" }
  - { name: a revoked one does not, cert: revoked.pem, want: deny, reason: client_cert_revoked, alert: certificate_revoked }
  - { name: nor does nobody, want: deny, reason: client_cert_missing, alert: certificate_required }
  - { name: nor at TLS 1.2, want: deny, tls_version: "1.2", alert: handshake_failure }
  - { name: but at the public name, sni: WWW.example., want: allow }
  - { name: time runs out, cert: alice.pem, at: 2099-01-01T00:00:00Z, want: deny, reason: client_cert_expired, alert: certificate_expired }
`
	if err := os.WriteFile(table, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	tests, err := readExpectations(table)
	if err != nil {
		t.Fatal(err)
	}
	o := lab.offline(t)
	var out bytes.Buffer
	failed, err := o.runExpectations(&out, tests, lab.dir, time.Now())
	if err != nil || failed != 0 || out.String() != "7 of 7 as expected\n" {
		t.Errorf("failed %d, %v:\n%s", failed, err, &out)
	}
	out.Reset()
	wrong := []expectation{{Name: "mallory passes", Cert: "mallory.pem", Want: "allow", Rule: "web", Alert: "none"}, tests[0]}
	if failed, err = o.runExpectations(&out, wrong, lab.dir, time.Now()); err != nil || failed != 1 {
		t.Fatal(failed, err)
	}
	want := `FAIL  mallory passes
      verdict is deny, want allow
      rule is no-mallory, want web
      alert is access_denied, want none
      policy_denied: the rule "no-mallory" denies it
1 of 2 as expected
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestBadExpectations(t *testing.T) {
	for _, tt := range []struct {
		file string
		code int
		want string
	}{
		{"", exDataErr, "holds no tests"},
		{"tests: [{want: allow}]", exDataErr, "test 1 lacks its name"},
		{"tests: [{name: a, want: pass}]", exDataErr, `want "pass" is not one of allow, deny`},
		{"tests: [{name: a, want: allow, certificate: x}]", exDataErr, "certificate"},
		{"tests: [", exDataErr, "did not find"},
	} {
		path := filepath.Join(t.TempDir(), "t.yaml")
		if err := os.WriteFile(path, []byte(tt.file), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readExpectations(path); exitCode(err) != tt.code || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v (%d), want %q (%d)", tt.file, err, exitCode(err), tt.want, tt.code)
		}
	}
	if _, err := readExpectations("/nonexistent"); exitCode(err) != exNoInput || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	for _, e := range []expectation{{TLSVersion: "1.1"}, {IP: "x"}, {At: "noon"}} {
		if _, err := e.question("", time.Now()); exitCode(err) != exUsage {
			t.Errorf("%+v: %v", e, err)
		}
	}
}

func TestPolicyAnswers(t *testing.T) {
	lab := newPolicyLab(t)
	lab.cfg.Policy.Default = "deny"
	lab.cfg.Policy.Rules = append(lab.cfg.Policy.Rules, configs.Rule{Name: "office", Action: "allow", Match: configs.Match{CN: []string{"*"}, CIDR: []string{"10.0.0.0/8"}}})
	q, err := expectation{Cert: "alice.pem", IP: "192.0.2.1"}.question(lab.dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	a, err := lab.offline(t).ask(q)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := a.print(&out); err != nil {
		t.Fatal(err)
	}
	want := `verdict    refused
reason     policy_denied
detail     no rule matches, and the default is deny; nearest is the rule "office": cidr is 192.0.2.1, the rule wants 10.0.0.0/8
listener   main
identity   CN=alice
chain      ok
revocation good
rule       default (deny)
nearest    office: cidr is 192.0.2.1, the rule wants 10.0.0.0/8
alert      access_denied (49)
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	q.listener = "other"
	if _, err := lab.offline(t).ask(q); err == nil || !strings.Contains(err.Error(), `no listener is called "other": there are main`) {
		t.Errorf("another listener: %v", err)
	}
}

func TestShowPolicy(t *testing.T) {
	lab := newPolicyLab(t)
	o := lab.offline(t)
	shown := showPolicy(o.plan.rules, o.plan.findings)
	var out bytes.Buffer
	if err := shown.print(&out); err != nil {
		t.Fatal(err)
	}
	if want := "  0  deny   no-mallory\n            cn: mallory\n  –  allow  default\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if _, err := json.Marshal(shown); err != nil {
		t.Error(err)
	}
}

func TestPolicyPlanFindings(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*policyLab, *configs.Listener)
		want   string
		errors int
	}{
		{"nothing wrong", func(*policyLab, *configs.Listener) {}, "", 0},
		{"a rule for no listener", func(l *policyLab, _ *configs.Listener) { l.cfg.Policy.Rules[0].Match.Listener = []string{"mian"} },
			`policy.rules[0].match.listener[0]: no listener is called "mian": there are main`, 1},
		{"a protocol nobody speaks", func(l *policyLab, _ *configs.Listener) { l.cfg.Policy.Rules[0].Match.ALPN = []string{"h2"} },
			`policy.rules[0].match.alpn[0]: can never match: no listener negotiates "h2"`, 0},
		{"a version nobody takes", func(l *policyLab, ln *configs.Listener) {
			ln.TLS.MinVersion, l.cfg.Policy.Rules[0].Match.TLSVersion = "1.3", []string{"1.2"}
		}, `can never match: no listener takes TLS 1.2`, 0},
		{"a glob that cannot be", func(l *policyLab, _ *configs.Listener) { l.cfg.Policy.Rules[0].Match.DNSSAN = []string{"a..b"} },
			`policy.rules[0].match.dns_san[0]: "a..b" is no DNS name`, 1},
		{"a list that is missing", func(l *policyLab, ln *configs.Listener) { ln.ClientAuth.Revocation.CRL = []string{"/nonexistent.crl"} },
			`listeners.main.client_auth.revocation.crl: /nonexistent.crl: no such file`, 1},
		{"an intermediate that is none", func(l *policyLab, ln *configs.Listener) { ln.ClientAuth.Intermediates = []string{l.path("alice.pem")} },
			`listeners.main.client_auth.intermediates: `, 1},
		{"a laxer policy beside a name", func(l *policyLab, ln *configs.Listener) {
			ln.ServerNames = map[string]configs.ServerName{"api": {Names: []string{"api.example"}, ClientAuth: ln.ClientAuth}}
			ln.ClientAuth.Mode = "request"
		}, "listeners.main.server_names.api: is stricter than the listener's own", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lab := newPolicyLab(t)
			ln := lab.cfg.Listeners["main"]
			tt.change(lab, &ln)
			lab.cfg.Listeners["main"] = ln
			o := newOfflinePolicy(lab.cfg, time.Now())
			var got []string
			for _, f := range o.plan.findings {
				got = append(got, f.Key+": "+f.Message)
			}
			if n, _ := configs.Count(o.plan.findings); n != tt.errors || !strings.Contains(strings.Join(got, "\n"), tt.want) || tt.want == "" && got != nil {
				t.Errorf("got %d errors, %q; want %d, %q", n, got, tt.errors, tt.want)
			}
		})
	}
}

func TestAReloadDoesNotGoBackToAnOlderList(t *testing.T) {
	lab := newPolicyLab(t)
	now := time.Now()
	first := planPolicy(lab.cfg, nil, now)
	first.listener("main", nil)
	for number, want := range map[int64]int{4: 1, 5: 0, 6: 0} {
		lab.list(t, number)
		second := planPolicy(lab.cfg, first, now)
		second.listener("main", nil)
		if n, _ := configs.Count(second.findings); n != want && number != 5 {
			t.Errorf("list %d: %v", number, second.findings)
		}
	}
}

func TestPublicAmong(t *testing.T) {
	lab := newPolicyLab(t)
	system := x509.NewCertPool()
	if got := publicAmong([]*x509.Certificate{lab.ca}, system, time.Now()); got != nil {
		t.Errorf("a private CA counts as public: %v", got)
	}
	system.AddCert(lab.ca)
	if got := publicAmong([]*x509.Certificate{lab.ca}, system, time.Now()); len(got) != 1 {
		t.Errorf("a public CA is not found")
	}
}

func TestPolicyCommands(t *testing.T) {
	lab := newPolicyLab(t)
	cfg := lab.path("proxy.yaml")
	if err := os.WriteFile(cfg, []byte("listeners: {main: {client_auth: {ca: ["+lab.path("ca.pem")+"]}}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := lab.path("t.yaml")
	if err := os.WriteFile(tests, []byte("tests: [{name: a, cert: alice.pem, want: allow}, {name: b, want: allow}]"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		out  string
	}{
		{[]string{"check", "--cert", lab.path("alice.pem")}, exOK, "verdict    allowed"},
		{[]string{"check", "--cert", lab.path("alice.pem"), "-o", "json"}, exOK, `"allowed": true`},
		{[]string{"check"}, exNo, "client_cert_missing"},
		{[]string{"check", "--cert", lab.path("alice.pem"), "--at", "2099-01-01T00:00:00Z"}, exNo, "certificate_expired (45)"},
		{[]string{"check", "--cert", "/nonexistent"}, exNoInput, ""},
		{[]string{"check", "--cert", tests}, exDataErr, ""},
		{[]string{"check", "--listener", "x"}, exUsage, ""},
		{[]string{"check", "-o", "xml"}, exUsage, ""},
		{[]string{"test", tests}, exNo, "FAIL  b"},
		{[]string{"test", "/nonexistent"}, exNoInput, ""},
		{[]string{"show"}, exOK, "default"},
		{[]string{"show", "-o", "json"}, exOK, `"default": "allow"`},
		{[]string{"show", "--set", "listeners.main.client_auth.ca=/nonexistent"}, exConfig, ""},
	} {
		root := &cobra.Command{Use: "proxy", SilenceErrors: true, SilenceUsage: true}
		root.PersistentFlags().StringP("config", "c", "", "")
		root.PersistentFlags().StringArray("set", nil, "")
		root.AddCommand(newPolicyCommand())
		var out, errs bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&errs)
		root.SetArgs(append(append([]string{"policy"}, tt.args...), "-c", cfg))
		err := root.Execute()
		if exitCode(err) != tt.code || !strings.Contains(out.String(), tt.out) {
			t.Errorf("%v: exit %d (%v), want %d; output %q, want %q; %s", tt.args, exitCode(err), err, tt.code, out.String(), tt.out, &errs)
		}
	}
}
