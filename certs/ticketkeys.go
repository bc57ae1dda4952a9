package certs

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"
)

// MaxTicketKeys bounds the keys of one file. With one a day, tickets open for as
// long as TLS 1.3 lets them live: seven days (RFC 8446, Section 4.6.1).
const MaxTicketKeys = 16

// ErrTicketKey: a file of ticket keys holds something else.
var ErrTicketKey = errors.New("not a session ticket key")

// LoadTicketKeys reads the keys that seal session tickets, for instances that
// share them: one a line, 64 hexadecimal digits, as `openssl rand -hex 32` prints
// them; what follows # is a remark. The first seals, all open: a new key is put
// behind the first on every instance, then moved to the front, and an old one is
// taken out a week later.
//
// A file that others may read is reported as a warning, one that holds no key, a
// key twice or something else as a [*FileError] that does not repeat it.
func LoadTicketKeys(path string) ([][32]byte, []Warning, error) {
	data, info, err := readFile(path)
	if err != nil {
		return nil, nil, err
	}
	keys, err := parseTicketKeys(path, data)
	if err != nil {
		return nil, nil, err
	}
	var warnings []Warning
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		warnings = append(warnings, Warning{path, WarnKeyMode, "can be read by others than its owner (mode " + modeText(mode) + "): who reads it can decrypt resumed sessions; chmod 600"})
	}
	return keys, warnings, nil
}

func modeText(m fs.FileMode) string {
	const digits = "01234567"
	return string([]byte{'0', digits[m>>6&7], digits[m>>3&7], digits[m&7]})
}

func parseTicketKeys(path string, data []byte) ([][32]byte, error) {
	const hint = "write one key a line, as openssl rand -hex 32 prints them"
	var keys [][32]byte
	seen := make(map[[32]byte]int)
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		b, err := hex.DecodeString(text)
		if err != nil || len(b) != 32 {
			return nil, fileErr(path, ErrTicketKey, hint, "line %d is no key of 64 hexadecimal digits", n)
		}
		key := [32]byte(b)
		if key == [32]byte{} {
			return nil, fileErr(path, ErrTicketKey, hint, "line %d is all zeros, which anybody can guess", n)
		}
		if first, twice := seen[key]; twice {
			return nil, fileErr(path, ErrTicketKey, "", "line %d is the key of line %d", n, first)
		}
		seen[key] = n
		if keys = append(keys, key); len(keys) > MaxTicketKeys {
			return nil, fileErr(path, ErrTooLarge, "take out keys older than a week", "holds more than %d keys", MaxTicketKeys)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fileErr(path, ErrTicketKey, hint, "has a line that is no key")
	}
	if len(keys) == 0 {
		return nil, fileErr(path, ErrTicketKey, hint, "holds no key")
	}
	return keys, nil
}
