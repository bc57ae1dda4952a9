package tcpwatch

import (
	"encoding/binary"
	"errors"
	"testing"

	"mtlsproxy/proxy/tcpwire"
)

// netlinkMessage is a message of a dump.
func netlinkMessage(kind uint16, seq uint32, body []byte) []byte {
	b := make([]byte, netlinkHeader, netlinkHeader+len(body))
	binary.NativeEndian.PutUint32(b, uint32(netlinkHeader+len(body)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint32(b[8:], seq)
	return append(b, body...)
}

func diagBody(state tcpwire.State) []byte {
	b := make([]byte, diagMessage)
	b[0], b[1] = familyIPv4, byte(state)
	return b
}

func TestDumpIsParsed(t *testing.T) {
	one := netlinkMessage(sockDiagByFamily, 7, diagBody(tcpwire.FinWait2))
	old := netlinkMessage(sockDiagByFamily, 6, diagBody(tcpwire.Listen))
	done := netlinkMessage(netlinkDone, 7, make([]byte, 4))
	refused := netlinkMessage(netlinkError, 7, []byte{0xf3, 0xff, 0xff, 0xff})
	interrupted := netlinkMessage(netlinkDone, 7, []byte{0xfc, 0xff, 0xff, 0xff})
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the errors are written for little-endian machines")
	}
	join := func(all ...[]byte) (b []byte) {
		for _, m := range all {
			b = append(b, m...)
		}
		return b
	}
	for _, tt := range []struct {
		name  string
		b     []byte
		stop  int // after so many; 0 never
		want  int
		done  bool
		errno replyError
	}{
		{"two and the end", join(one, one, done), 0, 2, true, 0},
		{"more to come", join(one), 0, 1, false, 0},
		{"answers to an earlier question", join(old, one, old, done), 0, 1, true, 0},
		{"enough after one", join(one, one, done), 1, 1, false, 0},
		{"refused", join(refused), 0, 0, false, 13},
		{"interrupted", join(one, interrupted), 0, 1, false, 4},
		{"nothing", nil, 0, 0, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := 0
			done, more, err := parseDump(tt.b, 7, func(s *Socket) bool {
				if s.State != tcpwire.FinWait2 {
					t.Errorf("got a socket in %v", s.State)
				}
				got++
				return got != tt.stop
			})
			var errno replyError
			errors.As(err, &errno)
			if got != tt.want || done != tt.done || errno != tt.errno || more != (err == nil && tt.stop == 0) {
				t.Errorf("got %d, done %v, more %v, %v; want %d, %v, errno %d", got, done, more, err, tt.want, tt.done, tt.errno)
			}
		})
	}
	for n := range len(one) {
		if n >= netlinkHeader {
			if _, _, err := parseDump(one[:n], 7, func(*Socket) bool { return true }); !errors.Is(err, tcpwire.ErrMalformed) {
				t.Errorf("cut at %d: %v, want malformed", n, err)
			}
		}
	}
}

func FuzzParseDump(f *testing.F) {
	f.Add(netlinkMessage(sockDiagByFamily, 1, diagBody(tcpwire.Established)))
	f.Add(netlinkMessage(netlinkDone, 1, make([]byte, 4)))
	f.Add(netlinkMessage(netlinkError, 1, make([]byte, 20)))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		parseDump(b, 1, func(s *Socket) bool {
			classify(s)
			n++
			return true
		})
		if n*(netlinkHeader+diagMessage) > len(b) {
			t.Errorf("%d sockets in %d bytes", n, len(b))
		}
	})
}
