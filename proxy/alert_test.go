package proxy

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"mtlsproxy/policy"
	"mtlsproxy/proxy/event"
)

// kept is a connection that keeps what is written.
type kept struct {
	net.Conn
	written bytes.Buffer
}

func (k *kept) Write(p []byte) (int, error) { return k.written.Write(p) }

func TestLastWord(t *testing.T) {
	badCertificate := []byte{21, 3, 3, 0, 2, 2, 42}
	tests := []struct {
		name    string
		refused bool
		library bool // alerts are left to crypto/tls
		alert   uint8
		record  []byte
		want    uint8
		last    bool
	}{
		{"the alert after a refusal is the policy's", true, false, 44, badCertificate, 44, true},
		{"the same alert is left as it is", true, false, 42, badCertificate, 42, false},
		{"without a refusal every alert is crypto/tls's", false, false, 44, badCertificate, 42, false},
		{"another alert than that for callbacks is left", true, false, 44, []byte{21, 3, 3, 0, 2, 2, 40}, 40, false},
		{"where alerts are the library's, all of them are", true, true, 44, badCertificate, 42, false},
		{"a warning is left", true, false, 44, []byte{21, 3, 3, 0, 2, 1, 90}, 90, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := &kept{}
			s := &session{epoch: &epoch{}, decision: policy.Decision{Alert: tt.alert}}
			s.face = &face{auth: &policy.ClientAuth{OwnVerification: !tt.library}}
			s.tap = &tap{Conn: conn, session: s}
			s.journal = &journal{about: &event.Conn{Started: time.Now()}}
			s.tap.when.refused = tt.refused
			given := bytes.Clone(tt.record)
			if _, err := s.tap.Write(given); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(given, tt.record) {
				t.Error("crypto/tls's own buffer was changed")
			}
			if got := conn.written.Bytes(); len(got) != len(given) || got[6] != tt.want {
				t.Fatalf("wrote % x, want the alert %d", got, tt.want)
			}
			// Whoever writes next, in the handshake or after it.
			for range 2 {
				n, err := s.tap.Write(tt.record)
				if told := errors.Is(err, errLastWord); told != tt.last || tt.last && n != 0 {
					t.Errorf("the next write: %d, %v; want it refused: %v", n, err, tt.last)
				}
				s.tap.hush()
			}
			if more := conn.written.Len() > len(given); more == tt.last {
				t.Errorf("something followed the alert: %v", more)
			}
		})
	}
}
