package ca_test

import (
	"crypto/x509"
	"fmt"
	"log"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
)

func Example() {
	authority, err := ca.New(ca.InitOptions{Name: "Demo"})
	if err != nil {
		log.Fatal(err)
	}
	verifier := certs.Verifier{
		Roots: authority.Pool(),
		Usage: x509.ExtKeyUsageClientAuth,
		Seen:  new(certs.Intermediates),
	}
	alice := ca.Request{Name: "alice", SANs: []string{"spiffe://demo.test/alice"}, Usage: ca.Client}
	good, err := authority.Issue(alice)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(verifier.Verify(good.Chain, time.Now()).Fault)

	bad, err := authority.Defective(ca.NoIntermediate, alice)
	if err != nil {
		log.Fatal(err)
	}
	verdict := verifier.Verify(bad.Chain, time.Now())
	fmt.Println(verdict.Fault)
	fmt.Println(verdict.Detail)
	// Output:
	// ok
	// chain_incomplete
	// CN=alice was issued by CN=Demo Issuing, and that certificate was not sent; other chains with it led to a trusted CA
}
