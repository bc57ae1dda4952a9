package ca

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"mtlsproxy/certs"
)

// profileFile is cfssl's signing configuration, in JSON or YAML.
type profileFile struct {
	Signing struct {
		Default  *profileEntry            `yaml:"default"`
		Profiles map[string]*profileEntry `yaml:"profiles"`
	} `yaml:"signing"`
}

type profileEntry struct {
	Usages     []string `yaml:"usages"`
	Expiry     string   `yaml:"expiry"`
	CRL        string   `yaml:"crl_url"`
	OCSP       string   `yaml:"ocsp_url"`
	IssuerURLs []string `yaml:"issuer_urls"`
	Names      string   `yaml:"name_whitelist"`
	CA         struct {
		IsCA       bool `yaml:"is_ca"`
		MaxPathLen int  `yaml:"max_path_len"`
		Zero       bool `yaml:"max_path_len_zero"`
	} `yaml:"ca_constraint"`

	// Known to cfssl, and refused with a reason where they ask for something.
	CopyExtensions bool   `yaml:"copy_extensions"`
	AuthKey        string `yaml:"auth_key"`
	Remote         string `yaml:"remote"`
	Backdate       string `yaml:"backdate"`
}

// LoadProfiles reads a file of profiles: cfssl's signing configuration, as JSON
// or as YAML. It is read strictly. An unknown key, an unknown usage and what
// cannot be kept (copy_extensions, remote signers) are errors that match
// [ErrBadRequest]; durations may have days and weeks ("90d").
func LoadProfiles(path string) (*Profiles, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, certs.MaxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > certs.MaxFileSize {
		return nil, bad("%s has more than %d bytes", path, certs.MaxFileSize)
	}
	p, err := ParseProfiles(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// ParseProfiles does the same for text at hand.
func ParseProfiles(data []byte) (*Profiles, error) {
	var f profileFile
	d := yaml.NewDecoder(bytes.NewReader(data)) // JSON is YAML
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, bad("%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, bad("there is more than one document")
	}
	p := &Profiles{named: make(map[string]*Profile)}
	if f.Signing.Default == nil && len(f.Signing.Profiles) == 0 {
		return nil, bad("there are no profiles; they belong under signing.profiles")
	}
	var err error
	if f.Signing.Default != nil {
		if p.fallback, err = f.Signing.Default.profile("default"); err != nil {
			return nil, err
		}
	}
	for name, e := range f.Signing.Profiles {
		if e == nil {
			return nil, bad("the profile %q is empty", name)
		}
		if p.named[name], err = e.profile(name); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (e *profileEntry) profile(name string) (*Profile, error) {
	switch {
	case e.CopyExtensions:
		return nil, bad("the profile %q has copy_extensions, which lets a request grant itself usages", name)
	case e.AuthKey != "":
		return nil, bad("the profile %q has an auth_key; whoever may sign proves it with a certificate", name)
	case e.Remote != "":
		return nil, bad("the profile %q has a remote signer, which is not supported", name)
	case e.Backdate != "":
		return nil, bad("the profile %q has backdate; certificates begin one minute early", name)
	}
	p := &Profile{Name: name, Usages: e.Usages, CRL: e.CRL, OCSP: e.OCSP, Issuer: e.IssuerURLs, CA: e.CA.IsCA, PathLen: e.CA.MaxPathLen}
	if p.CA && p.PathLen == 0 && !e.CA.Zero {
		p.PathLen = Unlimited // what cfssl makes of it
	}
	if p.PathLen < Unlimited {
		return nil, bad("the profile %q has a path length of %d", name, p.PathLen)
	}
	var err error
	if e.Expiry != "" {
		if p.Life, err = ParseLife(e.Expiry); err != nil {
			return nil, fmt.Errorf("the expiry of the profile %q: %w", name, err)
		}
	}
	if e.Names != "" {
		if p.Names, err = regexp.Compile(e.Names); err != nil {
			return nil, bad("the name_whitelist of the profile %q: %v", name, err)
		}
		p.Names.Longest()
	}
	for _, u := range append([]string{e.CRL, e.OCSP}, e.IssuerURLs...) {
		if u == "" {
			continue
		}
		if v, err := url.Parse(u); err != nil || v.Host == "" || v.Scheme != "http" && v.Scheme != "https" && v.Scheme != "ldap" {
			return nil, bad("the profile %q has the address %q, which is not one of http, https or ldap", name, u)
		}
	}
	return p, p.check()
}

// ParseLife reads a lifetime: a duration of Go ("90m", "8760h"), or a number of
// days or weeks ("90d", "2w"). Errors match [ErrBadRequest].
func ParseLife(s string) (time.Duration, error) {
	const longest = maxDays * 24 * time.Hour
	for unit, d := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		number, is := strings.CutSuffix(s, unit)
		if !is {
			continue
		}
		if n, err := strconv.Atoi(number); err == nil && n > 0 && n <= int(longest/d) {
			return time.Duration(n) * d, nil
		}
		return 0, bad("%q is not a lifetime; write for example 90d, 12h or 5m", s)
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second || d > longest {
		return 0, bad("%q is not a lifetime; write for example 90d, 12h or 5m", s)
	}
	return d, nil
}
