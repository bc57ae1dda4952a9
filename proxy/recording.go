package proxy

import (
	"sync"
	"time"

	"mtlsproxy/proxy/tlswire"
)

type chunkDir uint8

const (
	chunkIn  chunkDir = iota // client to proxy
	chunkOut                 // proxy to client
)

// chunk is one Read or Write of the handshake: where its bytes end in the
// recording, and when it was, counted from accept. A read's time is when it
// returned, a write's when it began.
type chunk struct {
	at  time.Duration
	end int32
	dir chunkDir
}

// What is kept of one handshake, both directions together. crypto/tls takes
// 64 KiB a message and 256 KiB for a Certificate, so a handshake that fills
// maxRecording is over its limits anyway. Beyond maxChunks, as a client causes
// that sends byte by byte, chunks of one direction that follow each other become
// one, with the time of the last: a chunk would cost more than the byte it
// brings.
const (
	maxRecording = 640 << 10 // bytes
	maxChunks    = 512
)

// recording is a handshake as it went over the wire, with what it takes to read
// it. Nothing is parsed while it is made.
type recording struct {
	data    []byte
	chunks  []chunk
	missing int64 // bytes that went by and were not kept
	secrets tlswire.Secrets
}

// usualRecording is what a handshake with small certificates takes, and
// largestKept what the pool takes back.
const (
	usualRecording = 8 << 10  // bytes
	largestKept    = 32 << 10 // bytes
)

var recordings = sync.Pool{New: func() any {
	return &recording{data: make([]byte, 0, usualRecording), chunks: make([]chunk, 0, 16)}
}}

// release forgets the bytes and the secrets and gives the buffers back, unless
// they have grown out of the usual.
func (r *recording) release() {
	r.secrets.Zero()
	clear(r.data)
	if cap(r.data) > largestKept {
		return
	}
	r.data, r.chunks, r.missing = r.data[:0], r.chunks[:0], 0
	recordings.Put(r)
}

func (r *recording) add(dir chunkDir, p []byte, at time.Duration) {
	if keep := maxRecording - len(r.data); len(p) > keep {
		r.missing += int64(len(p) - keep)
		p = p[:keep]
	}
	if len(p) == 0 {
		return
	}
	r.data = append(r.data, p...)
	c := chunk{dir: dir, end: int32(len(r.data)), at: at}
	if n := len(r.chunks); n >= maxChunks && r.chunks[n-1].dir == dir {
		r.chunks[n-1] = c
		return
	}
	r.chunks = append(r.chunks, c)
}

// feed gives tr every chunk in the order in which this process saw them, which is
// the causal one. Times are nanoseconds from accept.
func (r *recording) feed(tr *tlswire.Transcript, see func(*tlswire.Message)) {
	start := int32(0)
	for _, c := range r.chunks {
		dir := tlswire.ClientToServer
		if c.dir == chunkOut {
			dir = tlswire.ServerToClient
		}
		tr.Feed(dir, r.data[start:c.end], int64(c.at), see)
		start = c.end
	}
}
