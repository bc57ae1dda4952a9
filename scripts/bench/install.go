package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"
)

// installPeers installs the Debian packages of the peers that are missing. A
// package that cannot be had leaves the others be.
func installPeers(ctx context.Context, missing []peer, tell func(string)) error {
	if os.Getuid() != 0 {
		return errors.New("--install needs root, to install packages")
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("--install needs apt-get: it knows Debian's packages")
	}
	stay, err := forbidServices()
	if err != nil {
		return err
	}
	defer stay()
	apt := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		// It is asked to end: killed, it could leave packages half unpacked.
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		cmd.WaitDelay = time.Minute
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
		return nil
	}
	if err := apt("update", "-qq"); err != nil {
		tell(oneLine(err)) // what is in the lists already may be enough
	}
	for _, p := range missing {
		if p.pkg == "" {
			continue
		}
		tell("installing " + p.pkg)
		install := []string{"install", "-y", "-qq", "--no-install-recommends"}
		if err := apt(append(install, strings.Fields(p.pkg)...)...); err != nil {
			tell(oneLine(err))
		}
	}
	return nil
}

// forbidServices keeps packages from starting the servers they bring, which
// nobody asked for: Debian's packages ask /usr/sbin/policy-rc.d first, and 101
// means no. It returns what takes that back. Where the file exists already, the
// machine has its own answer.
func forbidServices() (stop func(), err error) {
	const policy = "/usr/sbin/policy-rc.d"
	f, err := os.OpenFile(policy, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	stop = func() { os.Remove(policy) }
	_, err = f.WriteString("#!/bin/sh\nexit 101\n")
	if err = errors.Join(err, f.Close()); err != nil {
		stop()
	}
	return stop, err
}
