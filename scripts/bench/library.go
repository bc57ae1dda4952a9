package main

import (
	"context"
	"debug/buildinfo"
	"debug/elf"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// told asks a program for its version with the given flag and finds the answer
// by the first pattern that fits; "" if none does.
func told(flag string, patterns ...string) func(program string) string {
	return func(program string) string {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		// Some say it on standard error, some exit with an error all the same.
		out, _ := exec.CommandContext(ctx, program, flag).CombinedOutput()
		return firstMatch(string(out), patterns)
	}
}

func firstMatch(text string, patterns []string) string {
	for _, p := range patterns {
		if found := regexp.MustCompile(p).FindStringSubmatch(text); found != nil {
			return found[1]
		}
	}
	return ""
}

// linked is for a program that does not say: the release of the openssl command
// if the program is linked to OpenSSL's shared library, which both then share.
func linked(program string) string {
	f, err := elf.Open(program)
	if err != nil {
		return ""
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	if err != nil {
		return ""
	}
	for _, l := range libraries {
		if strings.HasPrefix(l, "libssl.so") {
			return told("version", `(OpenSSL \S+)`)("openssl")
		}
	}
	return ""
}

// tlsLibrary names what does a program's cryptography: no comparison means
// anything without it.
func tlsLibrary(p peer, program string) string {
	if info, err := buildinfo.ReadFile(program); err == nil {
		return "crypto/tls of " + strings.Replace(info.GoVersion, "go", "Go ", 1)
	}
	if p.library != nil {
		if name := p.library(program); name != "" {
			return name
		}
	}
	if name := linked(program); name != "" {
		return name
	}
	return "unknown"
}
