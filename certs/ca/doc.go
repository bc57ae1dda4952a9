// Package ca knows X.509 that is issued: a small authority for tests, demos and
// the machines of one team. It is not a production CA: its keys lie in files.
//
//	authority, err := ca.New(ca.InitOptions{Name: "Demo"})
//	server, err := authority.Issue(ca.Request{Name: "localhost", SANs: []string{"127.0.0.1", "::1"}, Usage: ca.Server})
//	client, err := authority.Issue(ca.Request{Name: "alice", SANs: []string{"spiffe://demo.test/alice"}, Usage: ca.Client})
//	config := &tls.Config{Certificates: []tls.Certificate{server.TLS()}, ClientCAs: authority.Pool().CertPool()}
//
// What it guarantees:
//
//   - Names are typed before anything is signed ([ParseSAN]); what could mean
//     two things is refused with the spelling that means one.
//
//   - NotBefore and NotAfter are always explicit, and a certificate does not
//     outlive its issuer unless that is asked for.
//
//   - Every certificate is parsed again and compared with the request before it
//     is returned.
//
//   - Files are written whole or not at all, keys with mode 0600 as PKCS #8, and
//     nothing is overwritten unless asked for.
//
//   - With an inventory ([Authority.SetInventory]) a certificate is recorded
//     before anybody has it.
//
//   - A request of whoever has the key ([CSR]) gets names, if it is let, and
//     nothing else: usages, life and addresses are the [Profile]'s.
//
// Authorities lie in directories ([Init], [Open], [Rotate]) or in memory ([New],
// [NewRoot], [Authority.SubCA], [Assemble]). What happens to certificates later is
// here as well: [Renewal], [Authority.CRL]; the inventory itself, the OCSP
// responder and remote signing are packages of their own below this one.
//
// It is the one package that imports cfssl, and cfssl is reached through one
// file, cfssl.go: requests and signatures by profile are cfssl's, while keys and
// deliberately defective certificates ([Authority.Defective]) are made with
// crypto/x509 directly.
//
// An [Authority] may be used concurrently; an [Issued] does not change.
package ca
