package proxy

import (
	"sync"
	"time"
)

type chunkDir uint8

const (
	chunkIn  chunkDir = iota // client to proxy
	chunkOut                 // proxy to client
)

// chunk is one Read or Write of the handshake: where its bytes end in the
// recording, and when it was. A read's time is when it returned, a write's when
// it began.
type chunk struct {
	dir chunkDir
	end int
	at  time.Time
}

// maxRecording bounds what is kept of one handshake, both directions together.
// crypto/tls takes 64 KiB a message and 256 KiB for a Certificate; a handshake
// that fills this is over its limits anyway.
const maxRecording = 640 << 10 // bytes

// recording is a handshake as it went over the wire. Nothing is parsed while it
// is made.
type recording struct {
	data      []byte
	chunks    []chunk
	truncated bool // more went by than is kept
}

// usualRecording is what a handshake with small certificates takes.
const usualRecording = 8 << 10 // bytes

var recordings = sync.Pool{New: func() any {
	return &recording{data: make([]byte, 0, usualRecording), chunks: make([]chunk, 0, 16)}
}}

// release forgets the bytes and gives the buffers back, unless they have grown
// out of the usual.
func (r *recording) release() {
	if cap(r.data) > 4*usualRecording {
		return
	}
	clear(r.data)
	r.data, r.chunks, r.truncated = r.data[:0], r.chunks[:0], false
	recordings.Put(r)
}

func (r *recording) add(dir chunkDir, p []byte, at time.Time) {
	if keep := maxRecording - len(r.data); len(p) > keep {
		p, r.truncated = p[:keep], true
	}
	if len(p) == 0 {
		return
	}
	r.data = append(r.data, p...)
	r.chunks = append(r.chunks, chunk{dir: dir, end: len(r.data), at: at})
}

// each calls f for every chunk in the order in which this process saw them,
// which is the causal one.
func (r *recording) each(f func(dir chunkDir, p []byte, at time.Time)) {
	start := 0
	for _, c := range r.chunks {
		f(c.dir, r.data[start:c.end], c.at)
		start = c.end
	}
}
