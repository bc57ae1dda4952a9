package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs"
	"mtlsproxy/configs"
	"mtlsproxy/policy"
	"mtlsproxy/proxy/tlswire"
)

func newPolicyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "say who would be let in, and why",
		RunE:  runGroup,
	}
	cmd.AddCommand(newPolicyCheckCommand(), newPolicyTestCommand(), newPolicyShowCommand())
	return cmd
}

// loadPolicy reads the configuration of cmd and makes its policies. What is wrong
// with it is printed.
func loadPolicy(cmd *cobra.Command) (*offlinePolicy, error) {
	_, loaded, err := (configCommand{source: configSource}).load(cmd)
	if err != nil {
		return nil, err
	}
	o := newOfflinePolicy(loaded.Config, time.Now())
	for i, f := range o.plan.findings {
		o.plan.findings[i] = loaded.Locate(f)
	}
	configs.SortFindings(o.plan.findings)
	if n, _ := configs.Count(o.plan.findings); n > 0 {
		if err := writeFindings(cmd.ErrOrStderr(), o.plan.findings); err != nil {
			return nil, err
		}
		return nil, exitWith(exConfig, nil)
	}
	return o, nil
}

// offlinePolicy holds the policies of a configuration, to be asked without
// opening a socket. The responders of OCSP are not asked.
type offlinePolicy struct {
	cfg    *configs.Config
	plan   *policyPlan
	own    map[string]*policy.ClientAuth
	byName map[string]*policy.ByName
}

func newOfflinePolicy(cfg *configs.Config, now time.Time) *offlinePolicy {
	o := &offlinePolicy{cfg: cfg, plan: planPolicy(cfg, nil, now), own: make(map[string]*policy.ClientAuth), byName: make(map[string]*policy.ByName)}
	for _, name := range cfg.ListenerNames() {
		a, named := o.plan.listener(name, nil)
		byName, _ := policy.NewByName(&a, named) // what is wrong with it is among the findings
		o.own[name], o.byName[name] = &a, byName
	}
	return o
}

// A question is a client that may come.
type question struct {
	listener string // may be empty where there is one
	chain    []*x509.Certificate
	sni      string
	alpn     string
	version  uint16
	client   netip.Addr
	at       time.Time
}

// A policyAnswer is what would become of a client.
type policyAnswer struct {
	Allowed     bool       `json:"allowed"`
	Reported    bool       `json:"reported,omitempty"` // would pass only because the policy is not enforced
	Listener    string     `json:"listener"`
	ServerNames string     `json:"server_names,omitempty"` // the entry whose policy decided
	Reason      string     `json:"reason"`
	Detail      string     `json:"detail,omitempty"`
	Auth        string     `json:"auth"`
	Identity    string     `json:"identity,omitempty"`
	Chain       string     `json:"chain"` // ok, or the fault
	ChainDetail string     `json:"chain_detail,omitempty"`
	Revocation  string     `json:"revocation,omitempty"`
	RevDetail   string     `json:"revocation_detail,omitempty"`
	OCSP        string     `json:"ocsp,omitempty"` // not_asked where it would be
	Rule        string     `json:"rule,omitempty"`
	Action      string     `json:"action,omitempty"`
	Nearest     string     `json:"nearest_rule,omitempty"`
	Lacked      string     `json:"lacked,omitempty"`
	Alert       *alertForm `json:"alert,omitempty"`
}

type alertForm struct {
	Code uint8  `json:"code"`
	Name string `json:"name"`
}

// ask decides about one client. It fails for a listener that does not exist.
func (o *offlinePolicy) ask(q question) (policyAnswer, error) {
	names := o.cfg.ListenerNames()
	if q.listener == "" && len(names) == 1 {
		q.listener = names[0]
	}
	a, ok := o.own[q.listener]
	switch {
	case q.listener == "":
		return policyAnswer{}, fmt.Errorf("there are several listeners: say which with --listener (%s)", strings.Join(names, ", "))
	case !ok:
		return policyAnswer{}, fmt.Errorf("no listener is called %q: there are %s", q.listener, strings.Join(names, ", "))
	}
	if b := o.byName[q.listener]; b != nil {
		a = b.Select(q.sni)
	}
	cs := &tls.ConnectionState{Version: q.version, PeerCertificates: q.chain, ServerName: q.sni, NegotiatedProtocol: q.alpn}
	if a.Mode == policy.None {
		cs.PeerCertificates = nil // never asked for, so never sent
	}
	d := a.JudgeFrom(q.client, cs, q.at)
	out := policyAnswer{
		Allowed: d.Allowed, Reported: d.Reported, Listener: q.listener, ServerNames: a.Name, Reason: d.Reason(), Detail: d.Detail(),
		Auth: string(d.Standing), Identity: d.Identity, Chain: "none", Revocation: string(d.Revocation.Status), RevDetail: d.Revocation.Detail,
		Rule: d.Rule, Action: string(d.RuleAction), Nearest: d.Nearest, Lacked: d.Lacked,
	}
	if len(cs.PeerCertificates) > 0 {
		out.Chain, out.ChainDetail = d.Verdict.Fault.String(), d.Verdict.Detail
		if a.OCSP != nil && d.Standing == policy.Verified {
			out.OCSP = "not_asked"
		}
	}
	if d.Alert != 0 {
		out.Alert = &alertForm{d.Alert, tlswire.AlertDescription(d.Alert).String()}
	}
	return out, nil
}

// print writes an answer for people.
func (a *policyAnswer) print(w io.Writer) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			fmt.Fprintf(&b, "%-10s %s\n", name, text)
		}
	}
	verdict := "refused"
	switch {
	case a.Reported:
		verdict = "allowed, but only because enforcement is report"
	case a.Allowed:
		verdict = "allowed"
	}
	row("verdict", "%s", verdict)
	if a.Reason != "ok" {
		row("reason", "%s", a.Reason)
		row("detail", "%s", a.Detail)
	}
	policyOf := a.Listener
	if a.ServerNames != "" {
		policyOf += ", server_names." + a.ServerNames
	}
	row("listener", "%s", policyOf)
	row("identity", "%s", a.Identity)
	row("chain", "%s", withDetail(a.Chain, a.ChainDetail))
	row("revocation", "%s", withDetail(a.Revocation, a.RevDetail))
	if a.OCSP != "" {
		row("ocsp", "not asked here; the proxy asks once the handshake is finished")
	}
	if a.Rule != "" {
		row("rule", "%s (%s)", a.Rule, a.Action)
	}
	if a.Nearest != "" {
		row("nearest", "%s: %s", a.Nearest, a.Lacked)
	}
	if a.Alert != nil {
		row("alert", "%s (%d)", a.Alert.Name, a.Alert.Code)
	}
	return write(w, []byte(b.String()))
}

func withDetail(word, detail string) string {
	if detail == "" {
		return word
	}
	return word + ": " + detail
}

func newPolicyCheckCommand() *cobra.Command {
	var file, sni, ip, listener, alpn, version, at, output string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "say what would become of a client with this certificate",
		Long: `check judges a certificate as the proxy would, without opening a socket: whether
its chain stands, whether a revocation list names it, which rule decides, and
which alert a client would see. It exits 0 if the client may pass, 1 if not.

The file holds what the client would send: its certificate, then the
intermediates. Without --cert the client has none.`,
		Example: "  proxy policy check -c proxy.yaml --cert alice.pem --sni api.example --ip 192.0.2.7",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			q, err := expectation{Cert: file, SNI: sni, IP: ip, Listener: listener, ALPN: alpn, TLSVersion: version, At: at}.question("", time.Now())
			if err != nil {
				return err
			}
			o, err := loadPolicy(cmd)
			if err != nil {
				return err
			}
			a, err := o.ask(q)
			if err != nil {
				return exitWith(exUsage, err)
			}
			if output == "json" {
				err = writeJSONTo(cmd.OutOrStdout(), a)
			} else {
				err = a.print(cmd.OutOrStdout())
			}
			if err == nil && !a.Allowed {
				err = exitWith(exNo, nil)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "cert", "", "the client's certificate, then its intermediates")
	f.StringVar(&sni, "sni", "", "the server name the client asks for")
	f.StringVar(&ip, "ip", "", "the client's address")
	f.StringVar(&listener, "listener", "", "the listener it comes to; needed where there are several")
	f.StringVar(&alpn, "alpn", "", "the application protocol that is negotiated")
	f.StringVar(&version, "tls", "1.3", "the TLS version that is negotiated: 1.2 or 1.3")
	f.StringVar(&at, "at", "", "the time it comes at, RFC 3339; now if left out")
	complete(cmd, "tls", "1.2", "1.3")
	addOutput(cmd, &output, "text", "json")
	return cmd
}

// chainOfFile reads what a client would send.
func chainOfFile(path string) ([]*x509.Certificate, error) {
	if path == "" {
		return nil, nil
	}
	chain, err := certs.ReadCertificates(path)
	if err != nil {
		return nil, caFailure(err)
	}
	return chain, nil
}
