package ca

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// TrustPKCS12 returns roots as a PKCS #12 trust store, which Java reads.
func TrustPKCS12(roots []*x509.Certificate, password string) ([]byte, error) {
	data, err := pkcs12.Modern.EncodeTrustStore(roots, password)
	if err != nil {
		return nil, fmt.Errorf("making the PKCS #12 file: %w", err)
	}
	return data, nil
}

// TrustJKS returns roots as a Java key store of trusted certificates. The
// password has at least 6 characters; a shorter one gives an error that matches
// [ErrBadRequest].
func TrustJKS(roots []*x509.Certificate, password string) ([]byte, error) {
	if len(password) < minJKSPassword {
		return nil, bad("the password of a Java key store has at least %d characters", minJKSPassword)
	}
	ks := keystore.New()
	for n, c := range roots {
		entry := keystore.TrustedCertificateEntry{CreationTime: time.Now(), Certificate: keystore.Certificate{Type: "X509", Content: c.Raw}}
		if err := ks.SetTrustedCertificateEntry(fmt.Sprintf("root-%d", n+1), entry); err != nil {
			return nil, fmt.Errorf("making the Java key store: %w", err)
		}
	}
	var out bytes.Buffer
	if err := ks.Store(&out, []byte(password)); err != nil {
		return nil, fmt.Errorf("making the Java key store: %w", err)
	}
	return out.Bytes(), nil
}

// TrustPEM returns roots as PEM.
func TrustPEM(roots []*x509.Certificate) []byte { return certPEM(roots...) }

// WriteTrust writes a trust store, which the whole world may read.
func WriteTrust(path string, data []byte, force bool) error {
	return writeAll([]file{{path, data, certMode}}, force)
}
