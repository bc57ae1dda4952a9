package certs

import (
	"bytes"
	"encoding/pem"
)

// PEMBlocks returns the PEM blocks of data in their order, whatever they hold,
// and none where there are none. name is what errors call the data.
//
// Unlike pem.Decode it passes over no block that it cannot read: of two CAs in a
// file, one would silently not be trusted, and of two revocation lists one not be
// heard. It fails with a [*FileError] that matches [ErrMalformed] and names the
// line, and with [ErrNotPEM] for text in UTF-16. A byte order mark, which some
// editors write, is no obstacle.
func PEMBlocks(name string, data []byte) ([]*pem.Block, error) {
	if isUTF16(data) {
		return nil, fileErr(name, ErrNotPEM, "save it as ASCII or UTF-8, or convert it: iconv -f UTF-16 -t ASCII", "is text in UTF-16, not PEM")
	}
	data = bytes.ReplaceAll(data, byteOrderMark, nil)
	var out []*pem.Block
	for rest := data; ; {
		block, after := pem.Decode(rest)
		span := rest[:len(rest)-len(after)] // what led to the block, and the block
		expected := 1
		if block == nil {
			span, expected = rest, 0
		}
		if begun := pemBeginnings(span); len(begun) > expected {
			at := len(data) - len(rest) + begun[0]
			return nil, unreadableBlock(name, data, at)
		}
		if block == nil {
			return out, nil
		}
		out, rest = append(out, block), after
	}
}

var (
	byteOrderMark = []byte("\xef\xbb\xbf") // of UTF-8
	dashes        = []byte("-----")
	pemBegin      = []byte("-----BEGIN ")
)

func isUTF16(data []byte) bool {
	return bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff"))
}

// pemBeginnings returns where lines that are meant to begin a block have their
// -----BEGIN: alone on the line, but for spaces, or behind the -----END of another
// block. In the middle of a sentence it begins nothing.
func pemBeginnings(data []byte) []int {
	var out []int
	for at := 0; ; {
		i := bytes.Index(data[at:], pemBegin)
		if i < 0 {
			return out
		}
		begin := at + i
		at = begin + len(pemBegin)
		before := bytes.TrimSpace(data[bytes.LastIndexByte(data[:begin], '\n')+1 : begin])
		line, _, _ := bytes.Cut(data[at:], []byte("\n"))
		if (len(before) == 0 || bytes.HasSuffix(before, dashes)) && bytes.HasSuffix(bytes.TrimSpace(line), dashes) {
			out = append(out, begin)
		}
	}
}

// unreadableBlock says why the block that begins at an offset is none.
func unreadableBlock(name string, data []byte, at int) error {
	lineStart := bytes.LastIndexByte(data[:at], '\n') + 1
	line := 1 + bytes.Count(data[:lineStart], []byte("\n"))
	hint := "copy it again, whole lines from -----BEGIN to -----END"
	_, body, _ := bytes.Cut(data[at:], []byte("\n"))
	_, end, _ := bytes.Cut(body, []byte("-----END "))
	end, _, _ = bytes.Cut(end, []byte("\n"))
	switch {
	case at > lineStart && bytes.HasSuffix(bytes.TrimSpace(data[lineStart:at]), dashes), bytes.Contains(end, pemBegin):
		hint = "begin a new line between -----END … and -----BEGIN …"
	case at > lineStart:
		hint = "take away the spaces before -----BEGIN"
	}
	return fileErr(name, ErrMalformed, hint, "the PEM block that begins in line %d cannot be read (truncated or edited)", line)
}
