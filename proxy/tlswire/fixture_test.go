package tlswire

import "testing"

func TestDumpStories(t *testing.T) {
	for name, c := range fixtures(t) {
		got, tr := c.read(t)
		t.Logf("%s (%v): %s", name, tr.Context(), story(got))
		for _, m := range got {
			if _, err := m.Decode(); err != nil {
				t.Errorf("%s %s: %v", name, line(&m), err)
			}
		}
	}
}
