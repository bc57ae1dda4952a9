package ca

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"mtlsproxy/certs"
)

// manifestStateFile remembers what was made and from what, so that a second run
// changes nothing and no foreign file is ever replaced.
const manifestStateFile = ".mtlsproxy-ca.json"

// manifestLockFile is locked while a manifest is applied.
const manifestLockFile = ".mtlsproxy-ca.lock"

const manifestStateVersion = 1

type manifestState struct {
	Version int                   `json:"version"`
	Items   map[string]*itemState `json:"items"`

	// Pending are the hashes of files that were about to be written. They are
	// there while a run is at it, and after one that was killed.
	Pending map[string]string `json:"pending,omitempty"`
}

// itemState is what is known of one item: a certificate with its key, a list, a
// bundle.
type itemState struct {
	Spec    string            `json:"spec"`   // hash of what the manifest asks for
	Inputs  string            `json:"inputs"` // hash of what it was made from
	Files   map[string]string `json:"files"`  // hash of each file
	Made    time.Time         `json:"made"`
	Until   time.Time         `json:"until,omitzero"` // good until
	Number  int64             `json:"number,omitempty"`
	Revoked []revokedSerial   `json:"revoked,omitempty"`
	Serial  string            `json:"serial,omitempty"`
	End     time.Time         `json:"end,omitzero"` // of the certificate
}

type revokedSerial struct {
	Serial string    `json:"serial"` // hexadecimal
	At     time.Time `json:"at"`
	Until  time.Time `json:"until"` // end of the certificate
}

func hashOf(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// readState returns the state of dir, an empty one if nothing was made there.
func readState(dir string) (*manifestState, error) {
	s := &manifestState{Version: manifestStateVersion, Items: map[string]*itemState{}}
	path := filepath.Join(dir, manifestStateFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(s); err != nil {
		return nil, fmt.Errorf("%s cannot be read (%w); move the directory away to have everything made anew", path, err)
	}
	if s.Version != manifestStateVersion {
		return nil, fmt.Errorf("%s is of version %d, this program knows %d", path, s.Version, manifestStateVersion)
	}
	for name, item := range s.Items {
		if item == nil {
			delete(s.Items, name)
		}
	}
	return s, nil
}

// IsApplied reports whether a manifest was applied in dir.
func IsApplied(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, manifestStateFile))
	return err == nil
}

func (s *manifestState) encode() ([]byte, error) {
	data, err := json.MarshalIndent(s, "", "  ")
	return append(data, '\n'), err
}

// readOwn reads a file that was made by an earlier run. A key that others may
// read is refused.
func readOwn(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, certs.MaxFileSize+1))
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(data); block != nil && block.Type == "PRIVATE KEY" && info.Mode().Perm()&0o077 != 0 {
		return nil, &fs.PathError{Op: "reading", Path: path,
			Err: fmt.Errorf("others may read this key (mode %#o); chmod 600 it, or make it anew if they did: %w", info.Mode().Perm(), fs.ErrPermission)}
	}
	return data, nil
}

func parseOwnKey(path string, data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s: %w", path, certs.ErrNoPrivateKey)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, certs.ErrNoPrivateKey)
	}
	return signer, nil
}
