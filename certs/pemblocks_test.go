package certs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
)

// spoilt returns PEM text in which a line of the base64 is not.
func spoilt(text []byte) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	lines[2] = append([]byte("****"), lines[2]...)
	return bytes.Join(lines, nil)
}

func indented(text []byte) []byte {
	return bytes.ReplaceAll(append([]byte("  "), text...), []byte("\n-"), []byte("\n  -"))
}

func asUTF16(text []byte) []byte {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(string(text))) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestNoBlockIsPassedOver(t *testing.T) {
	a, b := newRoot(t, "A"), newRoot(t, "B")
	first, second := certPEM(a), certPEM(b)
	lines := bytes.Count(first, []byte("\n"))
	const truncated = "cannot be read (truncated or edited)"
	for _, tt := range []struct {
		name string
		data []byte
		want int    // certificates, where it can be read
		says string // where it cannot
	}{
		{name: "two whole ones", data: join(first, second), want: 2},
		{name: "with a byte order mark before each", data: join(byteOrderMark, first, byteOrderMark, second), want: 2},
		{name: "lines that end in CR LF", data: bytes.ReplaceAll(join(first, second), []byte("\n"), []byte("\r\n")), want: 2},
		{name: "text that speaks of a beginning", data: join([]byte("# after -----BEGIN CERTIFICATE----- comes base64\n"), first), want: 1},
		{name: "the first damaged", data: join(spoilt(first), second), says: "begins in line 1 " + truncated},
		{name: "the second damaged", data: join(first, spoilt(second)), says: "begins in line " + strconv.Itoa(lines+1) + " " + truncated},
		{name: "the second cut short", data: join(first, second[:90]), says: "begins in line " + strconv.Itoa(lines+1) + " " + truncated},
		{name: "no line break between them", data: join(bytes.TrimSpace(first), second, first), says: "begin a new line between -----END … and -----BEGIN …"},
		{name: "no line break before the last", data: join(bytes.TrimSpace(first), second), says: "begin a new line between -----END … and -----BEGIN …"},
		{name: "indented, as cut out of YAML", data: join(indented(first), second), says: "take away the spaces before -----BEGIN"},
		{name: "UTF-16", data: asUTF16(first), says: "is text in UTF-16, not PEM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := writeFile(t, t.TempDir(), "ca.pem", tt.data, 0o644)
			pool, err := fixedClock().LoadPool(path)
			if tt.says == "" {
				if err != nil || pool.Len() != tt.want {
					t.Fatalf("%d certificates, %v; want %d", pool.Len(), err, tt.want)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
			var fe *FileError
			if !errors.As(err, &fe) || fe.Path != path {
				t.Errorf("%v does not name %s", err, path)
			}
		})
	}
}

func TestAKeyPairWithByteOrderMarks(t *testing.T) {
	root := newRoot(t, "root")
	issuing := root.ca(t, "issuing")
	server := issuing.leaf(t, "server", forServer)
	dir := t.TempDir()
	marked := func(name string, data []byte, mode os.FileMode) string {
		return writeFile(t, dir, name, join(byteOrderMark, data), mode)
	}
	pair, err := fixedClock().LoadKeyPair(marked("c.pem", certPEM(server, issuing), 0o644), marked("k.pem", keyPEM(t, server.key), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if len(pair.Chain) != 2 || !pair.Leaf.Equal(server.cert) {
		t.Errorf("a chain of %d that begins with %v", len(pair.Chain), pair.Leaf.Subject)
	}
}
