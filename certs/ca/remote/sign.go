package remote

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
)

// signRequest is what cfssl's clients send. What is not granted is known here
// so that it can be refused by name.
type signRequest struct {
	Hostname string   `json:"hostname"` // hosts, with commas between them
	Hosts    []string `json:"hosts"`
	CSR      string   `json:"certificate_request"`
	Subject  *subject `json:"subject"`
	Profile  string   `json:"profile"`
	Label    string   `json:"label"`
	Bundle   bool     `json:"bundle"`

	CRLOverride   string            `json:"crl_override"`
	Serial        *json.RawMessage  `json:"serial"`
	Extensions    []json.RawMessage `json:"extensions"`
	NotBefore     time.Time
	NotAfter      time.Time
	ReturnPrecert bool
	Metadata      map[string]any `json:"metadata"`
}

type subject struct {
	CN           string
	Names        []attributes `json:"names"`
	SerialNumber string
}

type attributes struct {
	C, ST, L, O, OU, E, SerialNumber string
	OID                              map[string]string
}

// authenticated is the envelope of authsign.
type authenticated struct {
	Timestamp     int64  `json:"timestamp"`
	RemoteAddress []byte `json:"remote_address"`
	Token         []byte `json:"token"`
	Request       []byte `json:"request"`
}

func decode(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return refuse(http.StatusBadRequest, codeAPI, "the request cannot be read: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, codeAPI, "there is something after the request")
	}
	return nil
}

func (s *Server) sign(ctx context.Context, body []byte, e *Entry) (any, error) {
	if len(s.Key) > 0 {
		return nil, refuse(http.StatusUnauthorized, codeAPI, "authentication required: use authsign")
	}
	return s.issue(ctx, body, e)
}

func (s *Server) authsign(ctx context.Context, body []byte, e *Entry) (any, error) {
	if len(s.Key) == 0 || s.Memory == nil {
		return nil, refuse(http.StatusUnauthorized, codeAPI, "there is no shared key here: use sign")
	}
	var a authenticated
	if err := decode(body, &a); err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, s.Key)
	mac.Write(a.Request)
	if !hmac.Equal(mac.Sum(nil), a.Token) {
		return nil, refuse(http.StatusUnauthorized, codeAPI, "the token is not the request's")
	}
	// The token does not cover the time, so this only finds clocks that are wrong;
	// what keeps a copy from signing again is the memory.
	if off := s.now().Sub(time.Unix(a.Timestamp, 0)); off > Freshness || off < -Freshness {
		return nil, refuse(http.StatusUnauthorized, codeAPI, "the request is of another time (%s away); set the clock", off.Round(time.Second))
	}
	digest := sha256.Sum256(append([]byte("authsign\x00"), a.Request...))
	fresh, err := s.Memory.Answer(ctx, hex.EncodeToString(digest[:]), s.now())
	if err != nil {
		return nil, err
	}
	if !fresh {
		return nil, refuse(http.StatusConflict, codeAPI, "this request was answered before; make a new certificate request")
	}
	return s.issue(ctx, a.Request, e)
}

// issue reads a request and signs.
func (s *Server) issue(ctx context.Context, body []byte, e *Entry) (any, error) {
	var in signRequest
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	e.Profile = in.Profile
	r, err := s.request(&in)
	if errors.Is(err, ca.ErrBadRequest) {
		return nil, &refusal{http.StatusBadRequest, codePolicy, err}
	}
	if err != nil {
		return nil, err
	}
	issued, err := s.Authority.IssueContext(ctx, r)
	if errors.Is(err, ca.ErrBadRequest) {
		return nil, &refusal{http.StatusBadRequest, codePolicy, err}
	}
	if err != nil {
		return nil, err
	}
	c := issued.Cert
	e.Event, e.Serial, e.Subject, e.SANs, e.NotAfter = "ca.signed", certs.Serial(c), certs.Subject(c), certs.SANs(c), c.NotAfter
	// The leaf alone: cfssl's clients take it for one certificate.
	return map[string]string{"certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))}, nil
}

func (s *Server) request(in *signRequest) (r ca.Request, err error) {
	for what, is := range map[string]bool{
		"crl_override": in.CRLOverride != "", "serial": in.Serial != nil && string(*in.Serial) != "null", "extensions": len(in.Extensions) > 0,
		"NotBefore or NotAfter": !in.NotBefore.IsZero() || !in.NotAfter.IsZero(), "ReturnPrecert": in.ReturnPrecert,
		"bundle": in.Bundle, "a label": in.Label != "" && in.Label != "primary",
	} {
		if is {
			return r, refuse(http.StatusBadRequest, codePolicy, "the request asks for %s, which is not granted", what)
		}
	}
	profile, err := s.Profiles.Lookup(in.Profile)
	if err != nil {
		return r, err
	}
	if profile == nil {
		return r, refuse(http.StatusBadRequest, codePolicy, "no profile is named, and there is no default; there are %s", strings.Join(s.Profiles.Names(), ", "))
	}
	csr, err := ca.ParseCSR([]byte(in.CSR))
	if err != nil {
		return r, err
	}
	r = csr.Request()
	r.Profile = profile
	hosts := in.Hosts
	if in.Hostname != "" {
		hosts = strings.Split(in.Hostname, ",")
	}
	if len(hosts) > 0 {
		r.SANs = nil
	}
	for _, h := range hosts {
		san, err := ca.ParseSAN(strings.TrimSpace(h))
		if err != nil {
			return r, err
		}
		r.SANs = append(r.SANs, san.String())
	}
	return r, in.Subject.apply(&r)
}

// apply replaces what is given; the rest stays the request's, as with cfssl.
func (n *subject) apply(r *ca.Request) error {
	if n == nil {
		return nil
	}
	set := func(to *string, v string) {
		if v != "" {
			*to = v
		}
	}
	set(&r.CommonName, n.CN)
	for _, a := range n.Names {
		if a.E != "" || a.SerialNumber != "" || len(a.OID) > 0 || n.SerialNumber != "" {
			return refuse(http.StatusBadRequest, codePolicy, "only CN, O, OU, C, ST and L of a subject are issued")
		}
		set(&r.Attributes.Country, a.C)
		set(&r.Attributes.Province, a.ST)
		set(&r.Attributes.Locality, a.L)
		set(&r.Organization, a.O)
		set(&r.Attributes.Unit, a.OU)
	}
	return nil
}

// info says who signs and what a profile grants.
func (s *Server) info(_ context.Context, body []byte, e *Entry) (any, error) {
	var in struct {
		Label   string `json:"label"`
		Profile string `json:"profile"`
	}
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	profile, err := s.Profiles.Lookup(in.Profile)
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, codePolicy, err}
	}
	e.Event, e.Profile = "ca.info", in.Profile
	out := struct {
		Certificate string   `json:"certificate"`
		Usages      []string `json:"usages"`
		Expiry      string   `json:"expiry"`
	}{Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Authority.Issuer().Raw})), Usages: []string{}}
	if profile != nil {
		life := profile.Life
		if life == 0 {
			life = ca.DefaultLeafDays * 24 * time.Hour
		}
		out.Usages, out.Expiry = profile.Usages, life.String()
	}
	return out, nil
}
