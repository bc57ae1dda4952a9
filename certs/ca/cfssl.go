package ca

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudflare/cfssl/config"
	"github.com/cloudflare/cfssl/csr"
	cferr "github.com/cloudflare/cfssl/errors"
	cflog "github.com/cloudflare/cfssl/log"
	"github.com/cloudflare/cfssl/signer"
	"github.com/cloudflare/cfssl/signer/local"
)

// A Logger receives what the signing library says about itself. Level is
// "debug", "info", "warn" or "error". It may be called concurrently.
type Logger interface {
	Log(level, message string)
}

// SetLogger sends the signing library's messages to l; nil drops them, which
// is the default. It may be called at any time.
func SetLogger(l Logger) {
	installLog()
	if l == nil {
		logger.Store(nil)
		return
	}
	logger.Store(&l)
}

var (
	logger atomic.Pointer[Logger]
	// cfssl's logger is a global without a lock: it is set once, before the
	// first call into cfssl, and what it forwards to may change.
	installLog = sync.OnceFunc(func() { cflog.SetLogger(logBridge{}) })
)

// logBridge is the cfssl logger that forwards to ours.
type logBridge struct{}

func (logBridge) log(level, msg string) {
	if l := logger.Load(); l != nil {
		(*l).Log(level, msg)
	}
}

func (b logBridge) Debug(msg string)   { b.log("debug", msg) }
func (b logBridge) Info(msg string)    { b.log("info", msg) }
func (b logBridge) Warning(msg string) { b.log("warn", msg) }
func (b logBridge) Err(msg string)     { b.log("error", msg) }
func (b logBridge) Crit(msg string)    { b.log("error", msg) }
func (b logBridge) Emerg(msg string)   { b.log("error", msg) }

// A profile is what a signature grants: everything that is not the subject's
// to say.
type profile struct {
	usages              []string // cfssl's names; every one must be known to it
	isCA                bool
	pathLen             int // with isCA; Unlimited is no limit
	notBefore, notAfter time.Time

	name       *pkix.Name       // in place of the request's subject; nil with isCA
	extensions []pkix.Extension // alternative names, name constraints
	crl, ocsp  []string         // one each at most
	issuerURLs []string
}

// signing turns p into a cfssl policy. The whitelist names what is taken from
// the request: the key, and a CA's subject, which is of our making. Never
// extensions, so that a request cannot grant itself usages (CopyExtensions of
// cfssl 1.6 would let it replace the profile's).
func (p profile) signing() (*config.Signing, error) {
	sp := &config.SigningProfile{
		Usage:        p.usages,
		Expiry:       p.notAfter.Sub(p.notBefore), // only looked at for being set: the dates are explicit
		CSRWhitelist: &config.CSRWhitelist{Subject: p.name == nil, PublicKeyAlgorithm: true, PublicKey: true, SignatureAlgorithm: true},
		IssuerURL:    p.issuerURLs,
		OCSP:         strings.Join(p.ocsp, ""),
		CRL:          strings.Join(p.crl, ""),
	}
	if sp.Expiry <= 0 {
		sp.Expiry = time.Second // an inverted validity is the caller's decision
	}
	if p.isCA {
		sp.CAConstraint = config.CAConstraint{IsCA: true, MaxPathLen: max(0, p.pathLen), MaxPathLenZero: p.pathLen == 0}
	}
	if len(p.extensions) > 0 {
		sp.ExtensionWhitelist = make(map[string]bool)
	}
	for _, e := range p.extensions {
		sp.ExtensionWhitelist[e.Id.String()] = true
	}
	// cfssl passes over usages that it does not know.
	if _, _, unknown := sp.Usages(); len(unknown) > 0 {
		return nil, fmt.Errorf("unknown key usage %q", unknown[0])
	}
	return &config.Signing{Default: sp, Profiles: map[string]*config.SigningProfile{}}, nil
}

// keyUsage returns the bits that the profile asks for.
func (p profile) keyUsage() x509.KeyUsage {
	var ku x509.KeyUsage
	for _, name := range p.usages {
		ku |= config.KeyUsage[name] // 0 for an extended usage
	}
	return ku
}

// authorityRequest makes the PEM request for a CA's certificate. A CA has no
// hosts: cfssl would drop some kinds and keep others.
func authorityRequest(key crypto.Signer, commonName string) (request []byte, err error) {
	err = guard("making the request", func() error {
		request, err = csr.Generate(key, &csr.CertificateRequest{CN: commonName})
		return err
	})
	return request, err
}

// sign signs a PEM request with the issuer's key. A nil issuer makes a root.
func sign(issuer *x509.Certificate, key crypto.Signer, request []byte, p profile) (cert *x509.Certificate, err error) {
	policy, err := p.signing()
	if err != nil {
		return nil, err
	}
	var out []byte
	err = guard("signing", func() error {
		s, err := local.NewSigner(key, issuer, signer.DefaultSigAlgo(key), policy)
		if err != nil {
			return err
		}
		// No Hosts: cfssl guesses their kind. No Profile: an unknown name would
		// silently mean the default.
		r := signer.SignRequest{Request: string(request), NotBefore: p.notBefore, NotAfter: p.notAfter}
		if p.name != nil {
			r.Subject = subjectFor(p.name)
		}
		for _, e := range p.extensions {
			r.Extensions = append(r.Extensions, signer.Extension{ID: config.OID(e.Id), Critical: e.Critical, Value: hex.EncodeToString(e.Value)})
		}
		out, err = s.Sign(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(out)
	if block == nil {
		return nil, errors.New("signing: the result is not PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// extKeyUsage returns the extended usages that the profile asks for, in its order.
func (p profile) extKeyUsage() (out []x509.ExtKeyUsage) {
	for _, name := range p.usages {
		if u, is := config.ExtKeyUsage[name]; is {
			out = append(out, u)
		}
	}
	return out
}

// subjectFor writes a name as cfssl has it: at most one value an attribute.
func subjectFor(n *pkix.Name) *signer.Subject {
	return &signer.Subject{CN: n.CommonName, Names: []csr.Name{{
		C: strings.Join(n.Country, ""), ST: strings.Join(n.Province, ""), L: strings.Join(n.Locality, ""),
		O: strings.Join(n.Organization, ""), OU: strings.Join(n.OrganizationalUnit, ""),
	}}}
}

// guard runs a call into cfssl. Whatever happens in there, the caller gets an
// error a person can read: cfssl's are JSON, and some of its paths panic.
func guard(step string, call func() error) (err error) {
	installLog()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: the signing library stopped: %v", step, p)
		}
	}()
	err = call()
	var ce *cferr.Error
	if errors.As(err, &ce) {
		return fmt.Errorf("%s: %s", step, ce.Message)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return nil
}
