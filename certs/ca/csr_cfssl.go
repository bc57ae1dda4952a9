package ca

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
)

// cfsslRequest is the JSON that cfssl makes keys and requests from.
type cfsslRequest struct {
	CN    string       `json:"CN"`
	Hosts []string     `json:"hosts"`
	Names []cfsslNames `json:"names"`
	Key   *struct {
		Algo string `json:"algo"`
		Size int    `json:"size"`
	} `json:"key"`
}

type cfsslNames struct {
	C, ST, L, O, OU string
}

// ParseCFSSLRequest reads the JSON request of cfssl ("CN", "hosts", "names",
// "key") as a request with a new key. It is read strictly: unknown fields,
// hosts of no clear kind and unknown keys are errors that match [ErrBadRequest].
func ParseCFSSLRequest(data []byte) (Request, error) {
	var in cfsslRequest
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return Request{}, bad("this is no request of cfssl's: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Request{}, bad("there is something after the request")
	}
	r := Request{CommonName: in.CN}
	for _, h := range in.Hosts {
		if h == "" {
			continue // cfssl's own examples have [""] for none
		}
		san, err := ParseSAN(h)
		if err != nil {
			return Request{}, err
		}
		r.SANs = append(r.SANs, san.String())
	}
	for _, n := range in.Names {
		for _, f := range []struct {
			name, value string
			to          *string
		}{
			{"C", n.C, &r.Attributes.Country}, {"ST", n.ST, &r.Attributes.Province}, {"L", n.L, &r.Attributes.Locality},
			{"O", n.O, &r.Organization}, {"OU", n.OU, &r.Attributes.Unit},
		} {
			if f.value != "" && *f.to != "" {
				return Request{}, bad("%s is given twice in names", f.name)
			}
			*f.to = orDefault(f.value, *f.to)
		}
	}
	if in.Key == nil {
		return r, nil
	}
	var err error
	r.KeyAlgo, err = cfsslKey(strings.ToLower(in.Key.Algo), in.Key.Size)
	return r, err
}

// cfsslKey reads cfssl's words for keys.
func cfsslKey(algo string, size int) (KeyAlgo, error) {
	switch algo {
	case "ecdsa":
		return ParseKeyAlgo("ecdsa-p" + strconv.Itoa(size))
	case "rsa":
		return ParseKeyAlgo("rsa-" + strconv.Itoa(size))
	case "ed25519":
		return Ed25519, nil
	}
	return "", bad("the key algorithm %q is not one of ecdsa, rsa, ed25519", algo)
}

func ipText(b []byte) string { return net.IP(b).String() }
