package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
)

// issueReport is the JSON of cert issue and cert renew.
type issueReport struct {
	ca.Files
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Serial    string    `json:"serial"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	SANs      []string  `json:"sans"`
	Usage     string    `json:"usage"`
	SHA256    string    `json:"sha256"`
	CA        string    `json:"ca"` // what a verifier must trust
}

func newIssueReport(a *ca.Authority, issued *ca.Issued, files ca.Files, usage ca.Usage) issueReport {
	d := certs.Describe(issued.Cert)
	r := issueReport{
		Files: files, Subject: d.Subject, Issuer: d.Issuer, Serial: d.Serial, NotBefore: d.NotBefore, NotAfter: d.NotAfter,
		SANs: d.SANs, Usage: usage.String(), SHA256: d.SHA256, CA: a.Paths().Root,
	}
	if issued.Cert.IsCA {
		r.Usage = "ca"
	}
	if r.SANs == nil {
		r.SANs = []string{}
	}
	return r
}

func (f *issueFlags) report(cmd *cobra.Command, a *ca.Authority, issued *ca.Issued, files ca.Files) error {
	usage := f.granted()
	r := newIssueReport(a, issued, files, usage)
	talk := f.talk(cmd)
	made := files.Cert
	if files.Key != "" {
		made += " and " + files.Key
	}
	purpose := usageWords(usage)
	if issued.Cert.IsCA {
		purpose = "a CA"
	}
	fmt.Fprintf(talk, "%s: %s, for %s, valid until %s\n", made, r.Subject, purpose, r.NotAfter.Format("2006-01-02 15:04:05 MST"))
	sayHowToUse(talk, a.Paths(), files, usage, issued.Cert.IsCA)
	if f.output != "json" {
		return nil
	}
	return writeJSONTo(cmd.OutOrStdout(), r)
}

// granted is what the certificate is for in the end.
func (f *issueFlags) granted() ca.Usage {
	if f.chosen != nil {
		return f.chosen.Usage()
	}
	return f.usage()
}

// sayHowToUse prints lines to paste.
func sayHowToUse(talk io.Writer, paths ca.Paths, files ca.Files, usage ca.Usage, isCA bool) {
	root, cert, chain := shellWord(paths.Root), shellWord(files.Cert), shellWord(files.Chain)
	verify := "openssl verify -CAfile " + root
	if paths.Issuing != "" && !isCA {
		verify += " -untrusted " + shellWord(paths.Issuing)
	}
	fmt.Fprintf(talk, "check: %s %s\n", verify, cert)
	if isCA {
		return
	}
	key := shellWord(files.Key)
	if files.Key == "" {
		key = "KEY" // its owner knows where
	}
	// openssl sends the first certificate of -cert alone, so the chain is named too.
	switch usage {
	case ca.Client:
		fmt.Fprintf(talk, "use:   curl --cacert %s --cert %s --key %s https://localhost:8443/\n", root, cert, key)
		fmt.Fprintf(talk, "use:   openssl s_client -connect localhost:8443 -CAfile %s -cert %s -cert_chain %s -key %s\n", root, cert, chain, key)
		fmt.Fprintf(talk, "use:   gnutls-cli -p 8443 --x509cafile %s --x509certfile %s --x509keyfile %s localhost\n", root, chain, key)
	case 0:
	default:
		fmt.Fprintf(talk, "use:   proxy run --listen 127.0.0.1:8443 --upstream 127.0.0.1:9000 --cert %s --key %s --client-ca %s --client-auth require\n", cert, key, root)
		fmt.Fprintf(talk, "use:   openssl s_server -accept 8443 -cert %s -cert_chain %s -key %s -CAfile %s -Verify 5\n", cert, chain, key, root)
	}
}

func usageWords(u ca.Usage) string {
	switch u {
	case ca.Both:
		return "servers and clients"
	case 0:
		return "neither servers nor clients"
	}
	return u.String() + "s"
}
