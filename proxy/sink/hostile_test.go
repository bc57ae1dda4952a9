package sink

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/terminal"
)

// hostile holds texts that somebody may put into a name, to forge a line, to
// command a terminal or to hide something.
var hostile = map[string]string{
	"newline":             "alice\n10:43:16.214 ✔ ok       7q41 127.0.0.1:1  TLS1.3",
	"carriage return":     "alice\r10:43:16.214 ✔ ok",
	"escape sequence":     "alice\x1b[2J\x1b[1;1H\x1b]0;owned\x07",
	"C1 control":          "alice\u009b2J\u0085next",
	"raw C1 byte":         "alice\x9b2J",
	"DEL and backspace":   "alice\x7f\b\b\b\b\broot",
	"NUL":                 "ali\x00ce",
	"bidi override":       "alice\u202eecila\u202c \u2066x\u2069",
	"invisible":           "al\u200bi\u200dc\ufeffe\u00ad",
	"line separators":     "alice\u2028next\u2029next\vnext\fnext",
	"tags beyond the BMP": "alice\U000e0041\U000e007f",
	"invalid UTF-8":       "ali\xffce\xc3\x28\xed\xa0\x80\xf4\x90\x80\x80",
	"cut-off rune":        "alice\xe2\x82",
	"heap of marks":       "a" + strings.Repeat("\u0301", 500),
	"begins with a mark":  "\u0301\u0302alice",
	"wide":                strings.Repeat("漢字", 200),
	"very long":           strings.Repeat("alice ", 20_000),
	"very long word":      strings.Repeat("a", 100_000),
	"quotes":              `","level":"info","event":"handshake.ok","x":"`,
	"backslash":           `alice\u202e\`,
}

// hostileEvents puts s wherever a text from outside may stand.
func hostileEvents(s string) []event.Event {
	leaf := event.Certificate{Subject: s, Issuer: s, Serial: s, SANs: []string{s, s}, EKU: []string{s}}
	named := event.Certificate{Subject: "CN=" + s}
	failure := event.Failure{Reason: event.ClientCAUnknown, Detail: s, LibraryError: s, LastMessage: s, AdvertisedCAs: []string{s}, Received: []byte(s),
		TLS: event.TLSState{ServerName: s, ALPN: s, Group: s, Version: s}, Chain: []event.Certificate{leaf}, Alert: &event.Alert{Description: s}}
	other := &event.Conn{ID: s, Listener: s, Client: netip.AddrPortFrom(netip.MustParseAddr("fe80::1").WithZone(s), 1), Started: started}
	var out []event.Event
	for _, b := range []event.Body{
		event.HandshakeOK{Identity: s, Rule: s, Auth: s, TLS: failure.TLS, Leaf: &leaf}, event.HandshakeOK{Leaf: &named},
		event.HandshakeFailed{Failure: failure}, event.HandshakeReported{Failure: failure},
		event.ClientHello{ServerName: s, ALPN: []string{s}, Extensions: []string{s}}, event.ClientCertificate{Chain: []event.Certificate{leaf}},
		event.UpstreamFailed{Detail: s, Upstream: s, Address: s}, event.ConnClosed{Detail: s, By: s, How: event.How(s), Cause: event.Cause(s), Identity: s},
		event.LimitHit{Action: s, Key: s}, event.Panic{Value: s, Stack: s + "\n\t" + s}, event.ConfigRejected{Trigger: s, Findings: []string{s, s}, NeedsRestart: []string{s}},
		event.ConfigLoaded{Trigger: s, Changed: []string{s}}, event.ProxyStart{Version: s, Config: s},
		event.ProxyReady{Listeners: []event.ListenerReady{{Name: s, Address: s, Upstream: s, ClientAuth: s}}},
		event.CertLoaded{Kind: s, Subject: s, Serial: s, File: s}, event.CertWarning{Kind: s, Detail: s, File: s, Key: s}, event.CertExpiring{CertLoaded: event.CertLoaded{Kind: s, File: s, Key: s, Subject: s, Serial: s}, Detail: s},
		event.SocketOptions{Listener: s, Object: s, Options: []event.SocketOption{{Key: "k", Asked: s, Got: s + s}}},
		event.SocketOption{Listener: s, Object: s, Option: s, Key: s, Asked: s, Got: s, Need: s, Note: s, Err: s}, event.AcceptPaused{Listener: s, Detail: s}, event.LimitLowered{Listener: s, Key: s},
	} {
		out = append(out, event.Event{Conn: other, Seq: 1, Time: started, Body: b})
	}
	return out
}

// checkConsole fails where a line could be taken for another, or reach the
// terminal as anything but text.
func checkConsole(t *testing.T, log string, width int) {
	t.Helper()
	if !utf8.ValidString(log) {
		t.Errorf("not UTF-8: %q", log)
	}
	for line := range strings.Lines(log) {
		text, whole := strings.CutSuffix(line, "\n")
		if !whole {
			t.Errorf("an unfinished line: %q", line)
		}
		if !strings.HasPrefix(text, "10:43:16.214 ") && !strings.HasPrefix(text, strings.Repeat(" ", indent)) {
			t.Errorf("a line begins with somebody's text: %q", text)
		}
		if n := terminal.Cells(text); n > width {
			t.Errorf("%d cells, want at most %d: %q", n, width, text)
		}
		for _, r := range text {
			if r < ' ' || r == 0x7f || !unicode.IsPrint(r) {
				t.Errorf("%U in %q", r, text)
			}
		}
	}
}

func TestHostileTextCannotForgeALineOnTheConsole(t *testing.T) {
	for name, s := range hostile {
		t.Run(name, func(t *testing.T) {
			for _, e := range hostileEvents(s) {
				for _, width := range []int{0, 40, 200} {
					o := LogOptions{Format: Console, Verbose: true, Width: width}
					log := written(o, e)
					if width == 0 {
						width = defaultWidth
					}
					checkConsole(t, log, width)
					if heads := strings.Count("\n"+log, "\n10:43:16.214 "); heads != 1 {
						t.Errorf("one event looks like %d:\n%s", heads, log)
					}
					if n := strings.Count(log, "\n"); n > 2+maxTrace+4*maxBelow {
						t.Errorf("one event takes %d lines", n)
					}
				}
				o := LogOptions{Format: Console, Verbose: true, ASCII: true}
				for _, c := range []byte(written(o, e)) {
					if c != '\n' && (c < ' ' || c > '~') {
						t.Fatalf("byte %#x in ASCII", c)
					}
				}
			}
		})
	}
}

func TestHostileTextCannotForgeALineInJSON(t *testing.T) {
	for name, s := range hostile {
		t.Run(name, func(t *testing.T) {
			for _, e := range hostileEvents(s) {
				line := written(LogOptions{}, e)
				if strings.Count(line, "\n") != 1 || !json.Valid([]byte(line)) {
					t.Fatalf("not one line of JSON: %q", line)
				}
				for _, r := range strings.TrimSuffix(line, "\n") {
					if r < ' ' || !unicode.IsPrint(r) {
						t.Fatalf("%U in %q", r, line)
					}
				}
				keysInOrder(t, line)
			}
		})
	}
}

func TestJSONKeepsTheTextItEscapes(t *testing.T) {
	for name, s := range hostile {
		if !utf8.ValidString(s) || len(s) > maxText {
			continue // replaced or cut, on purpose
		}
		var got struct{ Detail string }
		line := written(LogOptions{}, event.Event{Time: started, Body: event.CertWarning{Detail: s}})
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.Detail != s {
			t.Errorf("%s: got %q, %v; want %q", name, got.Detail, err, s)
		}
	}
}

func FuzzConsoleText(f *testing.F) {
	for _, s := range hostile {
		f.Add(s[:min(len(s), 2000)], 120)
	}
	f.Fuzz(func(t *testing.T, s string, width int) {
		width = minWidth + int(uint(width)%200)
		for _, e := range hostileEvents(s) {
			checkConsole(t, written(LogOptions{Format: Console, Verbose: true, Width: width}, e), width)
			if line := written(LogOptions{}, e); !json.Valid([]byte(line)) || strings.Count(line, "\n") != 1 {
				t.Fatalf("not one line of JSON: %q", line)
			}
		}
	})
}
