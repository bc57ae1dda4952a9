package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// minJKSPassword is what keytool asks for, in characters.
const minJKSPassword = 6

// PKCS12 returns certificate, chain and key as PKCS #12 (RFC 7292), encrypted
// with AES-256 and SHA-256. If legacy is set it is 3DES and SHA-1, for programs
// that read nothing else: Java before 8u301, Windows before 10, macOS. The chain
// does not hold the root. A certificate without its key gives an error that
// matches [ErrBadRequest].
func (i *Issued) PKCS12(password string, legacy bool) ([]byte, error) {
	if err := i.bundles(); err != nil {
		return nil, err
	}
	encoder := pkcs12.Modern
	if legacy {
		encoder = pkcs12.LegacyDES
	}
	data, err := encoder.Encode(i.Key, i.Cert, i.Chain[1:], password)
	if err != nil {
		return nil, fmt.Errorf("making the PKCS #12 file: %w", err)
	}
	key, cert, chain, err := pkcs12.DecodeChain(data, password)
	if err != nil {
		return nil, fmt.Errorf("reading the PKCS #12 file back: %w", err)
	}
	if k, is := key.(crypto.Signer); !is || !samePublicKey(k.Public(), i.Cert.PublicKey) || !cert.Equal(i.Cert) || len(chain) != len(i.Chain)-1 {
		return nil, fmt.Errorf("%w: the PKCS #12 file", errDiffers)
	}
	return data, nil
}

// JKS returns certificate, chain and key as a Java key store under the alias.
// The password is that of the store and of the key and has at least 6 characters.
func (i *Issued) JKS(password, alias string) ([]byte, error) {
	if err := i.bundles(); err != nil {
		return nil, err
	}
	if len(password) < minJKSPassword {
		return nil, bad("the password of a Java key store has at least %d characters", minJKSPassword)
	}
	der, err := x509.MarshalPKCS8PrivateKey(i.Key)
	if err != nil {
		return nil, err
	}
	entry := keystore.PrivateKeyEntry{CreationTime: time.Now(), PrivateKey: der}
	for _, c := range i.Chain {
		entry.CertificateChain = append(entry.CertificateChain, keystore.Certificate{Type: "X509", Content: c.Raw})
	}
	ks := keystore.New()
	if err := ks.SetPrivateKeyEntry(alias, entry, []byte(password)); err != nil {
		return nil, fmt.Errorf("making the Java key store: %w", err)
	}
	var out bytes.Buffer
	if err := ks.Store(&out, []byte(password)); err != nil {
		return nil, fmt.Errorf("making the Java key store: %w", err)
	}
	return out.Bytes(), nil
}

func (i *Issued) bundles() error {
	if i.Key == nil {
		return bad("the key is not known here, so it cannot be put into a file with its certificate")
	}
	return nil
}

// WriteOptions say what [Issued.WriteAll] writes besides the PEM files.
type WriteOptions struct {
	// Force replaces files that are there.
	Force bool

	// KeyPassword encrypts STEM-key.pem. If empty, it is not encrypted.
	KeyPassword []byte

	// P12 and JKS add STEM.p12 and STEM.jks, encrypted with BundlePassword.
	// LegacyP12 chooses the old algorithms.
	P12, LegacyP12, JKS bool
	BundlePassword      string

	// KeepKey writes no key: the file is there.
	KeepKey bool
}

// WriteAll is [Issued.Write] with more to choose.
func (i *Issued) WriteAll(stem string, o WriteOptions) (Files, error) {
	f, chain := FilesFor(stem), i.CertPEM()
	var files []file
	if i.Key == nil {
		f.Key = ""
	}
	if i.Key != nil && !o.KeepKey {
		key, err := i.keyText(o.KeyPassword)
		if err != nil {
			return Files{}, err
		}
		files = append(files, file{f.Key, key, keyMode})
	}
	if o.P12 {
		data, err := i.PKCS12(o.BundlePassword, o.LegacyP12)
		if err != nil {
			return Files{}, err
		}
		f.P12 = stem + ".p12"
		files = append(files, file{f.P12, data, keyMode})
	}
	if o.JKS {
		data, err := i.JKS(o.BundlePassword, "1")
		if err != nil {
			return Files{}, err
		}
		f.JKS = stem + ".jks"
		files = append(files, file{f.JKS, data, keyMode})
	}
	return f, writeAll(append(files, file{f.Chain, chain, certMode}, file{f.Cert, chain, certMode}), o.Force)
}

func (i *Issued) keyText(password []byte) ([]byte, error) {
	if len(password) > 0 {
		return EncryptKey(i.Key, password)
	}
	return i.KeyPEM()
}

// EncryptedPEM reports whether PEM text holds an encrypted key.
func EncryptedPEM(data []byte) bool {
	b, _ := pem.Decode(data)
	return b != nil && (b.Type == "ENCRYPTED PRIVATE KEY" || b.Headers["DEK-Info"] != "")
}
