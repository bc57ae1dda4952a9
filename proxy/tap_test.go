package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/tlswire"
)

func TestASessionThatEndsEarlyForgetsItsSecrets(t *testing.T) {
	ours, theirs := pair(t)
	s := &session{
		epoch: &epoch{Settings: Settings{Inspect: Inspect{Level: InspectMessages}}, record: true}, listener: &Listener{},
		journal: &journal{sink: event.Discard, about: &event.Conn{Started: time.Now()}},
	}
	s.tap = &tap{Conn: ours, session: s}
	theirs.Write([]byte("a hello that nobody answers"))
	if _, err := s.tap.Read(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	log := s.tap.log
	line := fmt.Sprintf("SERVER_HANDSHAKE_TRAFFIC_SECRET %s %s\n", strings.Repeat("ab", 32), strings.Repeat("cd", 32))
	if _, err := (*keyLog)(s.tap).Write([]byte(line)); err != nil || !log.secrets.Has(tlswire.LabelServerHandshake) {
		t.Fatalf("the secret was not taken: %v", err)
	}
	data := log.data
	s.tellClosed(outcome{reason: event.Shutdown, cause: event.CauseDrain, by: byDrain, how: event.ByRST}, nil)
	if s.tap.log != nil || log.secrets.Has(tlswire.LabelServerHandshake) || !bytes.Equal(data, make([]byte, len(data))) {
		t.Errorf("left: recording %v, secret %v, bytes %q", s.tap.log != nil, log.secrets.Has(tlswire.LabelServerHandshake), data)
	}
	if _, err := (*keyLog)(s.tap).Write([]byte(line)); err != nil {
		t.Errorf("a late line of the key log: %v", err)
	}
}

func TestARecordingIsBounded(t *testing.T) {
	r := &recording{}
	for i := range 4 * maxChunks {
		r.add(chunkIn, []byte{byte(i)}, time.Duration(i))
	}
	if n := len(r.chunks); n != maxChunks {
		t.Errorf("%d chunks", n)
	}
	last := r.chunks[maxChunks-1]
	if len(r.data) != 4*maxChunks || r.data[1000] != byte(1000&0xff) || last.at != 4*maxChunks-1 || last.end != 4*maxChunks {
		t.Errorf("%d bytes, the last chunk %+v", len(r.data), last)
	}
	r.add(chunkOut, make([]byte, maxRecording), 0)
	r.add(chunkIn, make([]byte, 10), 0)
	if len(r.data) != maxRecording || r.missing != 4*maxChunks+10 {
		t.Errorf("%d bytes kept, %d missing", len(r.data), r.missing)
	}
}

func TestAlertsInClear(t *testing.T) {
	for _, test := range []struct {
		name  string
		bytes []byte
		code  uint8
		ok    bool
	}{
		{"a fatal one", []byte{21, 3, 3, 0, 2, 2, 48}, 48, true},
		{"close_notify in a record of an old version", []byte{21, 3, 1, 0, 2, 1, 0}, 0, true},
		{"behind a ChangeCipherSpec", []byte{20, 3, 3, 0, 1, 1, 21, 3, 3, 0, 2, 2, 42}, 42, true},
		{"a warning that ends nothing", []byte{21, 3, 3, 0, 2, 1, 90}, 90, false},
		{"an encrypted one", append([]byte{23, 3, 3, 0, 19}, make([]byte, 19)...), 0, false},
		{"a part of one", []byte{21, 3, 3, 0, 2, 2}, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if code, ok := clearAlert(test.bytes); ok != test.ok || ok && code != test.code {
				t.Errorf("got %d, %v", code, ok)
			}
		})
	}
}

func TestStretchesAreBoundedAndSumUp(t *testing.T) {
	var s stretches
	for i := range 100 {
		s.end(phase(i%2), time.Duration(i+1))
	}
	s.end(proof, 50) // from a clock that went back
	all := s.phases()
	var sum time.Duration
	for _, p := range all {
		sum += p.Duration
	}
	if len(all) != maxStretches || sum != 100 {
		t.Errorf("%d stretches of %d", len(all), sum)
	}
}
