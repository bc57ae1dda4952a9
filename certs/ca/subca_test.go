package ca

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"mtlsproxy/certs"
)

func mustRoot(t testing.TB, r SubCARequest) *Authority {
	t.Helper()
	a, err := NewRoot(r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func mustSub(t testing.TB, a *Authority, r SubCARequest) *Authority {
	t.Helper()
	b, err := a.SubCA(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSubCAsFormAChain(t *testing.T) {
	root := mustRoot(t, SubCARequest{Name: "Demo Root", PathLen: Unlimited})
	policy := mustSub(t, root, SubCARequest{Name: "Demo Policy", PathLen: 1})
	issuing := mustSub(t, policy, SubCARequest{Name: "Demo Issuing", KeyAlgo: Ed25519})
	i := mustIssue(t, issuing, Request{Name: "svc.demo.test"})
	var names []string
	for _, c := range i.Chain {
		names = append(names, c.Subject.CommonName)
	}
	if got := strings.Join(names, ", "); got != "svc.demo.test, Demo Issuing, Demo Policy" || i.Root != root.Root() {
		t.Error("chain", got)
	}
	if v := verifier(root, x509.ExtKeyUsageServerAuth).Verify(i.Chain, time.Now()); !v.OK() {
		t.Error(v.Detail)
	}
	if root.Root().MaxPathLen != -1 || policy.Issuer().MaxPathLen != 1 || !issuing.Issuer().MaxPathLenZero {
		t.Error("the path lengths are not those asked for")
	}

	again, err := Assemble(issuing.key, issuing.issuer, policy.issuer, root.root)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(mustIssue(t, again, Request{Name: "svc"}).Chain); got != 3 {
		t.Errorf("assembled: %d certificates", got)
	}
}

func TestSubCARefuses(t *testing.T) {
	now := time.Now()
	free := mustRoot(t, SubCARequest{Name: "Free", PathLen: Unlimited})
	two := mustRoot(t, SubCARequest{Name: "Two", PathLen: 2, NotAfter: now.Add(time.Hour)})
	one := mustSub(t, two, SubCARequest{Name: "One", PathLen: 1})
	zero := mustSub(t, one, SubCARequest{Name: "Zero"})
	cases := []struct {
		name string
		by   *Authority
		r    SubCARequest
		says string
	}{
		{"no name", free, SubCARequest{}, "has no name"},
		{"an impossible path length", free, SubCARequest{Name: "x", PathLen: -2}, "path length of -2"},
		{"a CA under a CA of leaves", zero, SubCARequest{Name: "x"}, "no CA may be below CN=Zero"},
		{"no limit under a limit", two, SubCARequest{Name: "x", PathLen: Unlimited}, "at most 1"},
		{"as much as its issuer has", one, SubCARequest{Name: "x", PathLen: 1}, "at most 0"},
		{"a longer life than its issuer's", two, SubCARequest{Name: "x", NotAfter: now.Add(2 * time.Hour)}, "outlive"},
		{"a wildcard as constraint", free, SubCARequest{Name: "x", NameConstraints: NameConstraints{Permitted: Names{DNS: []string{"*.demo.test"}}}}, "write demo.test"},
		{"a network with bits beyond its mask", free, SubCARequest{Name: "x", NameConstraints: NameConstraints{Excluded: Names{IP: []string{"10.1.0.0/8"}}}}, "write 10.0.0.0/8"},
		{"a URI as constraint", free, SubCARequest{Name: "x", NameConstraints: NameConstraints{Permitted: Names{URI: []string{"spiffe://demo.test"}}}}, "is a host"},
		{"an unknown key", free, SubCARequest{Name: "x", KeyAlgo: "dsa"}, "dsa"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := c.by.SubCA(c.r); !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
	t.Run("parts that do not belong together", func(t *testing.T) {
		if _, err := Assemble(free.key, zero.issuer, one.issuer, two.root); !errors.Is(err, certs.ErrKeyMismatch) {
			t.Error(err)
		}
		if _, err := Assemble(zero.key, zero.issuer, two.root); err == nil || !strings.Contains(err.Error(), "is not of the root CN=Two") {
			t.Error(err)
		}
		if _, err := Assemble(zero.key, zero.issuer); err == nil || !strings.Contains(err.Error(), "is no root") {
			t.Error(err)
		}
		leaf := mustIssue(t, zero, Request{Name: "leaf"})
		if _, err := Assemble(leaf.Key, leaf.Cert, zero.issuer, one.issuer, two.root); !errors.Is(err, certs.ErrNotCA) {
			t.Error(err)
		}
	})
}

func TestNameConstraints(t *testing.T) {
	root := mustRoot(t, SubCARequest{Name: "Root", PathLen: Unlimited})
	a := mustSub(t, root, SubCARequest{Name: "Constrained", NameConstraints: NameConstraints{
		Permitted: Names{DNS: []string{"Demo.test"}, IP: []string{"127.0.0.0/8", "::1"}, URI: []string{"demo.test"}, Email: []string{"demo.test"}},
		Excluded:  Names{DNS: []string{"secret.demo.test"}},
	}})
	below := mustSub(t, mustSub(t, root, SubCARequest{Name: "Top", PathLen: 1, NameConstraints: NameConstraints{Permitted: Names{DNS: []string{"demo.test"}}}}), SubCARequest{Name: "Below"})
	for _, good := range []string{"svc.demo.test", "127.0.0.1", "::1", "spiffe://demo.test/svc", "ops@demo.test"} {
		i := mustIssue(t, a, Request{Name: "svc.demo.test", SANs: []string{good}})
		if v := verifier(root, x509.ExtKeyUsageServerAuth).Verify(i.Chain, time.Now()); !v.OK() {
			t.Errorf("%s: %s", good, v.Detail)
		}
	}
	for _, wrong := range []string{"svc.other.test", "10.0.0.1", "::2", "spiffe://other.test/svc", "ops@other.test", "secret.demo.test", "a.secret.demo.test"} {
		if _, err := a.Issue(Request{Name: "svc.demo.test", SANs: []string{wrong}}); !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), "may not issue for this name") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	if _, err := below.Issue(Request{Name: "svc.other.test"}); !errors.Is(err, ErrBadRequest) {
		t.Error("a constraint higher up does not hold:", err)
	}
}
