package policy

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"mtlsproxy/certs"
)

// The messages of RFC 6960, Section 4.
type (
	ocspCertID struct {
		Hash     pkix.AlgorithmIdentifier
		NameHash []byte
		KeyHash  []byte
		Serial   *big.Int
	}
	ocspRequestMessage struct {
		TBS ocspTBSRequest
	}
	ocspTBSRequest struct {
		List       []ocspSingleRequest
		Extensions []pkix.Extension `asn1:"explicit,tag:2,optional,omitempty"`
	}
	ocspSingleRequest struct{ ID ocspCertID }

	ocspResponse struct {
		Status asn1.Enumerated
		Bytes  ocspResponseBytes `asn1:"explicit,tag:0,optional"`
	}
	ocspResponseBytes struct {
		Type asn1.ObjectIdentifier
		Body []byte
	}
	ocspBasic struct {
		Data      ocspData
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
		Certs     []asn1.RawValue `asn1:"explicit,tag:0,optional"`
	}
	ocspData struct {
		Raw        asn1.RawContent
		Version    int `asn1:"optional,default:0,explicit,tag:0"`
		Responder  asn1.RawValue
		ProducedAt time.Time `asn1:"generalized"`
		Answers    []ocspAnswer
		Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
	}
	ocspAnswer struct {
		ID         ocspCertID
		Good       asn1.Flag        `asn1:"tag:0,optional"`
		Revoked    ocspRevoked      `asn1:"tag:1,optional"`
		Unknown    asn1.Flag        `asn1:"tag:2,optional"`
		ThisUpdate time.Time        `asn1:"generalized"`
		NextUpdate time.Time        `asn1:"generalized,explicit,tag:0,optional"`
		Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
	}
	ocspRevoked struct {
		At     time.Time       `asn1:"generalized"`
		Reason asn1.Enumerated `asn1:"explicit,tag:0,optional"`
	}
)

var (
	oidOCSPBasic = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidOCSPNonce = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}

	ocspHashes = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA1:   {1, 3, 14, 3, 2, 26},
		crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
	}

	// ocspAlgorithms are those an answer may be signed with. SHA-1 is not.
	ocspAlgorithms = map[string]x509.SignatureAlgorithm{
		"1.2.840.113549.1.1.11": x509.SHA256WithRSA,
		"1.2.840.113549.1.1.12": x509.SHA384WithRSA,
		"1.2.840.113549.1.1.13": x509.SHA512WithRSA,
		"1.2.840.10045.4.3.2":   x509.ECDSAWithSHA256,
		"1.2.840.10045.4.3.3":   x509.ECDSAWithSHA384,
		"1.2.840.10045.4.3.4":   x509.ECDSAWithSHA512,
		"1.3.101.112":           x509.PureEd25519,
	}

	// ocspStatuses are those of an answer without content (RFC 6960, Section 4.2.1).
	ocspStatuses = map[asn1.Enumerated]string{
		1: "malformed request", 2: "internal error", 3: "try later", 5: "request must be signed", 6: "unauthorized",
	}
)

// An ocspQuestion is one certificate asked about, in one form.
type ocspQuestion struct {
	leaf, issuer *x509.Certificate
	hash         crypto.Hash
	nonce        []byte // nil for none
}

// id names the certificate the way RFC 6960, Section 4.1.1 does.
func (q *ocspQuestion) id() (ocspCertID, error) {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(q.issuer.RawSubjectPublicKeyInfo, &spki); err != nil {
		return ocspCertID{}, errors.New("the issuer's key cannot be parsed")
	}
	name, key := q.hash.New(), q.hash.New()
	name.Write(q.issuer.RawSubject)
	key.Write(spki.Key.RightAlign())
	return ocspCertID{
		Hash:     pkix.AlgorithmIdentifier{Algorithm: ocspHashes[q.hash], Parameters: asn1.NullRawValue},
		NameHash: name.Sum(nil), KeyHash: key.Sum(nil), Serial: q.leaf.SerialNumber,
	}, nil
}

func (q *ocspQuestion) request() ([]byte, error) {
	id, err := q.id()
	if err != nil {
		return nil, err
	}
	m := ocspRequestMessage{ocspTBSRequest{List: []ocspSingleRequest{{id}}}}
	if q.nonce != nil {
		value, err := asn1.Marshal(q.nonce)
		if err != nil {
			return nil, err
		}
		m.TBS.Extensions = []pkix.Extension{{Id: oidOCSPNonce, Value: value}}
	}
	return asn1.Marshal(m)
}

// read judges an answer, and says until when it counts; the zero time is not at
// all.
func (q *ocspQuestion) read(der []byte, now time.Time) (RevocationVerdict, time.Time) {
	unusable := func(format string, args ...any) (RevocationVerdict, time.Time) {
		return RevocationVerdict{Status: Unusable, Detail: fmt.Sprintf(format, args...)}, time.Time{}
	}
	var outer ocspResponse
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) > 0 {
		return unusable("sent what is no OCSP answer")
	}
	if outer.Status != 0 {
		name, ok := ocspStatuses[outer.Status]
		if !ok {
			name = "an unknown one"
		}
		// "Unauthorized" is how a responder says that it has no answer ready.
		return RevocationVerdict{Status: UnknownCert, Detail: fmt.Sprintf("gave no answer: status %d, %s", outer.Status, name)}, time.Time{}
	}
	var basic ocspBasic
	if !outer.Bytes.Type.Equal(oidOCSPBasic) {
		return unusable("sent an answer of a kind that is not known")
	}
	if rest, err := asn1.Unmarshal(outer.Bytes.Body, &basic); err != nil || len(rest) > 0 {
		return unusable("sent an answer that cannot be parsed")
	}
	if err := q.signed(&basic, now); err != nil {
		return unusable("sent an answer that does not count: %v", err)
	}
	if err := q.fresh(&basic.Data); err != nil {
		return unusable("sent an answer that does not count: %v", err)
	}
	id, err := q.id()
	if err != nil {
		return unusable("%v", err)
	}
	i := slices.IndexFunc(basic.Data.Answers, func(a ocspAnswer) bool { return a.ID.equal(&id) })
	if i < 0 {
		return RevocationVerdict{Status: UnknownCert, Detail: "answered about another certificate"}, time.Time{}
	}
	return q.answer(&basic.Data.Answers[i], now)
}

func (a *ocspCertID) equal(b *ocspCertID) bool {
	return a.Hash.Algorithm.Equal(b.Hash.Algorithm) && bytes.Equal(a.NameHash, b.NameHash) && bytes.Equal(a.KeyHash, b.KeyHash) &&
		a.Serial != nil && a.Serial.Cmp(b.Serial) == 0
}

// signed checks that the answer is the issuer's, or of somebody the issuer made a
// responder (RFC 6960, Section 4.2.2.2).
func (q *ocspQuestion) signed(b *ocspBasic, now time.Time) error {
	algorithm, ok := ocspAlgorithms[b.Algorithm.Algorithm.String()]
	if !ok {
		return fmt.Errorf("it is signed with %s, which is not taken", b.Algorithm.Algorithm)
	}
	by := func(c *x509.Certificate) bool {
		return c.CheckSignature(algorithm, b.Data.Raw, b.Signature.RightAlign()) == nil
	}
	if by(q.issuer) {
		return nil
	}
	const most = 8 // certificates looked at
	for _, raw := range b.Certs[:min(len(b.Certs), most)] {
		c, err := x509.ParseCertificate(raw.FullBytes)
		if err != nil || !by(c) {
			continue
		}
		switch {
		case !bytes.Equal(c.RawIssuer, q.issuer.RawSubject) || c.CheckSignatureFrom(q.issuer) != nil:
			return fmt.Errorf("its signer, %s, was not made a responder by %s", certs.Subject(c), certs.Subject(q.issuer))
		case !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
			return fmt.Errorf("the certificate of its signer, %s, is not for OCSP signing", certs.Subject(c))
		case now.Before(c.NotBefore) || now.After(c.NotAfter):
			return fmt.Errorf("the certificate of its signer, %s, is out of date", certs.Subject(c))
		}
		return nil
	}
	return fmt.Errorf("its signature is neither of %s nor of a responder it named", certs.Subject(q.issuer))
}

// fresh checks the nonce, where there is one, and that nothing critical is left.
func (q *ocspQuestion) fresh(d *ocspData) error {
	for _, x := range d.Extensions {
		if x.Id.Equal(oidOCSPNonce) {
			var nonce []byte
			if _, err := asn1.Unmarshal(x.Value, &nonce); err != nil {
				nonce = x.Value // as some responders write it
			}
			if q.nonce != nil && subtle.ConstantTimeCompare(nonce, q.nonce) != 1 {
				return errors.New("its nonce is not ours: it is an answer to somebody else")
			}
			continue
		}
		if x.Critical {
			return fmt.Errorf("it has the critical extension %s, which is not known", x.Id)
		}
	}
	return nil
}

func (q *ocspQuestion) answer(a *ocspAnswer, now time.Time) (RevocationVerdict, time.Time) {
	var zero time.Time
	for _, x := range a.Extensions {
		if x.Critical {
			return RevocationVerdict{Status: Unusable, Detail: fmt.Sprintf("sent an answer with the critical extension %s, which is not known", x.Id)}, zero
		}
	}
	until := a.NextUpdate
	if until.IsZero() {
		until = a.ThisUpdate.Add(ocspFreshness)
	}
	switch {
	case a.ThisUpdate.After(now.Add(clockSkew)):
		return RevocationVerdict{Status: Unusable, Detail: fmt.Sprintf("sent an answer from the future: %s (check the clocks)", stamp(a.ThisUpdate))}, zero
	case bool(!a.Good) && !a.Revoked.At.IsZero():
		reason := int(a.Revoked.Reason)
		return RevocationVerdict{
			Status: IsRevoked, Reason: reason, At: a.Revoked.At,
			Detail: fmt.Sprintf("%s (serial %s) was revoked on %s%s, says its OCSP responder", certs.Subject(q.leaf), certs.Serial(q.leaf), stamp(a.Revoked.At), reasonText(reason)),
		}, until
	case now.After(until):
		return RevocationVerdict{Status: Stale, Detail: fmt.Sprintf("sent an old answer, good until %s", stamp(until))}, zero
	case bool(a.Good):
		return RevocationVerdict{Status: NotRevoked}, until
	}
	return RevocationVerdict{Status: UnknownCert, Detail: fmt.Sprintf("does not know the certificate %s (serial %s)", certs.Subject(q.leaf), certs.Serial(q.leaf))}, zero
}
