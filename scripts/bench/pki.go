package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pki are the files of one throwaway CA, all ECDSA P-256: what every peer is
// given and what the load generator presents.
type pki struct {
	CA      string // certificate of the CA that both sides trust
	Cert    string // the server's certificate
	Key     string // and its key
	CertKey string // both in one file, as some programs want it

	ClientCert, ClientKey string
}

// makePKI writes the files into dir, which must exist. They are good for a day.
func makePKI(dir string) (pki, error) {
	files := pki{
		CA:         filepath.Join(dir, "ca.pem"),
		Cert:       filepath.Join(dir, "server.pem"),
		Key:        filepath.Join(dir, "server-key.pem"),
		CertKey:    filepath.Join(dir, "server-both.pem"),
		ClientCert: filepath.Join(dir, "client.pem"),
		ClientKey:  filepath.Join(dir, "client-key.pem"),
	}
	root := certificate(1, "Benchmark CA")
	root.IsCA = true
	root.KeyUsage = x509.KeyUsageCertSign
	rootKey, err := newKey()
	if err != nil {
		return pki{}, err
	}
	rootPEM, err := sign(root, root, rootKey, rootKey)
	if err != nil {
		return pki{}, err
	}
	if err := os.WriteFile(files.CA, rootPEM, 0o644); err != nil {
		return pki{}, err
	}

	server := certificate(2, "localhost")
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.DNSNames = []string{"localhost"}
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	if err := issue(server, root, rootKey, files.Cert, files.Key, files.CertKey); err != nil {
		return pki{}, err
	}
	client := certificate(3, "load")
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return files, issue(client, root, rootKey, files.ClientCert, files.ClientKey, "")
}

func certificate(serial int64, name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func sign(c, issuer *x509.Certificate, key, issuerKey *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		return nil, fmt.Errorf("certificate of %q: %w", c.Subject.CommonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// issue makes a key and a certificate for it and writes them, also into one
// file if bothFile is not empty.
func issue(c, issuer *x509.Certificate, issuerKey *ecdsa.PrivateKey, certFile, keyFile, bothFile string) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	certPEM, err := sign(c, issuer, key, issuerKey)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(certFile, certPEM, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(keyFile, keyPEM, 0o600); err != nil {
		return err
	}
	if bothFile == "" {
		return nil
	}
	return os.WriteFile(bothFile, append(certPEM, keyPEM...), 0o600)
}
