//go:build !unix

package main

import "os"

// lockFile does nothing where package syscall has no advisory locks: two demos
// that make certificates in one directory at the same moment may mix them.
func lockFile(*os.File) error { return nil }
