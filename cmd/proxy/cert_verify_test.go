package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mtlsproxy/certs/ca"
)

// The predictions are what the programs said when the catalogue was measured,
// and TestClientsBeforeServers of certs/ca holds those against the programs.
func TestPredictionsAreThoseOfTheCatalogue(t *testing.T) {
	a, err := ca.New(ca.InitOptions{Name: "Demo"})
	if err != nil {
		t.Fatal(err)
	}
	set, err := a.Badset(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range set.Specimens {
		t.Run(string(s.Case.Defect), func(t *testing.T) {
			c := newChainCase(s.Chain, a.Pool(), time.Now())
			c.role, c.host = s.Case.Role, s.Case.Dial
			v := c.judge()
			switch s.Case.Defect {
			case "revoked", "key_mismatch":
				return // not a matter of the chain
			}
			for _, stack := range ca.Stacks() {
				if got, want := v.Verdicts[stack].Verdict, s.Case.Verdicts[stack]; got != want {
					t.Errorf("%s: %s (%s), the catalogue says %s", stack, got, v.Verdicts[stack].Why, want)
				}
			}
			if s.Case.Role == ca.Client {
				want := s.Case.Reason
				switch s.Case.Defect {
				case ca.NoIntermediate:
					want = "client_ca_unknown" // there is no memory here
				}
				if v.Reason != want || v.OK != (want == ca.Accepted) {
					t.Errorf("reason %s (%s), want %s", v.Reason, v.Detail, want)
				}
			}
			failed := false
			for _, r := range v.Rules {
				failed = failed || r.Result == "fails"
			}
			if failed == v.OK {
				t.Errorf("OK is %t and the rules are %+v", v.OK, v.Rules)
			}
			// The twin stands everywhere.
			twin := newChainCase(s.Twin, a.Pool(), time.Now())
			twin.role, twin.host = s.Case.Role, s.Case.Dial
			for stack, say := range twin.judge().Verdicts {
				if say.Verdict != ca.Accepted {
					t.Errorf("the twin before %s: %+v", stack, say)
				}
			}
		})
	}
}

func TestVerifyAtAnotherTime(t *testing.T) {
	a, err := ca.New(ca.InitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i, err := a.Issue(ca.Request{Name: "alice", Usage: ca.Client})
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Duration]string{0: "ok", 40 * 24 * time.Hour: "client_cert_expired", -time.Hour: "client_cert_not_yet_valid"} {
		var chain [][]byte
		for _, c := range i.Chain {
			chain = append(chain, c.Raw)
		}
		c := newChainCase(chain, a.Pool(), time.Now().Add(at))
		c.as("")
		if v := c.judge(); v.Reason != want || v.As != "client" {
			t.Errorf("after %v: %s %s", at, v.Reason, v.As)
		}
	}
}

func TestCertVerifyJSONIsStable(t *testing.T) {
	dir := t.TempDir()
	var talk strings.Builder
	if code := execute([]string{"ca", "badset", "--out", dir, "--force"}, strings.NewReader(""), &talk, &talk); code != 0 {
		t.Fatal(code)
	}
	var out strings.Builder
	if code := execute([]string{"cert", "verify", filepath.Join(dir, "expired.pem"), "--ca", filepath.Join(dir, "ca.pem"), "-o", "json"}, strings.NewReader(""), &out, os.Stderr); code != exNo {
		t.Errorf("exit code %d", code)
	}
	var v struct {
		OK       *bool
		Reason   string
		Rules    []struct{ Rule, Result string }
		Verdicts map[string]struct{ Verdict string }
	}
	if err := json.Unmarshal([]byte(out.String()), &v); err != nil {
		t.Fatal(err)
	}
	if v.OK == nil || *v.OK || v.Reason != "client_cert_expired" || len(v.Rules) != len(ruleNames) || v.Verdicts["gnutls"].Verdict != "access_denied" {
		t.Errorf("%s", out.String())
	}
}
