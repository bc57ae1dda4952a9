package policy

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"net/netip"
	"time"
)

// MaxNames bounds how many alternative names of one certificate the rules look
// at. One with more is denied by any set of rules: a name that was not looked at
// must not decide, and looking at 64 KiB of names would be work for nothing.
const MaxNames = 1000

// A Subject is a client as the rules see it.
type Subject struct {
	Leaf     *x509.Certificate     // nil where none was presented
	Chains   [][]*x509.Certificate // that stand, leaf first; nil where none does
	Standing Standing

	Client     netip.Addr // invalid where it has none, as on a unix socket
	ServerName string     // that the client asked for; "" for none
	ALPN       string     // negotiated; "" for none
	Listener   string
	Version    uint16 // of TLS, as in crypto/tls
	Now        time.Time
}

// names counts the alternative names.
func (s *Subject) names() int {
	if s.Leaf == nil {
		return 0
	}
	return len(s.Leaf.DNSNames) + len(s.Leaf.URIs) + len(s.Leaf.EmailAddresses) + len(s.Leaf.IPAddresses)
}

// facts is a subject with what is worked out about it while it is judged. It
// stays on the stack: a decision does not allocate.
type facts struct {
	*Subject
	client netip.Addr // without the IPv6 form of IPv4

	uris  [4]uriParts // of the first URIs
	nURIs int         // of them that are cut

	cert, spki         [sha256.Size]byte
	hasCert, hasSPKI   bool
	serial             [maxSerial]byte
	serialAt           int // where the serial begins; maxSerial for none
	keyType, keyFamily string
	keyBits            int
}

// maxSerial bounds the serials that rules know, in bytes. RFC 5280 allows 20.
const maxSerial = 64

func (f *facts) init(s *Subject) {
	f.Subject = s
	f.client = s.Client.Unmap()
	f.serialAt = maxSerial
	if s.Leaf == nil {
		return
	}
	for f.nURIs < min(len(s.Leaf.URIs), len(f.uris)) {
		f.uris[f.nURIs] = cut(s.Leaf.URIs[f.nURIs])
		f.nURIs++
	}
	if n := s.Leaf.SerialNumber; n != nil && n.Sign() > 0 && n.BitLen() <= 8*maxSerial {
		n.FillBytes(f.serial[:])
		f.serialAt = maxSerial - (n.BitLen()+7)/8
	}
	f.keyFamily, f.keyType, f.keyBits = keyOf(s.Leaf.PublicKey)
}

func (f *facts) certSum() *[sha256.Size]byte {
	if !f.hasCert {
		f.cert, f.hasCert = sha256.Sum256(f.Leaf.Raw), true
	}
	return &f.cert
}

func (f *facts) spkiSum() *[sha256.Size]byte {
	if !f.hasSPKI {
		f.spki, f.hasSPKI = sha256.Sum256(f.Leaf.RawSubjectPublicKeyInfo), true
	}
	return &f.spki
}

// uri returns a URI of the leaf in parts; those beyond the first few are cut
// anew each time.
func (f *facts) uri(i int) uriParts {
	if i < f.nURIs {
		return f.uris[i]
	}
	return cut(f.Leaf.URIs[i])
}

// keyOf names a public key the way rules do.
func keyOf(pub any) (family, exact string, bits int) {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		bits = k.N.BitLen()
		switch bits {
		case 2048:
			return "rsa", "rsa-2048", bits
		case 3072:
			return "rsa", "rsa-3072", bits
		case 4096:
			return "rsa", "rsa-4096", bits
		}
		return "rsa", "rsa", bits
	case *ecdsa.PublicKey:
		bits = k.Curve.Params().BitSize
		switch bits {
		case 256:
			return "ecdsa", "ecdsa-p256", bits
		case 384:
			return "ecdsa", "ecdsa-p384", bits
		case 521:
			return "ecdsa", "ecdsa-p521", bits
		}
		return "ecdsa", "ecdsa", bits
	case ed25519.PublicKey:
		return "ed25519", "ed25519", 256
	}
	return "unknown", "unknown", 0
}

// keyTypes are the names that rules may use, with the size of those that have
// one alone.
var keyTypes = map[string]int{
	"rsa": 0, "rsa-2048": 2048, "rsa-3072": 3072, "rsa-4096": 4096,
	"ecdsa": 0, "ecdsa-p256": 256, "ecdsa-p384": 384, "ecdsa-p521": 521,
	"ed25519": 256,
}
