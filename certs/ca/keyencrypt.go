package ca

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
)

// ErrWrongPassword: the password does not open the key, or the file is damaged.
var ErrWrongPassword = errors.New("the password does not open the key")

// Parameters of PBES2 with PBKDF2 (RFC 8018). OpenSSL and GnuTLS read them.
const (
	pbkdf2Rounds    = 600_000
	maxPBKDF2Rounds = 10_000_000 // of keys that are read: a file must not keep us busy for minutes
	saltSize        = 16         // bytes
)

var (
	oidPBES2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES256CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// encryptedKey is EncryptedPrivateKeyInfo of RFC 5958, Section 3.
type encryptedKey struct {
	Algorithm struct {
		ID     asn1.ObjectIdentifier
		Params pbes2Params
	}
	Data []byte
}

type pbes2Params struct {
	Derivation struct {
		ID     asn1.ObjectIdentifier
		Params pbkdf2Params
	}
	Cipher struct {
		ID asn1.ObjectIdentifier
		IV []byte
	}
}

type pbkdf2Params struct {
	Salt   []byte
	Rounds int
	Length int `asn1:"optional"`
	Hash   pkix.AlgorithmIdentifier
}

// EncryptKey writes a key as encrypted PKCS #8 PEM: PBES2 with PBKDF2 on
// HMAC-SHA-256 and AES-256-CBC (RFC 8018). It takes some tenths of a second,
// which is the point. An empty password is refused with [ErrBadRequest].
func EncryptKey(key crypto.Signer, password []byte) ([]byte, error) {
	if len(password) == 0 {
		return nil, bad("the password of the key is empty")
	}
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var e encryptedKey
	e.Algorithm.ID = oidPBES2
	p := &e.Algorithm.Params
	p.Derivation.ID, p.Cipher.ID = oidPBKDF2, oidAES256CBC
	p.Derivation.Params = pbkdf2Params{Salt: make([]byte, saltSize), Rounds: pbkdf2Rounds, Hash: pkix.AlgorithmIdentifier{Algorithm: oidHMACSHA256, Parameters: asn1.NullRawValue}}
	p.Cipher.IV = make([]byte, aes.BlockSize)
	rand.Read(p.Derivation.Params.Salt)
	rand.Read(p.Cipher.IV)
	block, err := p.block(password)
	if err != nil {
		return nil, err
	}
	// Padding of RFC 5652, Section 6.3: as many bytes as their value says.
	n := aes.BlockSize - len(plain)%aes.BlockSize
	e.Data = append(plain, bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(block, p.Cipher.IV).CryptBlocks(e.Data, e.Data)
	der, err := asn1.Marshal(e)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), nil
}

// DecryptKey reads what [EncryptKey] writes, and what OpenSSL writes with the
// same algorithms. It fails with [ErrWrongPassword], or with an error that says
// what it cannot read.
func DecryptKey(data, password []byte) (crypto.Signer, error) {
	b, _ := pem.Decode(data)
	if b == nil || b.Type != "ENCRYPTED PRIVATE KEY" {
		return nil, errors.New("this is not an encrypted PKCS #8 key (ENCRYPTED PRIVATE KEY)")
	}
	var e encryptedKey
	if rest, err := asn1.Unmarshal(b.Bytes, &e); err != nil || len(rest) > 0 {
		return nil, errors.New("the key is not encrypted with PBES2 and PBKDF2, or is damaged")
	}
	p := &e.Algorithm.Params
	if !e.Algorithm.ID.Equal(oidPBES2) || !p.Derivation.ID.Equal(oidPBKDF2) || !p.Cipher.ID.Equal(oidAES256CBC) || !p.Derivation.Params.Hash.Algorithm.Equal(oidHMACSHA256) {
		return nil, errors.New("the key is encrypted with algorithms other than PBKDF2 on HMAC-SHA-256 and AES-256-CBC; rewrite it with openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256")
	}
	if n := p.Derivation.Params.Rounds; n < 1 || n > maxPBKDF2Rounds {
		return nil, fmt.Errorf("the key wants %d rounds of PBKDF2; the most is %d", n, maxPBKDF2Rounds)
	}
	if len(p.Cipher.IV) != aes.BlockSize || len(e.Data) == 0 || len(e.Data)%aes.BlockSize != 0 {
		return nil, ErrWrongPassword
	}
	block, err := p.block(password)
	if err != nil {
		return nil, err
	}
	cipher.NewCBCDecrypter(block, p.Cipher.IV).CryptBlocks(e.Data, e.Data)
	n := int(e.Data[len(e.Data)-1])
	if n < 1 || n > aes.BlockSize {
		return nil, ErrWrongPassword
	}
	key, err := x509.ParsePKCS8PrivateKey(e.Data[:len(e.Data)-n])
	if err != nil {
		return nil, ErrWrongPassword
	}
	signer, is := key.(crypto.Signer)
	if !is {
		return nil, fmt.Errorf("a key of the kind %T does not sign", key)
	}
	return signer, nil
}

func (p *pbes2Params) block(password []byte) (cipher.Block, error) {
	const keySize = 32 // AES-256
	k, err := pbkdf2.Key(sha256.New, string(password), p.Derivation.Params.Salt, p.Derivation.Params.Rounds, keySize)
	if err != nil {
		return nil, err
	}
	return aes.NewCipher(k)
}
