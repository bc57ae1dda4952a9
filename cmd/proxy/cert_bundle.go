package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mtlsproxy/certs"
)

func newCertBundleCommand() *cobra.Command {
	var (
		root, out string
		force     bool
	)
	cmd := &cobra.Command{
		Use:   "bundle LEAF [INTERMEDIATES...]",
		Short: "put a certificate and its intermediates in order into one file",
		Long: `bundle takes the first certificate of LEAF and finds the way up through all other
certificates given: each once, each signed by the next, without the root, which
verifiers have. It refuses what is no chain: a link that is missing, a
certificate that belongs to another chain. With --root the chain must end there.`,
		Example: `  proxy cert bundle alice.pem issuing.pem >alice-chain.pem
  proxy cert bundle alice.pem cas.pem --root ca.pem --out alice-chain.pem`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b := &bundler{}
			for _, path := range args {
				if err := b.add(path); err != nil {
					return caFailure(err)
				}
			}
			if root != "" {
				var err error
				if b.roots, err = certs.ReadCertificates(root); err != nil {
					return caFailure(err)
				}
			}
			chain, err := b.chain()
			if err != nil {
				return exitWith(exNo, err)
			}
			for _, note := range b.notes {
				fmt.Fprintln(cmd.ErrOrStderr(), note)
			}
			return writeBundle(cmd, chain, out, force)
		},
	}
	f := cmd.Flags()
	f.StringVar(&root, "root", "", "file with the root that the chain must lead to")
	f.StringVar(&out, "out", "", "file to write (default: the standard output)")
	f.BoolVar(&force, "force", false, "overwrite")
	return cmd
}

// A bundler finds the chain of the first certificate it was given.
type bundler struct {
	leaf   *x509.Certificate
	others []*x509.Certificate // each once
	roots  []*x509.Certificate
	notes  []string
}

func (b *bundler) add(path string) error {
	all, err := certs.ReadCertificates(path)
	if err != nil {
		return err
	}
	for _, c := range all {
		switch {
		case b.leaf == nil:
			b.leaf = c
		case c.Equal(b.leaf):
		case !slices.ContainsFunc(b.others, c.Equal):
			b.others = append(b.others, c)
		}
	}
	return nil
}

func selfSigned(c *x509.Certificate) bool { return signedBy(c, c) }

// chain returns the leaf and its intermediates in order.
func (b *bundler) chain() ([]*x509.Certificate, error) {
	if b.leaf.IsCA && len(b.others) > 0 && slices.ContainsFunc(b.others, func(c *x509.Certificate) bool { return signedBy(c, b.leaf) }) {
		return nil, fmt.Errorf("the first certificate, %s, is the CA of another one; give the leaf first", certs.Subject(b.leaf))
	}
	way, root := b.up([]*x509.Certificate{b.leaf})
	last := way[len(way)-1]
	switch {
	case root == nil && len(b.roots) > 0:
		return nil, fmt.Errorf("the chain does not lead to the root: %s was issued by %s, which is not among the files", certs.Subject(last), certs.Printable(last.Issuer.String()))
	case root == nil && b.startsElsewhere(last):
		return nil, fmt.Errorf("a link is missing: %s was issued by %s, and none of the others is that CA", certs.Subject(last), certs.Printable(last.Issuer.String()))
	case root == nil && !selfSigned(last):
		b.notes = append(b.notes, fmt.Sprintf("the chain ends at %s; verifiers must trust its issuer, %s", certs.Subject(last), certs.Printable(last.Issuer.String())))
	}
	if len(way) > 1 && selfSigned(last) {
		way = way[:len(way)-1]
	}
	return b.leaveOut(way, root)
}

// up goes on from the end of a way, and prefers a way that reaches a root.
func (b *bundler) up(way []*x509.Certificate) (best []*x509.Certificate, root *x509.Certificate) {
	last := way[len(way)-1]
	best = way
	for _, r := range b.roots {
		if last.Equal(r) || signedBy(last, r) {
			return way, r
		}
	}
	if selfSigned(last) || len(way) > 16 {
		return way, nil
	}
	for _, c := range b.others {
		if slices.ContainsFunc(way, c.Equal) || !signedBy(last, c) {
			continue
		}
		longer, root := b.up(append(slices.Clip(way), c))
		if root != nil {
			return longer, root
		}
		if len(longer) > len(best) {
			best = longer
		}
	}
	return best, nil
}

// startsElsewhere reports whether there are CAs that the way did not use: then
// it has not just ended below the root.
func (b *bundler) startsElsewhere(last *x509.Certificate) bool {
	return last.Equal(b.leaf) && len(b.others) > 0 && !selfSigned(last)
}

// leaveOut judges what is not on the way: a root and its cross certificate are
// understood, anything else is a mistake.
func (b *bundler) leaveOut(way []*x509.Certificate, root *x509.Certificate) ([]*x509.Certificate, error) {
	for _, c := range b.others {
		switch {
		case slices.ContainsFunc(way, c.Equal):
		case selfSigned(c) && signedBy(way[len(way)-1], c):
			b.notes = append(b.notes, fmt.Sprintf("the root %s was left out; verifiers have it", certs.Subject(c)))
		case root != nil && !selfSigned(c) && samePublicKeys(c, root):
			b.notes = append(b.notes, fmt.Sprintf("the cross certificate of %s is sent along", certs.Subject(c)))
			way = append(way, c)
		default:
			return nil, fmt.Errorf("%s (issued by %s) is not in the chain of %s; leave it out", certs.Subject(c), certs.Printable(c.Issuer.String()), certs.Subject(b.leaf))
		}
	}
	return way, nil
}

func writeBundle(cmd *cobra.Command, chain []*x509.Certificate, out string, force bool) error {
	var text []byte
	var names []string
	for _, c := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		names = append(names, certs.Subject(c))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d certificates: %s\n", len(chain), strings.Join(names, " <- "))
	if out == "" || out == "-" {
		return write(cmd.OutOrStdout(), text)
	}
	if _, err := os.Lstat(out); err == nil && !force {
		return exitWith(exCantCreat, fmt.Errorf("%s: %w; nothing was touched, give another --out or --force", out, fs.ErrExist))
	}
	if err := writeFileAtomic(out, text, 0o644); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return exitWith(exCantCreat, err)
		}
		return caFailure(err)
	}
	return nil
}
