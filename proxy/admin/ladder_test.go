package admin

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/proxy/event"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// document runs a sample through Journals.
func document(t testing.TB, s *sample) *Document {
	t.Helper()
	js := NewJournals(JournalsOptions{Ring: 10, Failed: 10})
	s.emit(js)
	j, ok := js.Find(s.conn.ID)
	if !ok {
		t.Fatalf("%s: not kept", s.name)
	}
	return j.Document()
}

func TestLadders(t *testing.T) {
	for _, s := range slices.Concat(samples(), watched()) {
		t.Run(s.name, func(t *testing.T) {
			d := document(t, s)
			golden(t, s.name+".ladder", AppendLadder(nil, d, LadderOptions{}))
			golden(t, s.name+".short", AppendLadder(nil, d, LadderOptions{Short: true}))
			golden(t, s.name+".ascii", AppendLadder(nil, d, LadderOptions{ASCII: true, Width: 80}))
		})
	}
}

func TestDocuments(t *testing.T) {
	for _, s := range slices.Concat(samples(), watched()) {
		t.Run(s.name, func(t *testing.T) {
			d := document(t, s)
			got, err := json.MarshalIndent(d, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, s.name+".json", append(got, '\n'))

			var back Document
			if err := json.Unmarshal(got, &back); err != nil {
				t.Fatal(err)
			}
			again, err := json.MarshalIndent(&back, "", "  ")
			if err != nil || !bytes.Equal(got, again) {
				t.Errorf("the document does not survive a round trip (%v):\n%s", err, cmp.Diff(string(got), string(again)))
			}
			if want, got := AppendLadder(nil, d, LadderOptions{}), AppendLadder(nil, &back, LadderOptions{}); !bytes.Equal(want, got) {
				t.Errorf("the ladder changes over the wire:\n%s", cmp.Diff(string(want), string(got)))
			}
		})
	}
}

func TestWhoWasLetInIsNamedWhateverCameAfterwards(t *testing.T) {
	s := mutual13()
	s.events = s.events[:16] // to handshake.ok
	s.at(13, event.UpstreamFailed{Upstream: "app", Address: "10.0.0.1:80", Reason: event.UpstreamRefused, Detail: "dial tcp 10.0.0.1:80: connection refused", Last: true})
	s.close(event.ConnClosed{Reason: event.UpstreamRefused, Cause: event.CauseUpstreamFailed, By: "upstream", Identity: "spiffe://demo.test/alice", Duration: 14 * time.Millisecond})
	got := string(AppendLadder(nil, document(t, s), LadderOptions{}))
	for _, want := range []string{"✘ failed", "  identity  spiffe://demo.test/alice", "full handshake", "What   Dial tcp 10.0.0.1:80: connection refused. The upstream"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if strings.Contains(got, "presented") || strings.Contains(got, "2 certificates") {
		t.Errorf("told as if the certificate were at fault:\n%s", got)
	}
}
