package sink

import (
	"io"
	"testing"

	"mtlsproxy/proxy/event"
)

// BenchmarkLogLine is what one line costs when events come in batches of 64:
// making it and its share of a write.
func BenchmarkLogLine(b *testing.B) {
	for _, c := range []struct {
		name   string
		format Format
		body   event.Body
	}{
		{"json/handshake.ok", JSON, ok},
		{"json/tls.client_hello", JSON, hello},
		{"json/conn.closed", JSON, event.ConnClosed{Cause: event.CauseClean, By: "client", How: event.ByFIN, BytesIn: 79, BytesOut: 60, Kernel: kernel}},
		{"json/handshake.failed", JSON, event.HandshakeFailed{Failure: incomplete}},
		{"console/handshake.ok", Console, ok},
		{"console/handshake.failed", Console, event.HandshakeFailed{Failure: incomplete}},
	} {
		b.Run(c.name, func(b *testing.B) {
			l := NewLog(LogOptions{Out: io.Discard, Format: c.format})
			batch := make([]event.Event, 64)
			for i := range batch {
				batch[i] = event.Event{Conn: conn, Seq: uint64(i), Time: started, Body: c.body}
			}
			b.ReportAllocs()
			for done := 0; done < b.N; done += len(batch) {
				l.EmitBatch(batch[:min(len(batch), b.N-done)])
			}
		})
	}
}
