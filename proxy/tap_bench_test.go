package proxy

import (
	"io"
	"net"
	"testing"
	"time"

	"mtlsproxy/proxy/event"
)

// BenchmarkTap measures what the tap adds to a read and a write once the handshake
// is over, on a loopback connection that carries records of 16 KiB, by taking
// turns with the bare connection. "tap/bare" is the one over the other; neither
// may allocate.
func BenchmarkTap(b *testing.B) {
	for _, size := range []int{64, 16 << 10} {
		b.Run(map[int]string{64: "64B", 16 << 10: "16KiB"}[size], func(b *testing.B) {
			ours, theirs := pair(b)
			tap := &tap{Conn: ours, session: &session{epoch: new(epoch), journal: &journal{about: &event.Conn{Started: time.Now()}}}}
			tap.hush()
			go io.Copy(theirs, theirs) // what is written comes back
			buf := make([]byte, size)
			round := func(c net.Conn) time.Duration {
				began := time.Now()
				for range 16 {
					if _, err := c.Write(buf); err != nil {
						b.Fatal(err)
					}
					for got := 0; got < size; {
						n, err := c.Read(buf)
						if err != nil {
							b.Fatal(err)
						}
						got += n
					}
				}
				return time.Since(began)
			}
			var bare, tapped time.Duration
			b.ReportAllocs()
			for b.Loop() {
				bare += round(ours)
				tapped += round(tap)
			}
			b.ReportMetric(float64(tapped)/float64(bare), "tap/bare")
		})
	}
}

// pair returns the two ends of a connection on loopback.
func pair(t testing.TB) (ours, theirs net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if theirs, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if ours, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func TestAQuietTapAllocatesNothing(t *testing.T) {
	ours, theirs := pair(t)
	tap := &tap{Conn: ours, session: &session{epoch: new(epoch), journal: &journal{about: &event.Conn{Started: time.Now()}}}}
	tap.hush()
	buf := make([]byte, 1024)
	if n := testing.AllocsPerRun(100, func() {
		tap.Write(buf)
		io.ReadFull(theirs, buf)
		theirs.Write(buf)
		io.ReadFull(tap, buf)
	}); n != 0 {
		t.Errorf("%v allocations for a write and a read", n)
	}
}
