package certs

import (
	"errors"
	"fmt"
)

// What can be wrong with a file, for errors.Is. A file that is missing or may
// not be read matches [io/fs.ErrNotExist] or [io/fs.ErrPermission] instead.
var (
	// ErrNoCertificate: the file is readable and holds no certificate.
	ErrNoCertificate = errors.New("no certificate found")
	// ErrNoPrivateKey: the file is readable and holds no private key.
	ErrNoPrivateKey = errors.New("no private key found")
	// ErrKeyEncrypted: the private key is protected by a passphrase.
	ErrKeyEncrypted = errors.New("private key is encrypted")
	// ErrKeyMismatch: the private key belongs to none of the certificates.
	ErrKeyMismatch = errors.New("private key does not match the certificate")
	// ErrUnexpectedKey: a private key lies in a file of trusted certificates.
	ErrUnexpectedKey = errors.New("private key in a file of CA certificates")
	// ErrExpired: the certificate's notAfter is past.
	ErrExpired = errors.New("certificate has expired")
	// ErrNotYetValid: the certificate's notBefore is still to come.
	ErrNotYetValid = errors.New("certificate is not yet valid")
	// ErrNotCA: the certificate may not sign others, so nothing can chain to it.
	ErrNotCA = errors.New("certificate is not a CA")
	// ErrNotPEM: the file is DER, PKCS #12 or something else that is not PEM.
	ErrNotPEM = errors.New("not PEM")
	// ErrMalformed: the PEM is there and what it holds cannot be parsed.
	ErrMalformed = errors.New("cannot be parsed")
	// ErrTooLarge: the file is larger than [MaxFileSize], or a directory holds
	// more than [MaxDirFiles] files.
	ErrTooLarge = errors.New("too large")
	// ErrNotRegular: a directory, pipe or device where a file belongs.
	ErrNotRegular = errors.New("not a regular file")
	// ErrEmptyPool: a pool was asked for without a single certificate.
	ErrEmptyPool = errors.New("no CA certificates given")
)

// A FileError says what is wrong with one file and what to do about it. It
// unwraps to one of this package's Err values, or to the error of the file
// system.
type FileError struct {
	Path string // as it was given
	What string // what is wrong, in one clause
	Hint string // what to do; may be empty
	Err  error  // the cause, for errors.Is; never nil
}

// Error returns "path: what; hint".
func (e *FileError) Error() string {
	s := e.Path + ": " + e.What
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

func fileErr(path string, cause error, hint, format string, args ...any) *FileError {
	return &FileError{Path: path, What: fmt.Sprintf(format, args...), Hint: hint, Err: cause}
}

// A Warning is a remark about a file that was loaded all the same.
type Warning struct {
	Path string
	Code WarningCode
	Text string // one clause, with what to do
}

// String returns "path: text".
func (w Warning) String() string { return w.Path + ": " + w.Text }

// A WarningCode names the kind of a [Warning]; the values do not change.
type WarningCode string

// The kinds of warnings.
const (
	WarnKeyMode      WarningCode = "key_mode"      // the key can be read by group or others
	WarnChainOrder   WarningCode = "chain_order"   // certificates were put in order
	WarnChainExtra   WarningCode = "chain_extra"   // a certificate that belongs to no chain, or the root
	WarnUsage        WarningCode = "usage"         // extended key usage does not fit the role
	WarnNoNames      WarningCode = "no_names"      // a server certificate without subject alternative names
	WarnWeak         WarningCode = "weak"          // small RSA key or SHA-1 signature
	WarnExpiredCA    WarningCode = "expired_ca"    // some trust anchors have expired
	WarnFutureCA     WarningCode = "future_ca"     // some trust anchors are not yet valid
	WarnDuplicate    WarningCode = "duplicate"     // the same certificate twice
	WarnIgnored      WarningCode = "ignored"       // a PEM block or file that was passed over
	WarnExpiresSoon  WarningCode = "expires_soon"  // less than a tenth of the life is left
	WarnChainExpired WarningCode = "chain_expired" // an intermediate that is sent along is out of date
)
