package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// MaxFileSize bounds every file this package reads, in bytes. The Mozilla
// trust store is a fifth of it.
const MaxFileSize = 1 << 20

// readFile reads a regular file of at most MaxFileSize bytes.
func readFile(path string) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, osError(path, err)
	}
	// Looked at before opening: opening a named pipe would wait for its writer.
	if !info.Mode().IsRegular() {
		return nil, nil, fileErr(path, ErrNotRegular, "give a PEM file", "is a %s, not a file", kindOf(info.Mode()))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, osError(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return nil, nil, osError(path, err)
	}
	if len(data) > MaxFileSize {
		return nil, nil, fileErr(path, ErrTooLarge, "this is no certificate or key file", "is larger than %d bytes", MaxFileSize)
	}
	return data, info, nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	default:
		return "device"
	}
}

// osError turns an error of package os into one that names the path once.
func osError(path string, err error) error {
	var hint string
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint = "check the path, it is taken relative to the working directory unless it starts with /"
	case errors.Is(err, fs.ErrPermission):
		hint = "make it readable for the user the proxy runs as"
	}
	cause := err
	var pe *fs.PathError
	if errors.As(err, &pe) {
		cause = pe.Err
	}
	return &FileError{Path: path, What: cause.Error(), Hint: hint, Err: err}
}

// contents is what a PEM file was found to hold, in the order of the file.
type contents struct {
	certs   []*x509.Certificate
	keys    []*pem.Block
	ignored []string // types of other blocks
}

// parsePEM sorts the blocks of a file. It fails on the first block that cannot be
// read and on the first certificate that cannot be parsed: half a chain is worse
// than none.
func parsePEM(path string, data []byte) (*contents, error) {
	c := new(contents)
	blocks, err := PEMBlocks(path, data)
	if err != nil {
		return nil, err
	}
	for _, b := range blocks {
		switch {
		case b.Type == "CERTIFICATE" || b.Type == "X509 CERTIFICATE":
			cert, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				return nil, fileErr(path, ErrMalformed, "", "certificate %d cannot be parsed: %v", len(c.certs)+1, err)
			}
			c.certs = append(c.certs, cert)
		case strings.HasSuffix(b.Type, "PRIVATE KEY"):
			c.keys = append(c.keys, b)
		case b.Type == "EC PARAMETERS":
			// openssl ecparam -genkey writes it before the key; the key repeats it.
		default:
			c.ignored = append(c.ignored, b.Type)
		}
	}
	if len(blocks) == 0 {
		return c, notPEM(path, data)
	}
	return c, nil
}

// notPEM says what a file without PEM blocks seems to be. It returns nil for
// text, which the caller reports as holding nothing of what was looked for.
func notPEM(path string, data []byte) error {
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return nil
	case isDERCertificate(data):
		return fileErr(path, ErrNotPEM, fmt.Sprintf("convert it: openssl x509 -inform DER -in %s -out cert.pem", path), "is a DER certificate, not PEM")
	case data[0] == 0x30:
		return fileErr(path, ErrNotPEM, "convert it with openssl x509, pkey or pkcs12", "is binary (DER or PKCS #12), not PEM")
	case bytes.Contains(data, []byte("-----BEGIN")):
		return fileErr(path, ErrMalformed, "copy it again, whole lines from -----BEGIN to -----END", "has a PEM header and no readable block (truncated or edited)")
	default:
		return nil
	}
}

func isDERCertificate(data []byte) bool {
	_, err := x509.ParseCertificate(data)
	return err == nil
}

// parseKey reads a private key of PKCS #8, PKCS #1 or SEC 1.
func parseKey(path string, b *pem.Block) (crypto.Signer, error) {
	if b.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, fileErr(path, ErrKeyEncrypted, fmt.Sprintf("decrypt it: openssl pkey -in %s -out key.pem, then chmod 600 key.pem", path),
			"the private key is encrypted and there is nobody to ask for the passphrase")
	}
	if b.Type == "OPENSSH PRIVATE KEY" {
		return nil, fileErr(path, ErrMalformed, "make a TLS key: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256", "is an OpenSSH key")
	}
	key, err := x509.ParsePKCS8PrivateKey(b.Bytes)
	if err != nil {
		// The label is not trusted: files labelled "PRIVATE KEY" with PKCS #1
		// or SEC 1 inside exist.
		if rsaKey, rsaErr := x509.ParsePKCS1PrivateKey(b.Bytes); rsaErr == nil {
			key, err = rsaKey, nil
		} else if ecKey, ecErr := x509.ParseECPrivateKey(b.Bytes); ecErr == nil {
			key, err = ecKey, nil
		}
	}
	if err != nil {
		return nil, fileErr(path, ErrMalformed, "", "the private key cannot be parsed: %v", err)
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return k, nil
	case *ecdsa.PrivateKey:
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	default:
		return nil, fileErr(path, ErrMalformed, "use ECDSA, Ed25519 or RSA", "a private key of type %T cannot be used for TLS", key)
	}
}

// samePublicKey reports whether two public keys are equal.
func samePublicKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// ReadCertificates returns the certificates of a file as [ParseCertificates]
// does. Its errors are those of [LoadKeyPair] about one file.
func ReadCertificates(path string) ([]*x509.Certificate, error) {
	data, _, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return ParseCertificates(path, data)
}

// ParseCertificates returns the certificates among data, PEM or a single DER
// certificate, in their order and without judging them. name is what errors
// call the data.
func ParseCertificates(name string, data []byte) ([]*x509.Certificate, error) {
	if len(data) > MaxFileSize {
		return nil, fileErr(name, ErrTooLarge, "", "is larger than %d bytes", MaxFileSize)
	}
	if c, err := x509.ParseCertificate(data); err == nil {
		return []*x509.Certificate{c}, nil
	}
	c, err := parsePEM(name, data)
	if err != nil {
		return nil, err
	}
	if len(c.certs) == 0 {
		return nil, noBlocks(name, c, ErrNoCertificate, "CERTIFICATE")
	}
	return c.certs, nil
}
