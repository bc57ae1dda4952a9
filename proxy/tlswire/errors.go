package tlswire

import "strconv"

// DecodeError says where a message is not what its RFC describes.
type DecodeError struct {
	// Message is the structure that was read, as its RFC writes it, e.g.
	// ClientHello.
	Message string
	// Field is the innermost field that could be named, e.g. cipher_suites.
	Field string
	// Offset is where that field begins, in bytes from the start of the
	// message body.
	Offset int
	// Reason is what is wrong there.
	Reason string
}

func (e *DecodeError) Error() string {
	b := make([]byte, 0, 96)
	b = append(b, "tls: "...)
	b = append(b, e.Message...)
	if e.Field != "" {
		b = append(b, '.')
		b = append(b, e.Field...)
	}
	b = append(b, " at byte "...)
	b = strconv.AppendInt(b, int64(e.Offset), 10)
	b = append(b, ": "...)
	return string(append(b, e.Reason...))
}

// StreamError says why one direction of a connection could not be read on.
type StreamError struct {
	// Offset is where the record begins, in bytes from the start of the
	// direction.
	Offset int64
	// What was wrong, e.g. "record length 17000 exceeds 16640".
	Reason string
}

func (e *StreamError) Error() string { return "tls: " + e.Reason }

// exceeds returns "<what> <got> exceeds <limit>".
func exceeds(what string, got, limit int) string {
	b := make([]byte, 0, 64)
	b = append(b, what...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(got), 10)
	b = append(b, " exceeds "...)
	return string(strconv.AppendInt(b, int64(limit), 10))
}
