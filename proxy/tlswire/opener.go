package tlswire

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"encoding/binary"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// recordCipher is how a suite protects records.
type recordCipher struct {
	mode   cipherMode
	keyLen int // bytes
	ivLen  int // bytes taken from the key block of TLS 1.2
	macLen int // bytes, CBC only
}

type cipherMode uint8

const (
	modeUnknown cipherMode = iota // no suite we can open
	modeGCM
	modeChaCha20
	modeAESCBC
	mode3DESCBC
)

// recordCipher reads c's record protection from its name.
func (c CipherSuite) recordCipher() recordCipher {
	name := c.Name()
	if _, after, ok := strings.Cut(name, "_WITH_"); ok {
		name = after
	} else {
		name = strings.TrimPrefix(name, "TLS_")
	}
	switch name {
	case "AES_128_GCM_SHA256":
		return recordCipher{mode: modeGCM, keyLen: 16, ivLen: 4}
	case "AES_256_GCM_SHA384":
		return recordCipher{mode: modeGCM, keyLen: 32, ivLen: 4}
	case "CHACHA20_POLY1305_SHA256":
		return recordCipher{mode: modeChaCha20, keyLen: 32, ivLen: 12}
	case "AES_128_CBC_SHA":
		return recordCipher{mode: modeAESCBC, keyLen: 16, macLen: 20}
	case "AES_256_CBC_SHA":
		return recordCipher{mode: modeAESCBC, keyLen: 32, macLen: 20}
	case "AES_128_CBC_SHA256":
		return recordCipher{mode: modeAESCBC, keyLen: 16, macLen: 32}
	case "AES_256_CBC_SHA256":
		return recordCipher{mode: modeAESCBC, keyLen: 32, macLen: 32}
	case "AES_256_CBC_SHA384":
		return recordCipher{mode: modeAESCBC, keyLen: 32, macLen: 48}
	case "3DES_EDE_CBC_SHA":
		return recordCipher{mode: mode3DESCBC, keyLen: 24, macLen: 20}
	}
	return recordCipher{}
}

// opener removes the protection of one direction's records under one key. Its
// zero value opens nothing.
type opener struct {
	recordCipher
	tls13          bool
	encryptThenMAC bool // RFC 7366
	aead           cipher.AEAD
	block          cipher.Block // CBC
	iv             [12]byte

	// Arguments of calls through interfaces, kept here so that they do not
	// have to be allocated for each.
	nonce [12]byte
	aad   [13]byte
}

func (o *opener) ready() bool { return o.aead != nil || o.block != nil }

// set13 takes the key and IV of a traffic secret: RFC 8446, Section 7.3.
func (o *opener) set13(suite CipherSuite, secret []byte) bool {
	*o = opener{tls13: true, recordCipher: suite.recordCipher()}
	h := suite.hash()
	if len(secret) != h.Size() || o.mode != modeGCM && o.mode != modeChaCha20 {
		return false
	}
	var key [32]byte
	expandLabel(h, o.iv[:], secret, "iv")
	expandLabel(h, key[:o.keyLen], secret, "key")
	ok := o.setKey(key[:o.keyLen])
	clear(key[:])
	return ok
}

// set12 takes a direction's part of the key block: RFC 5246, Section 6.3.
func (o *opener) set12(t *Transcript, dir Direction, master []byte) bool {
	suite := t.context.CipherSuite
	*o = opener{recordCipher: suite.recordCipher(), encryptThenMAC: t.encryptThenMAC}
	if o.mode == modeUnknown || len(master) != 48 {
		return false
	}
	var block [2 * (48 + 32 + 12)]byte
	size := o.macLen + o.keyLen + o.ivLen
	prf12(suite.hash(), block[:2*size], master, "key expansion", &t.serverRandom, &t.clientRandom)
	key := block[2*o.macLen+int(dir)*o.keyLen:][:o.keyLen]
	copy(o.iv[:], block[2*(o.macLen+o.keyLen)+int(dir)*o.ivLen:][:o.ivLen])
	if t.truncatedHMAC && o.macLen > 0 {
		o.macLen = 10
	}
	ok := o.setKey(key)
	clear(block[:])
	return ok
}

func (o *opener) setKey(key []byte) bool {
	var err error
	switch o.mode {
	case modeChaCha20:
		o.aead, err = chacha20poly1305.New(key)
	case mode3DESCBC:
		o.block, err = des.NewTripleDESCipher(key)
	default:
		var block cipher.Block
		if block, err = aes.NewCipher(key); err == nil && o.mode == modeGCM {
			o.aead, err = cipher.NewGCM(block)
		} else {
			o.block = block
		}
	}
	return err == nil && o.ready()
}

// open appends to dst the plaintext of record, which begins with its 5-byte
// header and is the seq-th under this key. It reports whether that succeeded.
func (o *opener) open(dst, record []byte, seq uint64) ([]byte, bool) {
	switch {
	case o.block != nil:
		return o.openCBC(dst, record[5:])
	case o.tls13:
		o.setNonce(seq)
		copy(o.aad[:5], record)
		return o.openAEAD(dst, record[5:], 5)
	}
	payload := record[5:]
	if o.mode == modeChaCha20 {
		o.setNonce(seq)
	} else {
		if len(payload) < 8 {
			return dst, false
		}
		copy(o.nonce[:4], o.iv[:4]) // salt: RFC 5288, Section 3
		copy(o.nonce[4:], payload[:8])
		payload = payload[8:]
	}
	if len(payload) < o.aead.Overhead() {
		return dst, false
	}
	binary.BigEndian.PutUint64(o.aad[:], seq)
	copy(o.aad[8:], record[:3])
	binary.BigEndian.PutUint16(o.aad[11:], uint16(len(payload)-o.aead.Overhead()))
	return o.openAEAD(dst, payload, 13)
}

// setNonce makes the nonce of RFC 8446, Section 5.3 and RFC 7905, Section 2.
func (o *opener) setNonce(seq uint64) {
	o.nonce = o.iv
	for i := range 8 {
		o.nonce[11-i] ^= byte(seq >> (8 * i))
	}
}

func (o *opener) openAEAD(dst, payload []byte, aad int) ([]byte, bool) {
	out, err := o.aead.Open(dst, o.nonce[:], payload, o.aad[:aad])
	if err != nil {
		return dst, false
	}
	return out, true
}

// openCBC decrypts without checking the MAC: what is read here changes nothing
// but what people see, and crypto/tls has the last word on the connection.
// RFC 5246, Section 6.2.3.2.
func (o *opener) openCBC(dst, payload []byte) ([]byte, bool) {
	size := o.block.BlockSize()
	if o.encryptThenMAC {
		if len(payload) < o.macLen {
			return dst, false
		}
		payload = payload[:len(payload)-o.macLen]
	}
	if len(payload) < 2*size || len(payload)%size != 0 {
		return dst, false
	}
	start := len(dst)
	dst = append(dst, payload[size:]...)
	plain := dst[start:]
	cipher.NewCBCDecrypter(o.block, payload[:size]).CryptBlocks(plain, plain)
	padding := int(plain[len(plain)-1])
	n := len(plain) - padding - 1
	if !o.encryptThenMAC {
		n -= o.macLen
	}
	if n < 0 {
		return dst[:start], false
	}
	for _, c := range plain[len(plain)-padding-1:] {
		if int(c) != padding {
			return dst[:start], false
		}
	}
	return dst[:start+n], true
}

// nextTrafficSecret replaces secret with the one after it: RFC 8446, Section
// 7.2.
func nextTrafficSecret(h crypto.Hash, secret []byte) {
	var next [maxSecret]byte
	expandLabel(h, next[:len(secret)], secret, "traffic upd")
	copy(secret, next[:])
}
