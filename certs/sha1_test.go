package certs

import (
	"crypto"
	"crypto/sha1"
)

func sha1Sum(b []byte) []byte { s := sha1.Sum(b); return s[:] }

type sha1Opts struct{}

func (sha1Opts) HashFunc() crypto.Hash { return crypto.SHA1 }
