package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mtlsproxy/certs/ca"
	"mtlsproxy/policy"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

// stack is a TLS client of the world.
type stack struct {
	name  string
	tools []string
	// args returns the command that makes one HTTPS request, or at least one
	// handshake, and checks our certificate.
	args    func(v visit) []string
	prepare func(*testing.T) string // makes what args needs; may be nil
	// what our side must find for each way we are not trusted, at TLS 1.2 and
	// 1.3; nil where the client finds nothing wrong with that
	want12, want13 refusals
}

// visit is what a client is to do.
type visit struct {
	host, port string // what the certificate is checked against, and where it leads on loopback
	ca         string // a file of what the client trusts
	dir        string
	version    uint16
	tool       string // what prepare made
}

func (v visit) tls13() bool { return v.version == tls.VersionTLS13 }

// refusals are what a stack does about an unknown CA, an expired certificate and
// one for another name.
type refusals struct{ ca, expired, name *refusal }

// refusal is what one looks like from here.
type refusal struct {
	alert     uint8 // 0 for none
	encrypted bool
	late      bool // it comes after a handshake that went well
}

func alert(code uint8) *refusal  { return &refusal{alert: code} }
func sealed(code uint8) *refusal { return &refusal{alert: code, encrypted: true} }

// afterwards is an alert that comes when the handshake went well.
func afterwards(code uint8) *refusal { return &refusal{alert: code, late: true} }

// silent is a client that leaves without an alert in the handshake; late one
// that does so after it.
var (
	silent = &refusal{}
	late   = &refusal{late: true}
)

// stacks are those of facts/tls.md: what each was measured to do.
var stacks = []stack{
	{
		name: "OpenSSL", tools: []string{"openssl"},
		args: func(v visit) []string {
			return []string{"openssl", "s_client", "-connect", "127.0.0.1:" + v.port, "-servername", v.host, "-verify_hostname", v.host,
				"-verify_return_error", "-CAfile", v.ca, "-no-CApath", "-no-CAstore", map[bool]string{true: "-tls1_3", false: "-tls1_2"}[v.tls13()]}
		},
		want12: refusals{alert(48), alert(45), alert(42)},
		want13: refusals{alert(48), alert(45), alert(42)},
	},
	{
		name: "curl", tools: []string{"curl"},
		args: func(v visit) []string {
			return []string{"curl", "-sS", "--max-time", "10", "--cacert", v.ca, "--resolve", v.host + ":" + v.port + ":127.0.0.1",
				map[bool]string{true: "--tlsv1.3", false: "--tlsv1.2"}[v.tls13()], "--tls-max", map[bool]string{true: "1.3", false: "1.2"}[v.tls13()],
				"https://" + v.host + ":" + v.port + "/"}
		},
		want12: refusals{alert(48), alert(45), late},
		want13: refusals{alert(48), alert(45), late},
	},
	{
		name: "Python", tools: []string{"python3"},
		args: func(v visit) []string {
			return []string{"python3", "-c", fmt.Sprintf(`
import socket, ssl
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
c.load_verify_locations(%q)
c.minimum_version = c.maximum_version = ssl.TLSVersion.%s
s = socket.create_connection(("127.0.0.1", %s), timeout=10)
c.wrap_socket(s, server_hostname=%q)
`, v.ca, map[bool]string{true: "TLSv1_3", false: "TLSv1_2"}[v.tls13()], v.port, v.host)}
		},
		want12: refusals{alert(48), alert(45), alert(42)},
		want13: refusals{alert(48), alert(45), alert(42)},
	},
	{
		name: "GnuTLS", tools: []string{"gnutls-cli"},
		args: func(v visit) []string {
			return []string{"gnutls-cli", "--x509cafile", v.ca, "--sni-hostname", v.host, "--verify-hostname", v.host, "-p", v.port,
				"--priority", map[bool]string{true: "NORMAL:-VERS-ALL:+VERS-TLS1.3", false: "NORMAL:-VERS-ALL:+VERS-TLS1.2"}[v.tls13()], "127.0.0.1"}
		},
		want12: refusals{alert(42), alert(42), alert(42)},
		want13: refusals{sealed(42), sealed(42), sealed(42)},
	},
	{
		name: "NSS", tools: []string{"tstclnt", "certutil"},
		args: func(v visit) []string {
			version := map[bool]string{true: "tls1.3:tls1.3", false: "tls1.2:tls1.2"}[v.tls13()]
			return []string{"sh", "-c", fmt.Sprintf(`mkdir db && certutil -d sql:db -N --empty-password && certutil -d sql:db -A -n ca -t C,, -i %s &&
				tstclnt -d sql:db -h 127.0.0.1 -a %s -p %s -V %s </dev/null`, v.ca, v.host, v.port, version)}
		},
		want12: refusals{afterwards(48), afterwards(45), afterwards(42)},
		want13: refusals{sealed(48), sealed(45), sealed(42)},
	},
	{
		name: "Node", tools: []string{"node"},
		args: func(v visit) []string {
			version := map[bool]string{true: "TLSv1.3", false: "TLSv1.2"}[v.tls13()]
			return []string{"node", "-e", fmt.Sprintf(`
const tls = require('tls'), fs = require('fs');
const s = tls.connect({port: %s, host: '127.0.0.1', servername: %q, ca: fs.readFileSync(%q), minVersion: %q, maxVersion: %q});
s.on('error', () => {});`, v.port, v.host, v.ca, version, version)}
		},
		want12: refusals{late, late, late},
		want13: refusals{silent, silent, silent},
	},
	{
		name: "wget", tools: []string{"wget"},
		args: func(v visit) []string {
			return []string{"wget", "-q", "-O", "/dev/null", "--tries=1", "--timeout=10", "--no-hsts", "--ca-certificate=" + v.ca,
				"--ciphers=" + map[bool]string{true: "NORMAL:-VERS-ALL:+VERS-TLS1.3", false: "NORMAL:-VERS-ALL:+VERS-TLS1.2"}[v.tls13()],
				"https://" + v.host + ":" + v.port + "/"}
		},
		want12: refusals{late, late, late},
		want13: refusals{late, late, late},
	},
	{
		name: "Java", tools: []string{"java", "javac"}, prepare: compileVisit,
		args: func(v visit) []string {
			return []string{"java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", v.tool, "Visit",
				v.host, v.port, map[bool]string{true: "TLSv1.3", false: "TLSv1.2"}[v.tls13()], v.ca}
		},
		want12: refusals{alert(46), alert(45), alert(46)},
		want13: refusals{sealed(46), sealed(46), sealed(46)},
	},
	{
		name:   "Go",
		want12: refusals{alert(42), alert(42), alert(42)},
		want13: refusals{sealed(42), sealed(42), sealed(42)},
	},
}

// javaVisit is the Java client: one handshake, the name checked as HTTPS does.
const javaVisit = `import javax.net.ssl.*;
import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;

public class Visit {
	public static void main(String[] a) throws Exception {
		KeyStore trust = KeyStore.getInstance("PKCS12");
		trust.load(null, null);
		trust.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream(a[3])));
		TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
		factory.init(trust);
		SSLContext context = SSLContext.getInstance("TLS");
		context.init(null, factory.getTrustManagers(), null);
		java.net.Socket tcp = new java.net.Socket("127.0.0.1", Integer.parseInt(a[1]));
		SSLSocket s = (SSLSocket) context.getSocketFactory().createSocket(tcp, a[0], Integer.parseInt(a[1]), true);
		s.setEnabledProtocols(new String[] {a[2]});
		SSLParameters p = s.getSSLParameters();
		p.setEndpointIdentificationAlgorithm("HTTPS");
		s.setSSLParameters(p);
		s.setSoTimeout(10000);
		s.startHandshake();
	}
}
`

// compileVisit returns where its classes are.
func compileVisit(t *testing.T) string {
	dir := t.TempDir()
	source := filepath.Join(dir, "Visit.java")
	if err := os.WriteFile(source, []byte(javaVisit), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "javac", "-J-XX:TieredStopAtLevel=1", source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// distrusts are the ways in which a client may not take our certificate.
var distrusts = []struct {
	name   string
	pair   func(testing.TB) tls.Certificate
	ca     func(testing.TB) *ca.Authority
	reason event.Reason
	of     func(refusals) *refusal
}{
	{"an unknown CA", goodServer, strangeCA, event.ServerCertUntrusted, func(r refusals) *refusal { return r.ca }},
	{"an expired certificate", expiredServer, labCA, event.ServerCertExpired, func(r refusals) *refusal { return r.expired }},
	{"another name", otherServer, labCA, event.ServerCertUntrusted, func(r refusals) *refusal { return r.name }},
}

func labCA(t testing.TB) *ca.Authority { return must(sharedCA())(t) }

var strange = sync.OnceValues(func() (*ca.Authority, error) { return ca.New(ca.InitOptions{Name: "Stranger"}) })

func strangeCA(t testing.TB) *ca.Authority { return must(strange())(t) }

func goodServer(t testing.TB) tls.Certificate { return must(serverPair())(t) }

func expiredServer(t testing.TB) tls.Certificate {
	issued := must(labCA(t).Issue(ca.Request{
		Name: "localhost", SANs: []string{"127.0.0.1"}, Usage: ca.Server, AllowPast: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour),
	}))(t)
	return issued.TLS()
}

func otherServer(t testing.TB) tls.Certificate {
	issued := must(labCA(t).Issue(ca.Request{Name: "elsewhere.test", Usage: ca.Server}))(t)
	return issued.TLS()
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// run lets a client visit and waits until it is done.
func (s *stack) run(t *testing.T, v visit, trust *ca.Authority) {
	t.Helper()
	if s.args == nil {
		goVisit(v, trust)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	args := s.args(v)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.WaitDelay = v.dir, time.Second
	cmd.Env = append(os.Environ(), "NODE_OPTIONS=", "SSL_CERT_FILE=/dev/null", "http_proxy=", "https_proxy=", "no_proxy=*", "HOME="+v.dir)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("the client did not end: %v\n%s", err, out)
	}
	t.Logf("%v\n%s", err, bytes.TrimSpace(out))
}

func goVisit(v visit, trust *ca.Authority) {
	conn, err := net.Dial("tcp", "127.0.0.1:"+v.port)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	tls.Client(conn, &tls.Config{RootCAs: trust.Pool().CertPool(), ServerName: v.host, MinVersion: v.version, MaxVersion: v.version}).Handshake()
}

func TestClientsThatRefuseUs(t *testing.T) {
	if testing.Short() {
		t.Skip("runs some fifty commands")
	}
	for _, s := range stacks {
		t.Run(s.name, func(t *testing.T) {
			for _, tool := range s.tools {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skipf("%s is not installed", tool)
				}
			}
			t.Parallel()
			tool := ""
			if s.prepare != nil {
				tool = s.prepare(t)
			}
			for _, d := range distrusts {
				for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
					t.Run(d.name+", "+tls.VersionName(version), func(t *testing.T) {
						want := d.of(s.want12)
						if version == tls.VersionTLS13 {
							want = d.of(s.want13)
						}
						l := newLab(t, httpOK, func(p *proxy.Settings) {
							p.TLS.Certificates = []tls.Certificate{d.pair(t)}
							p.ClientAuth = policy.ClientAuth{}
						})
						trust := d.ca(t)
						_, port, _ := net.SplitHostPort(l.addr)
						dir := t.TempDir()
						s.run(t, visit{host: "localhost", port: port, ca: files(t, dir, trust), dir: dir, version: version, tool: tool}, trust)
						checkRefusal(t, l, d.reason, want, d.name == "another name")
					})
				}
			}
		})
	}
}

// files writes what the client trusts.
func files(t *testing.T, dir string, trust *ca.Authority) string {
	t.Helper()
	path := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: trust.Root().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// httpOK answers one request.
func httpOK(conn net.Conn) {
	buf := make([]byte, 4096)
	if n, _ := conn.Read(buf); n > 0 {
		conn.Write([]byte("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
	}
}

// checkRefusal holds what the journal says against what the client does.
func checkRefusal(t *testing.T, l *lab, reason event.Reason, want *refusal, misnamed bool) {
	t.Helper()
	end := l.closed()
	if want.alert != 45 { // other alerts do not say that it is the date, and silence says nothing
		reason = event.ServerCertUntrusted
	}
	if want.late {
		confidence := "possible"
		switch {
		case want.alert != 0:
			confidence = "certain"
		case misnamed:
			confidence = "likely"
		}
		if end.Reason != event.OK || end.Suspect != reason || end.Confidence != confidence {
			t.Errorf("closed with %v, suspect %v, confidence %q; want %v, %s\n%s", end.Reason, end.Suspect, end.Confidence, reason, confidence, l.journal())
		}
		return
	}
	failed := event.Bodies[event.HandshakeFailed](l.events.All())
	if len(failed) != 1 {
		t.Fatalf("%d failed handshakes\n%s", len(failed), l.journal())
	}
	f := failed[0]
	if f.Reason != reason || end.Reason != reason || f.By != event.ClientSide {
		t.Errorf("reason %v, closed with %v, by %s; want %v\n%s", f.Reason, end.Reason, f.By, reason, l.journal())
	}
	switch {
	case want.alert == 0:
		if f.Alert != nil || f.Confidence != "likely" {
			t.Errorf("alert %+v, confidence %q\n%s", f.Alert, f.Confidence, l.journal())
		}
	case f.Alert == nil || f.Alert.Direction != event.In || f.Alert.Code != want.alert || f.Alert.Encrypted != want.encrypted:
		t.Errorf("alert %+v, want %d, encrypted %v\n%s", f.Alert, want.alert, want.encrypted, l.journal())
	}
	if strings.Contains(f.Detail, "bad record MAC") {
		t.Errorf("the detail repeats what misled: %q", f.Detail)
	}
}
