package policy

import (
	"fmt"
	"strings"
	"time"
)

// Action is what a rule does with the clients it matches.
type Action string

// The actions.
const (
	Allow Action = "allow"
	Deny  Action = "deny"
)

// DefaultRule is the name of what decides where no rule matched.
const DefaultRule = "default"

// A Rule admits or refuses the clients it matches.
type Rule struct {
	Name   string // unique; not [DefaultRule]
	Action Action
	Match  Match

	// NotBefore and NotAfter bound when the rule applies; the zero time is no
	// bound. The rule applies at either moment itself.
	NotBefore, NotAfter time.Time
}

// A Match is what has to hold: every key that is set, by one of its values. The
// keys about the certificate look at the leaf unless they say otherwise.
//
// The values of DNSSAN, URISAN, SPIFFEID, EmailSAN, CN, O, OU, IssuerCN and SNI
// are globs: * stands for anything within a DNS label, a path segment, the local
// part of an e-mail address, or a name of the subject; ** takes the place of one
// or more whole labels or segments. DNS names, the domain of an e-mail address,
// and the scheme and host of a URI are compared without letter case, all else
// with it.
type Match struct {
	DNSSAN   []string
	URISAN   []string
	SPIFFEID []string // an allow rule wants it to be the only URI, as an SVID's is
	EmailSAN []string
	IPSAN    []string // addresses and CIDRs

	CN, O, OU []string // of the subject

	IssuerCN     []string
	IssuerSHA256 []string // of any CA certificate in a verified chain
	Serial       []string // hexadecimal
	CertSHA256   []string // hexadecimal, with or without colons, or base64
	SPKISHA256   []string // the same of the SubjectPublicKeyInfo

	EKU          []string      // named in the certificate, such as clientAuth, or an OID
	KeyType      []string      // rsa, ecdsa, ecdsa-p256, ecdsa-p384, ecdsa-p521, ed25519, rsa-2048 …
	MinKeyBits   int           // size of the key; 0 for any
	MinRemaining time.Duration // until notAfter; 0 for any

	CIDR       []string // the client's address: addresses and CIDRs
	SNI        []string
	ALPN       []string
	Listener   []string
	TLSVersion []string // 1.2, 1.3

	Time Window
}

// A Window is a time of the week. The zero value is always.
type Window struct {
	From, To string   // "08:00"; To is not part of it; To before From goes over midnight
	Days     []string // mon … sun, of From; empty for all
	Zone     string   // of the IANA time zone database; empty for UTC
}

func (w *Window) isZero() bool {
	return w.From == "" && w.To == "" && len(w.Days) == 0 && w.Zone == ""
}

// A keyList is one key of a [Match] with its values as they were given.
type keyList struct {
	key    string
	kind   keyKind
	values []string
}

// lists returns the keys that are set, in the order of the keyKinds.
func (m *Match) lists() []keyList {
	all := [numKinds][]string{
		keyDNSSAN: m.DNSSAN, keyURISAN: m.URISAN, keySPIFFEID: m.SPIFFEID, keyEmailSAN: m.EmailSAN, keyIPSAN: m.IPSAN,
		keyCN: m.CN, keyO: m.O, keyOU: m.OU, keyIssuerCN: m.IssuerCN, keyIssuerSHA256: m.IssuerSHA256,
		keySerial: m.Serial, keyCertSHA256: m.CertSHA256, keySPKISHA256: m.SPKISHA256,
		keyEKU: m.EKU, keyKeyType: m.KeyType,
		keyCIDR: m.CIDR, keySNI: m.SNI, keyALPN: m.ALPN, keyListener: m.Listener, keyTLSVersion: m.TLSVersion,
	}
	if m.MinKeyBits != 0 {
		all[keyMinKeyBits] = []string{fmt.Sprint(m.MinKeyBits)}
	}
	if m.MinRemaining != 0 {
		all[keyMinRemaining] = []string{m.MinRemaining.String()}
	}
	if !m.Time.isZero() {
		all[keyTime] = []string{m.Time.String()}
	}
	var out []keyList
	for kind, values := range all {
		if len(values) > 0 {
			out = append(out, keyList{keyNames[kind], keyKind(kind), values})
		}
	}
	return out
}

// Words returns one clause a key, such as "dns_san: *.internal | api.example",
// for people.
func (m *Match) Words() []string {
	var out []string
	for _, l := range m.lists() {
		out = append(out, l.key+": "+strings.Join(l.values, " | "))
	}
	return out
}

// String writes the window the way people do: "mon,tue 08:00-18:00 UTC".
func (w Window) String() string {
	var parts []string
	if len(w.Days) > 0 {
		parts = append(parts, strings.Join(w.Days, ","))
	}
	if w.From != "" || w.To != "" {
		from, to := w.From, w.To
		if from == "" {
			from = "00:00"
		}
		if to == "" {
			to = "24:00"
		}
		parts = append(parts, from+"-"+to)
	}
	zone := w.Zone
	if zone == "" {
		zone = "UTC"
	}
	return strings.Join(append(parts, zone), " ")
}

// A keyKind is one key of a [Match]. Those up to keyMinRemaining are about the
// client's certificate.
type keyKind uint8

const (
	keyDNSSAN keyKind = iota
	keyURISAN
	keySPIFFEID
	keyEmailSAN
	keyIPSAN
	keyCN
	keyO
	keyOU
	keyIssuerCN
	keyIssuerSHA256
	keySerial
	keyCertSHA256
	keySPKISHA256
	keyEKU
	keyKeyType
	keyMinKeyBits
	keyMinRemaining
	keyCIDR
	keySNI
	keyALPN
	keyListener
	keyTLSVersion
	keyTime
	numKinds
)

// identity reports whether the key is about the certificate.
func (k keyKind) identity() bool { return k <= keyMinRemaining }

var keyNames = [numKinds]string{
	"dns_san", "uri_san", "spiffe_id", "email_san", "ip_san", "cn", "o", "ou", "issuer_cn", "issuer_sha256",
	"serial", "cert_sha256", "spki_sha256", "eku", "key_type", "min_key_bits", "min_remaining",
	"cidr", "sni", "alpn", "listener", "tls_version", "time",
}
