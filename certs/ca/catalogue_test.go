package ca

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"mtlsproxy/certs"
)

// sample is the request that the cases are made for.
func sample(c Case) Request { return c.request() }

func TestEveryCaseHasExactlyItsDefect(t *testing.T) {
	t.Parallel()
	shapes := []InitOptions{{Name: "Demo"}, {Name: "Demo", NoIntermediate: true}, {Name: "Demo", KeyAlgo: RSA2048}, {Name: "Demo", KeyAlgo: Ed25519}, {Name: "Demo", KeyAlgo: ECDSAP384}}
	for _, o := range shapes {
		a := mustNew(t, o)
		for _, c := range Catalogue() {
			_, err := a.Specimen(c.Defect, sample(c))
			switch {
			case errors.Is(err, ErrBadRequest) && (o.NoIntermediate || o.KeyAlgo == Ed25519):
				t.Logf("%+v: %v", o, err)
			case err != nil:
				t.Errorf("%+v: %v", o, err)
			}
		}
	}
}

func TestProveFindsASecondDefect(t *testing.T) {
	a := mustNew(t, InitOptions{})
	spoils := map[string]func(*draft) error{
		"a second field":      dates(oneDay, 2*oneDay),
		"another serial":      negate,
		"a broken signature":  corrupt,
		"another certificate": sendJunk,
		"another key":         otherKey,
	}
	for name, more := range spoils {
		c, err := Lookup(WrongEKU)
		if err != nil {
			t.Fatal(err)
		}
		c.spoil = then(c.spoil, more)
		if _, err := a.bench().specimen(c, sample(c)); !errors.Is(err, ErrNotOneDefect) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, _ := Lookup(WrongEKU)
	c.spoil = nil
	if _, err := a.bench().specimen(c, sample(c)); !errors.Is(err, ErrNotOneDefect) {
		t.Errorf("no defect at all: %v", err)
	}
}

// The reason promised for each client is what our own verifier says.
func TestReasonsOfTheCatalogue(t *testing.T) {
	a := mustNew(t, InitOptions{Name: "Demo"})
	v := verifier(a, x509.ExtKeyUsageClientAuth)
	v.Verify(mustIssue(t, a, Request{Name: "alice", Usage: Client}).Chain, time.Now()) // learns the issuing CA
	for _, c := range Catalogue() {
		if c.Role != Client {
			continue
		}
		t.Run(string(c.Defect), func(t *testing.T) {
			s, err := a.Specimen(c.Defect, sample(c))
			if err != nil {
				t.Fatal(err)
			}
			got := verdictOf(v, s)
			if got.Fault != c.Fault() {
				t.Errorf("%s (%s), want %s", got.Fault, got.Detail, c.Reason)
			}
			if twin := verdictOf(v, &Specimen{Chain: s.Twin}); !twin.OK() {
				t.Errorf("the twin is refused: %s %s", twin.Fault, twin.Detail)
			}
		})
	}
}

func verdictOf(v certs.Verifier, s *Specimen) certs.Verdict {
	var chain []*x509.Certificate
	for _, der := range s.Chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return certs.Explain(errors.New("tls: failed to parse client certificate: "+err.Error()), nil)
		}
		chain = append(chain, c)
	}
	return v.Verify(chain, time.Now())
}

func TestCatalogueIsWhole(t *testing.T) {
	seen := map[Defect]bool{}
	for _, c := range Catalogue() {
		if seen[c.Defect] {
			t.Errorf("%s is there twice", c.Defect)
		}
		seen[c.Defect] = true
		if c.Meaning == "" || c.Reason == "" || c.Alert == "" || len(c.Verdicts) != len(Stacks()) {
			t.Errorf("%s is incomplete", c.Defect)
		}
		if (c.spoil == nil) != (len(c.Differs) == 0) {
			t.Errorf("%s differs in %v", c.Defect, c.Differs)
		}
		if (c.Role == Server) != strings.HasPrefix(string(c.Defect), "server_") || (c.Role == Server) != (c.Dial != "") {
			t.Errorf("%s is for a %s, dialled as %q", c.Defect, c.Role, c.Dial)
		}
		if (c.Reason == Accepted) != (c.Alert == Accepted) {
			t.Errorf("%s: reason %s, alert %s", c.Defect, c.Reason, c.Alert)
		}
		if library := c.LibraryAlert(); (library == "") != (c.Role == Server) || c.Role == Client && (library == Accepted) != (c.Alert == Accepted) {
			t.Errorf("%s: alert %s, by crypto/tls %q", c.Defect, c.Alert, library)
		}
		for _, alert := range append([]string{c.Alert}, verdictList(c)...) {
			if alert != Accepted && AlertCode(alert) == 0 {
				t.Errorf("%s: unknown alert %q", c.Defect, alert)
			}
		}
	}
	for _, d := range Defects() {
		if !seen[d] {
			t.Errorf("%s is missing", d)
		}
	}
	if _, err := Lookup("wrong_ek"); !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), `"wrong_eku"`) {
		t.Error(err)
	}
}

func verdictList(c Case) []string {
	var out []string
	for _, s := range Stacks() {
		out = append(out, c.Verdicts[s])
	}
	return out
}

// presented is what crypto/tls presents of a specimen, unparsed.
func presented(s *Specimen) *tls.Certificate {
	return &tls.Certificate{Certificate: s.Chain, PrivateKey: s.Key}
}
