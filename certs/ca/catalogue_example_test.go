package ca_test

import (
	"fmt"
	"log"
	"strings"

	"mtlsproxy/certs/ca"
)

// What comes of one bad certificate, and who minds.
func ExampleLookup() {
	c, err := ca.Lookup("eku_any")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Meaning)
	for _, s := range ca.Stacks() {
		fmt.Printf("%-14s %s\n", s, c.Verdicts[s])
	}
	fmt.Println("differs from its twin in:", strings.Join(c.Differs, " "))
	// Output:
	// its extended key usage is anyExtendedKeyUsage
	// go             ok
	// openssl        unsupported_certificate
	// openssl_strict unsupported_certificate
	// gnutls         ok
	// differs from its twin in: leaf.extKeyUsage
}

// A case made for names of one's own, with its good twin beside it.
func ExampleAuthority_Specimen() {
	authority, err := ca.New(ca.InitOptions{Name: "Demo"})
	if err != nil {
		log.Fatal(err)
	}
	s, err := authority.Specimen("pathlen_exceeded", ca.Request{Name: "alice", Usage: ca.Client})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(s.Chain), "certificates are sent;", s.Case.Meaning)
	fmt.Println("proved:", ca.Prove(s) == nil)
	// Output:
	// 3 certificates are sent; a CA stands below one that allows none below it
	// proved: true
}

// What is wrong in a manifest is said with its place.
func ExampleParseManifest() {
	_, err := ca.ParseManifest("pki.yaml", []byte(`
authorities:
  root: {pathlen: 1}
certificates:
  web: {issuer: rot, for: server, sans: [localhost:8443]}
`))
	fmt.Println(err)
	// Output:
	// pki.yaml:3:10: unknown key "pathlen" in the authority root; did you mean "path_len"?
	// pki.yaml:5:42: "localhost:8443" has a port; certificates name hosts, write localhost
}
