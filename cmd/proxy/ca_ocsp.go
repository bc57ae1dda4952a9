package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs/ca"
	"mtlsproxy/certs/ca/ocsp"
	"mtlsproxy/certs/ca/store"
)

func newCAOCSPCommand() *cobra.Command {
	var (
		f            caFlags
		listen, life string
	)
	cmd := &cobra.Command{
		Use:   "ocsp",
		Short: "answer for the certificates' status over OCSP",
		Long: `ocsp answers whether certificates of this CA are good, revoked or unknown, from
the inventory as it is at that moment. It answers for the root and for CAs that
rotations have left too, as far as their keys are there.

It speaks plain HTTP, as OCSP does: the answers are signed. SIGHUP loads the
CA anew, after ca rotate; SIGTERM ends it.`,
		Example: `  proxy ca ocsp --listen 127.0.0.1:8889
  openssl ocsp -url http://127.0.0.1:8889 -CAfile ca/ca.pem -issuer ca/issuing.pem -cert alice.pem`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			good, err := ca.ParseLife(life)
			if err != nil {
				return exitWith(exUsage, err)
			}
			talk := &lines{w: cmd.ErrOrStderr()}
			load := func() (*caGeneration, error) {
				o, err := f.openStore(cmd)
				if err != nil {
					return nil, err
				}
				r, err := newOCSPResponder(o, good)
				if err != nil {
					o.close()
					return nil, err
				}
				r.Failed = func(err error) { talk.printf("%s ocsp: %v", time.Now().UTC().Format(time.RFC3339), err) }
				return &caGeneration{handler: r, close: o.close}, nil
			}
			return caServe(cmd, listen, talk, load, func(a net.Addr) {
				if !f.quiet {
					talk.printf("answering on http://%s", a)
				}
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8889", "address to listen on")
	cmd.Flags().StringVar(&life, "life", "1h", "how long an answer is good for")
	return cmd
}

func newOCSPResponder(o *openedCA, life time.Duration) (*ocsp.Responder, error) {
	all, err := o.all()
	if err != nil {
		return nil, err
	}
	s := &inventorySource{store: o.store, cas: make(map[string]*x509.Certificate)}
	var issuers []ocsp.Issuer
	for _, a := range all {
		own := a.Own()
		issuers = append(issuers, ocsp.Issuer{Cert: own.Cert, Key: own.Key})
		s.cas[own.Cert.SerialNumber.Text(16)] = own.Cert
	}
	r, err := ocsp.NewResponder(issuers, s, life)
	return r, caFailure(err)
}

// inventorySource answers from the inventory. The CAs that were made with the
// directory are not in it, and are good until it says otherwise.
type inventorySource struct {
	store *store.Store
	cas   map[string]*x509.Certificate // by serial number
}

func (s *inventorySource) Status(ctx context.Context, issuer *x509.Certificate, serial *big.Int) (ocsp.Status, error) {
	id := serial.Text(16)
	r, err := s.store.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		if c := s.cas[id]; c != nil && c.CheckSignatureFrom(issuer) == nil {
			return ocsp.Status{State: ocsp.Good}, nil
		}
		return ocsp.Status{State: ocsp.Unknown}, nil
	}
	switch {
	case err != nil:
		return ocsp.Status{}, err
	case r.IssuerKeyID != fmt.Sprintf("%x", issuer.SubjectKeyId):
		return ocsp.Status{State: ocsp.Unknown}, nil // the serial number of another CA's
	case r.RevokedAt.IsZero():
		return ocsp.Status{State: ocsp.Good}, nil
	}
	return ocsp.Status{State: ocsp.Revoked, RevokedAt: r.RevokedAt, Reason: r.Reason.Code()}, nil
}
