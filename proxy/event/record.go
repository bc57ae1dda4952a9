package event

// Record: one TLS record of a handshake (RFC 8446, Section 5.1). It tells the
// header and never the payload, which may hold a session ticket, a PSK binder,
// a key share or the first application data.
type Record struct {
	Direction   Direction `json:"direction"`
	ContentType string    `json:"content_type"`      // IANA's name of the type in the header, "application_data"
	Content     string    `json:"content,omitempty"` // the type inside, of a protected TLS 1.3 record that was opened
	Version     string    `json:"version"`           // as the header has it; it says little about the protocol's
	Length      int       `json:"length"`            // bytes of the payload as it was on the wire
	Encrypted   bool      `json:"encrypted"`         // as it was on the wire
	Padding     int       `json:"padding,omitempty"` // zeros behind the content, RFC 8446, Section 5.4
	Offset      int64     `json:"offset"`            // of the header, in bytes from the start of the direction
	Header      string    `json:"header"`            // its five bytes in hex
}

// Name returns "tls.record".
func (Record) Name() string { return "tls.record" }

// Level returns [Debug].
func (Record) Level() Level { return Debug }

// Tell implements [Body].
func (b Record) Tell(f Facts) {
	f.Text("direction", string(b.Direction))
	f.Text("content_type", b.ContentType)
	text(f, "content", b.Content)
	f.Text("version", b.Version)
	f.Int("length", int64(b.Length))
	f.Bool("encrypted", b.Encrypted)
	count(f, "padding", b.Padding)
	f.Int("offset", b.Offset)
	f.Text("header", b.Header)
}

// Omitted: there was more of a handshake than is told. What an honest client
// sends stays far below the bounds.
type Omitted struct {
	Messages int   `json:"messages"` // not told
	Records  int   `json:"records"`  // not told
	Bytes    int64 `json:"bytes"`    // of the handshake, not kept and so not read
}

// Name returns "tls.omitted".
func (Omitted) Name() string { return "tls.omitted" }

// Level returns [Phase].
func (Omitted) Level() Level { return Phase }

// Tell implements [Body].
func (b Omitted) Tell(f Facts) {
	count(f, "messages", b.Messages)
	count(f, "records", b.Records)
	count(f, "bytes", b.Bytes)
}
