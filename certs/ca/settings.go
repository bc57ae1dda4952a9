package ca

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// SettingsFile is the name of the settings in the directory of an authority.
const SettingsFile = "ca.yaml"

// Settings are what may be said once for an authority in its directory, in the
// file ca.yaml. There need not be one.
type Settings struct {
	// Inventory is where the inventory is: a PostgreSQL URL, the path of an
	// SQLite file, or "none". If empty, an SQLite file in the directory.
	Inventory string `yaml:"inventory"`

	// Profiles is the path of a file of profiles. If empty, there are the ones
	// that are always there.
	Profiles string `yaml:"profiles"`
}

// Secret reports whether the settings hold a password.
func (s Settings) Secret() bool {
	u, err := url.Parse(s.Inventory)
	if err != nil {
		return strings.Contains(s.Inventory, "://") // what cannot be read may hold one
	}
	_, has := u.User.Password()
	return has || u.Query().Has("password")
}

// LoadSettings reads the settings of a directory, strictly; paths in them are
// relative to it. A directory without settings has the zero value. What is wrong
// in the file gives an error that matches [ErrBadRequest].
func LoadSettings(dir string) (Settings, error) {
	var s Settings
	path := filepath.Join(dir, SettingsFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return s, fmt.Errorf("%s: %w", path, bad("%s", strings.TrimPrefix(err.Error(), "yaml: ")))
	}
	for _, p := range []*string{&s.Inventory, &s.Profiles} {
		if *p != "" && *p != "none" && !strings.Contains(*p, "://") && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	return s, nil
}
