package ca

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Modes of the files.
const (
	certMode fs.FileMode = 0o644
	keyMode  fs.FileMode = 0o600
)

// Files are where [Issued.Write] put things.
type Files struct {
	Cert  string `json:"cert"`          // STEM.pem: leaf, then the issuing CA
	Key   string `json:"key,omitempty"` // STEM-key.pem, unless the key is its owner's
	Chain string `json:"chain"`         // STEM-chain.pem: the same as Cert, under the name other tools look for

	P12 string `json:"p12,omitempty"` // STEM.p12, if asked for
	JKS string `json:"jks,omitempty"` // STEM.jks, if asked for
}

// FilesFor returns the names that [Issued.Write] uses for a stem.
func FilesFor(stem string) Files {
	return Files{Cert: stem + ".pem", Key: stem + "-key.pem", Chain: stem + "-chain.pem"}
}

// Write writes certificate and key beside each other: STEM.pem and
// STEM-chain.pem (leaf and issuing CA, never the root, mode 0644) and
// STEM-key.pem (mode 0600).
//
// All files appear or none. If one of them exists the error matches
// [fs.ErrExist], unless force is set; then they are replaced, each atomically,
// and put back if one cannot be.
func (i *Issued) Write(stem string, force bool) (Files, error) {
	return i.WriteAll(stem, WriteOptions{Force: force})
}

// A file is what is to be written.
type file struct {
	path string
	data []byte
	mode fs.FileMode
}

// writeAll writes all files or none. Everything that can fail for lack of room
// or rights is done on temporary files first; what is left are renames.
func writeAll(files []file, force bool) (err error) {
	var staged []string
	defer func() {
		for _, tmp := range staged {
			_ = os.Remove(tmp) // gone already if all went well
		}
	}()
	for _, f := range files {
		if _, err := os.Lstat(f.path); err == nil && !force {
			return &fs.PathError{Op: "writing", Path: f.path, Err: fs.ErrExist}
		}
		tmp, err := stage(f)
		if tmp != "" {
			staged = append(staged, tmp)
		}
		if err != nil {
			return err
		}
	}
	if err := publish(files, staged, force); err != nil {
		return err
	}
	syncDirs(files)
	return nil
}

// stage writes a file under a temporary name in its own directory.
func stage(f file) (tmp string, err error) {
	t, err := os.CreateTemp(filepath.Dir(f.path), ".new-*") // mode 0600
	if err != nil {
		return "", fmt.Errorf("writing %s: %w", f.path, err)
	}
	defer func() {
		if cerr := t.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("writing %s: %w", f.path, cerr)
		}
	}()
	if _, err := t.Write(f.data); err != nil {
		return t.Name(), fmt.Errorf("writing %s: %w", f.path, err)
	}
	// Before the name: a certificate must not be readable later than it is there.
	if err := t.Chmod(f.mode); err != nil {
		return t.Name(), fmt.Errorf("writing %s: %w", f.path, err)
	}
	if err := t.Sync(); err != nil {
		return t.Name(), fmt.Errorf("writing %s: %w", f.path, err)
	}
	return t.Name(), nil
}

// publish gives the staged files their names, and takes all back if one fails.
func publish(files []file, staged []string, force bool) (err error) {
	var undo []func()
	var backups []string
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
		for _, b := range backups {
			_ = os.Remove(b) // gone if it was put back
		}
	}()
	for i, f := range files {
		var backup string
		if force {
			if backup, err = keepOld(f.path); err != nil {
				return err
			}
			err = os.Rename(staged[i], f.path)
		} else {
			err = giveName(staged[i], f.path)
		}
		if backup != "" {
			backups = append(backups, backup)
		}
		if err != nil {
			return err
		}
		undo = append(undo, func() { takeBack(f.path, backup) })
	}
	return nil
}

// takeBack undoes the naming of one file.
func takeBack(path, backup string) {
	if backup != "" {
		_ = os.Rename(backup, path) // already on the way out with an error
		return
	}
	_ = os.Remove(path)
}

// giveName names a staged file without replacing anything: a second run at the
// same time loses cleanly. File systems without hard links get a rename after
// the check that writeAll has made.
func giveName(tmp, path string) error {
	err := os.Link(tmp, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		if err != nil {
			return &fs.PathError{Op: "writing", Path: path, Err: fs.ErrExist}
		}
		return nil
	}
	return os.Rename(tmp, path)
}

// keepOld gives the file that is to be replaced a second name, so that it can
// be put back. It returns "" if there is none.
func keepOld(path string) (string, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return "", &fs.PathError{Op: "writing", Path: path, Err: errors.New("is a directory")}
	}
	backup := filepath.Join(filepath.Dir(path), fmt.Sprintf(".old-%d-%s", os.Getpid(), filepath.Base(path)))
	_ = os.Remove(backup) // left by a process that was killed
	if err := os.Link(path, backup); err != nil {
		return "", err
	}
	return backup, nil
}

// syncDirs makes the names last, so that a power cut after success does not
// leave a key without its certificate. Not every file system can do it for a
// directory, and the files are there all the same, so it is best effort.
func syncDirs(files []file) {
	done := make(map[string]bool)
	for _, f := range files {
		dir := filepath.Dir(f.path)
		if done[dir] {
			continue
		}
		done[dir] = true
		if d, err := os.Open(dir); err == nil {
			_ = d.Sync()
			_ = d.Close()
		}
	}
}
