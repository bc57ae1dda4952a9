package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs/ca"
	"mtlsproxy/certs/ca/store"
)

// caFlags are the flags of every command that works with a CA.
type caFlags struct {
	dir, inventory string
	quiet          bool
}

func (f *caFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dir, "dir", "", "directory of the CA (default: ca in the state directory)")
	cmd.Flags().StringVar(&f.inventory, "inventory", "", "where the inventory is: a PostgreSQL URL, an SQLite file or none (default: inventory.db in the CA's directory, or what its ca.yaml says)")
	cmd.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "say nothing but warnings and errors")
}

// talk is where to say what is not data.
func (f *caFlags) talk(cmd *cobra.Command) io.Writer {
	if f.quiet {
		return io.Discard
	}
	return cmd.ErrOrStderr()
}

// openedCA is an authority of a directory with its inventory.
type openedCA struct {
	*ca.Authority
	dir      string
	settings ca.Settings
	store    *store.Store // nil if it is to have none
}

func (o *openedCA) close() {
	if o.store != nil {
		_ = o.store.Close() // every operation has ended by now, for better or worse
	}
}

// open opens the CA and its inventory, and tells what is to be remarked. Close
// it after use.
func (f *caFlags) open(cmd *cobra.Command) (*openedCA, error) {
	dir, err := caDir(f.dir)
	if err != nil {
		return nil, err
	}
	// A rotation that is under way ends first: root and issuing CA belong together.
	var authority *ca.Authority
	err = whileLocked(dir, func() error {
		authority, err = ca.Open(dir)
		return err
	})
	if errors.Is(err, ca.ErrNoAuthority) {
		return nil, exitWith(exNoInput, fmt.Errorf("%w; make one with: proxy ca init --dir %s", err, shellWord(dir)))
	}
	if err != nil {
		return nil, caFailure(err)
	}
	for _, w := range authority.Warnings() {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n", w)
	}
	o := &openedCA{Authority: authority, dir: dir}
	if o.settings, err = ca.LoadSettings(dir); err != nil {
		return nil, exitWith(exConfig, err)
	}
	place := inventoryPlace(cmd, dir, f.inventory, o.settings)
	if place == noInventory {
		return o, nil
	}
	if o.store, err = store.Open(cmd.Context(), place); err != nil {
		return nil, storeFailure(err)
	}
	o.SetInventory(o.store)
	return o, nil
}

// noInventory is the place of an inventory that is not wanted.
const noInventory = "none"

// inventoryPlace says where the inventory of the CA in a directory is: where the
// flag says, else where the settings say, else in the directory. It warns of a
// password that others may read.
func inventoryPlace(cmd *cobra.Command, dir, flag string, s ca.Settings) string {
	if path := filepath.Join(dir, ca.SettingsFile); s.Secret() {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s holds the database's password and is open to others (%#o); chmod 600\n", path, info.Mode().Perm())
		}
	}
	return cmp.Or(flag, s.Inventory, filepath.Join(dir, store.DefaultFile))
}

// openRecords opens the inventory to be read. Where a manifest has made the
// directory there is no one CA to open, and the authority is nil.
func (f *caFlags) openRecords(cmd *cobra.Command) (*openedCA, error) {
	o, err := f.openStore(cmd)
	if !errors.Is(err, ca.ErrNoAuthority) {
		return o, err
	}
	dir, dirErr := caDir(f.dir)
	settings, settingsErr := ca.LoadSettings(dir)
	if dirErr != nil || settingsErr != nil || !ca.IsApplied(dir) {
		return nil, err
	}
	place := inventoryPlace(cmd, dir, f.inventory, settings)
	if place == noInventory {
		return nil, errNoInventory()
	}
	o = &openedCA{dir: dir, settings: settings}
	if o.store, err = store.Open(cmd.Context(), place); err != nil {
		return nil, storeFailure(err)
	}
	return o, nil
}

func errNoInventory() error {
	return exitWith(exUsage, errors.New("this needs the inventory, and there is none (--inventory, or inventory in ca.yaml)"))
}

// openStore opens a CA for a command that is nothing without the inventory.
func (f *caFlags) openStore(cmd *cobra.Command) (*openedCA, error) {
	o, err := f.open(cmd)
	if err == nil && o.store == nil {
		return nil, errNoInventory()
	}
	return o, err
}

// all returns the authority, its root if that issues nothing else, and those
// that rotations have left: everyone who may have signed something.
func (o *openedCA) all() ([]*ca.Authority, error) {
	out := []*ca.Authority{o.Authority}
	root := func(dir string, a *ca.Authority) {
		if a.Issuer() == a.Root() {
			return
		}
		// Without its key, which may be kept elsewhere, the root says nothing.
		if r, err := ca.OpenRoot(dir); err == nil {
			out = append(out, r)
		}
	}
	root(o.dir, o.Authority)
	previous, err := ca.Previous(o.dir)
	if err != nil {
		return nil, caFailure(err)
	}
	for _, p := range previous {
		out = append(out, p)
		root(filepath.Dir(p.Paths().Root), p)
	}
	// A rotation that kept the keys leaves two that speak with one voice.
	seen := make(map[string]bool)
	unique := out[:0]
	for _, a := range out {
		if !seen[a.KeyID()] {
			seen[a.KeyID()] = true
			unique = append(unique, a)
		}
	}
	return unique, nil
}

// writeCRLs writes the CRLs of everyone who may have signed something into one
// file, the issuing CA's first. One run at a time does so: else the slower of
// two would put an older list over a newer one.
func (o *openedCA) writeCRLs(ctx context.Context, life time.Duration) (path string, err error) {
	lock, err := lockCA(o.dir)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	path = ca.CRLFile(o.dir)
	last, err := ca.LastCRLNumbers(path)
	if err != nil {
		return "", caFailure(err)
	}
	issuers, err := o.all()
	if err != nil {
		return "", err
	}
	revoked, err := o.store.List(ctx, store.Filter{Status: ca.StatusRevoked})
	if err != nil {
		return "", storeFailure(err)
	}
	var out []byte
	for _, a := range issuers {
		number, err := o.store.NextCRLNumber(ctx, a.KeyID(), last[a.KeyID()]+1)
		if err != nil {
			return "", storeFailure(err)
		}
		crl, err := a.CRL(ca.CRLRequest{Number: number, Revoked: revoked, Life: life})
		if err != nil {
			return "", caFailure(err)
		}
		out = append(out, crl...)
	}
	return path, caFailure(ca.WriteCRLs(path, out))
}

// lockCA waits until no other run changes the files of a CA. Closing the lock
// ends it.
func lockCA(dir string) (io.Closer, error) {
	lock, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, caFailure(err)
	}
	if err := lockFile(lock); err != nil {
		lock.Close()
		return nil, exitWith(exTempFail, fmt.Errorf("another run changes the CA in %s: %w", dir, err))
	}
	return lock, nil
}

// whileLocked does something while no other run changes the CA's files, or those
// that are written for it. In a directory that is not there or may only be read
// there is nothing to lock, and nobody who could change it.
func whileLocked(dir string, do func() error) error {
	lock, err := lockCA(dir)
	switch {
	case err == nil:
		defer lock.Close()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
	default:
		return err
	}
	return do()
}

// storeFailure gives an error of the inventory its exit code.
func storeFailure(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrUnavailable):
		return exitWith(exUnavailable, err)
	case errors.Is(err, store.ErrNotFound):
		return exitWith(exNo, err)
	}
	return caFailure(err)
}

// readPassword reads the first line of a file.
func readPassword(cmd *cobra.Command, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", caFailure(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s: the password is open to others (%#o); chmod 600\n", path, info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", caFailure(err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", exitWith(exDataErr, fmt.Errorf("%s: its first line is empty, and is to be the password", path))
	}
	return line, nil
}
