// Package scripts holds shell scripts for people to read and copy. Its tests run
// them.
package scripts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// binary is the proxy that the scripts are run with.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "scripts")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "proxy")
	out, err := exec.Command("go", "build", "-o", binary, "mtlsproxy/cmd/proxy").CombinedOutput()
	if err != nil {
		os.Stderr.Write(out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}

// bash runs a script in dir and returns its standard output.
func bash(t *testing.T, dir, script string, args ...string) (string, error) {
	t.Helper()
	needs(t, "bash")
	path, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", append([]string{path}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PROXY="+binary, "TMPDIR="+t.TempDir())
	var talk strings.Builder
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil {
		t.Logf("%s: %v\n%s%s", script, err, out, talk.String())
	}
	return string(out), err
}

func mustRun(t *testing.T, dir, script string, args ...string) string {
	t.Helper()
	out, err := bash(t, dir, script, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestScriptsAreCleanForShellcheck(t *testing.T) {
	needs(t, "shellcheck")
	scripts, err := filepath.Glob("*.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatal(scripts, err)
	}
	accept, err := filepath.Glob("accept/*.sh")
	if err != nil || len(accept) == 0 {
		t.Fatal(accept, err)
	}
	if out, err := exec.Command("shellcheck", append(scripts, accept...)...).CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}
}

func TestCertificatesAreWhatScriptsRelyOn(t *testing.T) {
	t.Parallel()
	needs(t, "openssl", "jq")
	out := mustRun(t, t.TempDir(), "accept/certificates.sh")
	if !strings.HasSuffix(strings.TrimSpace(out), " passed, 0 failed") {
		t.Error(out)
	}
}

func TestLocalMTLS(t *testing.T) {
	t.Parallel()
	needs(t, "openssl", "curl")
	dir := t.TempDir()
	for range 2 { // the second run keeps the CA
		out := mustRun(t, dir, "local-mtls.sh", "my mtls")
		if !strings.Contains(out, "alice gets in\nnobody else does\n") {
			t.Error(out)
		}
	}
}

func TestServicePair(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustRun(t, dir, "service-pair.sh", "s", "a", "b")
	for _, name := range []string{"a", "b"} {
		if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "s", name, "tls.crt"), filepath.Join(dir, "s", name, "tls.key")); err != nil {
			t.Error(err)
		}
		info, err := os.Stat(filepath.Join(dir, "s", name, "tls.key"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Error(info, err)
		}
		entries, err := os.ReadDir(filepath.Join(dir, "s", name))
		if err != nil || len(entries) != 3 {
			t.Error(entries, err)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	if out := mustRun(t, t.TempDir(), "rotation.sh"); !strings.HasSuffix(out, "rotated\n") {
		t.Error(out)
	}
}

func TestRevocationDrill(t *testing.T) {
	t.Parallel()
	needs(t, "openssl")
	if out := mustRun(t, t.TempDir(), "revocation-drill.sh"); !strings.Contains(out, "mallory  no") {
		t.Error(out)
	}
}

func TestKubernetesSecretIsNotMadeInPart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	broken := filepath.Join(dir, "base64")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	needs(t, "bash")
	path, err := filepath.Abs("kubernetes-secret.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", path, "orders")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PROXY="+binary, "PATH="+dir+":"+os.Getenv("PATH"))
	if out, err := cmd.Output(); err == nil || len(out) != 0 {
		t.Errorf("with a base64 that fails: %v, and wrote %q", err, out)
	}
}

func TestKubernetesSecret(t *testing.T) {
	t.Parallel()
	needs(t, "base64")
	dir := t.TempDir()
	out := mustRun(t, dir, "kubernetes-secret.sh", "orders", "shop")
	var secret struct {
		Kind, Type string
		Metadata   struct{ Name, Namespace string }
		Data       map[string]string
	}
	if err := yaml.Unmarshal([]byte(out), &secret); err != nil {
		t.Fatal(err)
	}
	if secret.Kind != "Secret" || secret.Type != "kubernetes.io/tls" || secret.Metadata.Name != "orders-tls" || secret.Metadata.Namespace != "shop" {
		t.Errorf("%+v", secret)
	}
	data := map[string][]byte{}
	for key, text := range secret.Data {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		data[key] = raw
	}
	pair, err := tls.X509KeyPair(data["tls.crt"], data["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	roots, helpers := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data["ca.crt"]) || !helpers.AppendCertsFromPEM(data["tls.crt"]) {
		t.Fatal("no certificates")
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: helpers, DNSName: "orders.shop.svc.cluster.local"}); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"Orders", "a b", "", "-a", "a:b"} {
		if out, err := bash(t, dir, "kubernetes-secret.sh", bad); err == nil {
			t.Errorf("%q makes %s", bad, out)
		}
	}
}

// Without the binary each script says so, and makes nothing.
func TestScriptsMissTheBinary(t *testing.T) {
	needs(t, "bash")
	for script, args := range map[string][]string{"local-mtls.sh": {"x"}, "service-pair.sh": {"x"}, "rotation.sh": {"x"}, "revocation-drill.sh": {"x"}, "kubernetes-secret.sh": {"x"}} {
		dir := t.TempDir()
		path, err := filepath.Abs(script)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("bash", append([]string{path}, args...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PROXY=/nonexistent/proxy")
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "set PROXY to the binary") {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("%s made %v", script, entries)
		}
	}
}
