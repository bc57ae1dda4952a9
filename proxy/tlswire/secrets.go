package tlswire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Label names a secret in the key log format that NSS began and crypto/tls
// writes: RFC 9850.
type Label uint8

// The labels of a key log.
const (
	LabelClientRandom       Label = iota // the master secret of TLS 1.2 and earlier
	LabelClientEarlyTraffic              // never used here: 0-RTT data is application data
	LabelClientHandshake                 // opens the client's flight
	LabelServerHandshake                 // opens the server's flight
	LabelClientTraffic0                  // never used here
	LabelServerTraffic0                  // opens session tickets and late alerts
	LabelExporter                        // never used here
	LabelEarlyExporter                   // never used here
	numLabels               = iota
)

var labelNames = [numLabels]string{
	"CLIENT_RANDOM",
	"CLIENT_EARLY_TRAFFIC_SECRET",
	"CLIENT_HANDSHAKE_TRAFFIC_SECRET",
	"SERVER_HANDSHAKE_TRAFFIC_SECRET",
	"CLIENT_TRAFFIC_SECRET_0",
	"SERVER_TRAFFIC_SECRET_0",
	"EXPORTER_SECRET",
	"EARLY_EXPORTER_SECRET",
}

// String returns the label as a key log writes it.
func (l Label) String() string {
	if int(l) < len(labelNames) {
		return labelNames[l]
	}
	return "Label(" + strconv.Itoa(int(l)) + ")"
}

// maxSecret is the length in bytes of the longest secret: the master secret
// and those of SHA-384 are 48. SHA-512 is allowed for.
const maxSecret = 64

// Secrets holds the secrets of one connection. The zero value holds none. It
// prints, formats and marshals as a count; the secrets leave it only through
// [Secrets.AppendKeyLog]. Package fmt cannot call methods of unexported fields:
// a structure that holds Secrets in one needs a String method of its own.
//
// The client random of the lines is remembered but never compared with the
// wire: where ECH was accepted, it is that of the inner ClientHello, which
// is not on the wire. Whose secrets these are is for the caller to know.
//
// It may not be used by two goroutines at once.
type Secrets struct {
	random [32]byte
	length [numLabels]uint8
	value  [numLabels][maxSecret]byte
}

// Errors of [Secrets.AddLine] and [Secrets.Set].
var (
	ErrKeyLogLine   = errors.New("tls: not a key log line")
	ErrUnknownLabel = errors.New("tls: unknown key log label")
)

// AddLine takes in one line of a key log, as crypto/tls hands it to
// KeyLogWriter, with or without its line end. It does not allocate and keeps
// no reference to line. It returns [ErrUnknownLabel] for a label it has no use
// for, which leaves s as it was, as does [ErrKeyLogLine] for anything else
// that is no such line. A label that comes again replaces the earlier secret.
func (s *Secrets) AddLine(line []byte) error {
	line = bytes.TrimRight(line, "\r\n")
	i := bytes.IndexByte(line, ' ')
	if i < 0 || len(line) < i+1+64+1 || line[i+1+64] != ' ' {
		return ErrKeyLogLine
	}
	var random [32]byte
	if !decodeHex(random[:], line[i+1:i+1+64]) {
		return ErrKeyLogLine
	}
	digits := line[i+1+64+1:]
	var value [maxSecret]byte
	n := len(digits) / 2
	if n == 0 || n > maxSecret || !decodeHex(value[:n], digits) {
		return ErrKeyLogLine
	}
	for l, name := range labelNames {
		if name == string(line[:i]) {
			s.random = random
			s.value[l], s.length[l] = value, uint8(n)
			return nil
		}
	}
	return ErrUnknownLabel
}

// decodeHex fills dst from src, which must have exactly twice its length.
func decodeHex(dst, src []byte) bool {
	if len(src) != 2*len(dst) {
		return false
	}
	_, err := hex.Decode(dst, src)
	return err == nil
}

// Set stores a copy of secret under l. It returns [ErrUnknownLabel] if l is
// none of the labels, and [ErrKeyLogLine] if secret is empty or longer than 64
// bytes.
func (s *Secrets) Set(l Label, secret []byte) error {
	if int(l) >= numLabels {
		return ErrUnknownLabel
	}
	if len(secret) == 0 || len(secret) > maxSecret {
		return ErrKeyLogLine
	}
	clear(s.value[l][:])
	copy(s.value[l][:], secret)
	s.length[l] = uint8(len(secret))
	return nil
}

// Has reports whether s holds the secret l.
func (s *Secrets) Has(l Label) bool { return int(l) < numLabels && s.length[l] > 0 }

// Random returns the client random of the last line, or zeros. It is that of
// the inner ClientHello if ECH was accepted.
func (s *Secrets) Random() [32]byte { return s.random }

// get returns the secret l, aliasing s, or nil.
func (s *Secrets) get(l Label) []byte {
	if s == nil || s.length[l] == 0 {
		return nil
	}
	return s.value[l][:s.length[l]]
}

// AppendKeyLog appends the key log line of l with its line end, for the given
// client random. It appends nothing if s does not hold l. What it writes
// opens recorded traffic; LabelClientHandshake and LabelServerHandshake open
// the handshake only.
func (s *Secrets) AppendKeyLog(dst []byte, l Label, random [32]byte) []byte {
	if !s.Has(l) {
		return dst
	}
	dst = append(append(dst, labelNames[l]...), ' ')
	dst = append(appendHex(dst, random[:]), ' ')
	return append(appendHex(dst, s.get(l)), '\n')
}

// Zero overwrites the secrets.
func (s *Secrets) Zero() { *s = Secrets{} }

func (s Secrets) count() int {
	n := 0
	for _, l := range s.length {
		if l > 0 {
			n++
		}
	}
	return n
}

// String says how many secrets there are.
func (s Secrets) String() string { return "[" + strconv.Itoa(s.count()) + " secrets redacted]" }

// GoString is [Secrets.String].
func (s Secrets) GoString() string { return s.String() }

// Format writes [Secrets.String], whatever the verb.
func (s Secrets) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText is [Secrets.String]; so is the JSON form.
func (s Secrets) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
