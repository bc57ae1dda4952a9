package tlswire

// Transcript reads one connection: what it holds is what the two directions
// need to know of each other. The zero value is ready to use; it must not be
// copied once it was. See the package comment for how.
type Transcript struct {
	streams [2]Stream
	secrets *Secrets
	emit    func(*Message)
	message Message

	onRecord func(*Record)
	record   Record

	negotiation
}

// negotiation is what the ClientHello and ServerHello in clear said.
type negotiation struct {
	context        Context
	clientRandom   [32]byte
	serverRandom   [32]byte
	negotiated     bool // a ServerHello that is no HelloRetryRequest was seen
	retried        bool // a HelloRetryRequest was seen
	encryptThenMAC bool
	truncatedHMAC  bool
}

// maxRetained bounds what [Transcript.Reset] keeps of each buffer, in bytes,
// so that one large certificate does not stay with a pooled Transcript.
const maxRetained = 32 << 10

// Reset makes t ready for another connection and keeps its smaller buffers.
// Keys and plaintext of the last connection are overwritten or let go. The
// Secrets belong to the caller.
func (t *Transcript) Reset() {
	for i := range t.streams {
		t.streams[i].reset()
	}
	t.secrets, t.record, t.negotiation = nil, Record{}, negotiation{}
}

// SetSecrets tells t where to find secrets. It looks there when it meets the
// first record a secret protects, so s may be filled while chunks are fed. It
// only reads s. If nil, or without this call, protected records stay opaque.
func (t *Transcript) SetSecrets(s *Secrets) { t.secrets = s }

// OnRecord makes Feed call f for every record, before the messages that end in
// it; nil ends that. The Record is valid until f returns. Reset keeps f.
func (t *Transcript) OnRecord(f func(*Record)) { t.onRecord = f }

// Feed reads the next chunk of a direction and calls emit for each message
// that ends in it, in order. The chunk may be cut anywhere; at is its time in
// whatever unit the caller uses, and comes back in [Message.First] and
// [Message.Last]. t keeps no reference to b. emit must not call t's methods
// other than Context, Retried and Stream.
func (t *Transcript) Feed(dir Direction, b []byte, at int64, emit func(*Message)) {
	s := t.Stream(dir)
	t.emit = emit
	s.feed(b, at)
	t.emit = nil
	t.message = Message{} // it may alias b
}

// Stream returns the state of a direction, for as long as t is not reset.
func (t *Transcript) Stream(dir Direction) *Stream {
	s := &t.streams[dir&1]
	s.t, s.dir = t, dir&1
	return s
}

// Context returns what was negotiated; it is zero before the ServerHello.
func (t *Transcript) Context() Context { return t.context }

// Retried reports whether the server sent a HelloRetryRequest.
func (t *Transcript) Retried() bool { return t.retried }

// clientHelloBody takes what keys need from a ClientHello in clear. Of two, the
// second counts; it has the random of the first: RFC 8446, Section 4.1.2.
func (t *Transcript) clientHelloBody(body []byte) {
	if !t.negotiated && len(body) >= 2+32 {
		copy(t.clientRandom[:], body[2:])
	}
}

// serverHelloBody takes what keys need from a ServerHello in clear and, in
// TLS 1.3, switches both directions to the handshake keys. It returns what it
// decoded; nil if that met an error.
func (t *Transcript) serverHelloBody(body []byte) *ServerHello {
	h := &ServerHello{}
	err := h.Decode(body)
	if !t.negotiated && (err == nil || h.CipherSuite != 0) {
		t.negotiate(h)
	}
	if err != nil {
		return nil
	}
	return h
}

func (t *Transcript) negotiate(h *ServerHello) {
	if h.HelloRetryRequest {
		t.retried = true
		return
	}
	t.negotiated = true
	t.context = Context{Version: h.Version(), CipherSuite: h.CipherSuite}
	t.serverRandom = h.Random
	t.encryptThenMAC, t.truncatedHMAC = h.EncryptThenMAC, h.TruncatedHMAC
	if t.context.Version >= VersionTLS13 {
		t.Stream(ClientToServer).changeKey(phaseHandshake)
		t.Stream(ServerToClient).changeKey(phaseHandshake)
	}
}
