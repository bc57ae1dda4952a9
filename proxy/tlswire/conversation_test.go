package tlswire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// conversation is a recorded connection: the chunks of both directions in the
// order they crossed the wire, and the key log.
type conversation struct {
	comment string // where it comes from
	chunks  []chunk
	keyLog  []string
}

type chunk struct {
	dir   Direction
	bytes []byte
}

// parseConversation reads what format writes: "# …" is a comment, "> …" and
// "< …" are chunks from client and server in hexadecimal, anything else is a
// line of a key log.
func parseConversation(text []byte) (*conversation, error) {
	c := &conversation{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case line == "":
		case strings.HasPrefix(line, "# "):
			c.comment += line[2:] + "\n"
		case strings.HasPrefix(line, "> "), strings.HasPrefix(line, "< "):
			b, err := hex.DecodeString(line[2:])
			if err != nil {
				return nil, err
			}
			dir := ClientToServer
			if line[0] == '<' {
				dir = ServerToClient
			}
			c.chunks = append(c.chunks, chunk{dir, b})
		default:
			c.keyLog = append(c.keyLog, line)
		}
	}
	return c, lines.Err()
}

func (c *conversation) format() []byte {
	var b bytes.Buffer
	for line := range strings.Lines(c.comment) {
		fmt.Fprintf(&b, "# %s", line)
	}
	for _, line := range c.keyLog {
		fmt.Fprintln(&b, line)
	}
	for _, ch := range c.chunks {
		mark := '>'
		if ch.dir == ServerToClient {
			mark = '<'
		}
		fmt.Fprintf(&b, "%c %x\n", mark, ch.bytes)
	}
	return b.Bytes()
}

func (c *conversation) secrets(t testing.TB) *Secrets {
	t.Helper()
	s := &Secrets{}
	for _, line := range c.keyLog {
		if err := s.AddLine([]byte(line)); err != nil {
			t.Fatalf("key log line %q: %v", line, err)
		}
	}
	return s
}

// direction returns all bytes of one direction.
func (c *conversation) direction(dir Direction) []byte {
	var b []byte
	for _, ch := range c.chunks {
		if ch.dir == dir {
			b = append(b, ch.bytes...)
		}
	}
	return b
}

// read returns what a Transcript makes of c, each message with a Body of its
// own, and the Transcript.
func (c *conversation) read(t testing.TB) ([]Message, *Transcript) {
	t.Helper()
	tr := &Transcript{}
	tr.SetSecrets(c.secrets(t))
	var got []Message
	for i, ch := range c.chunks {
		tr.Feed(ch.dir, ch.bytes, int64(i), func(m *Message) {
			own := *m
			own.Body = bytes.Clone(m.Body)
			got = append(got, own)
		})
	}
	return got, tr
}

// line shows a message as one short line; a star says encrypted.
func line(m *Message) string {
	arrow, star := ">", ""
	if m.Direction == ServerToClient {
		arrow = "<"
	}
	if m.Encrypted {
		star = "*"
	}
	name := m.Name()
	if m.Kind == KindAlert {
		name = fmt.Sprintf("Alert(%v)", AlertDescription(m.Body[1]))
	}
	if m.Kind == KindMalformed {
		name = fmt.Sprintf("Malformed(%v)", m.Err)
	}
	return arrow + star + name
}

// story shows messages as their lines, joined. Application data and what is
// opaque after it are left out, since how much of it there is depends on when
// a connection is closed.
func story(messages []Message) string {
	var lines []string
	for i := range messages {
		if messages[i].Kind != KindApplicationData && messages[i].Kind != KindOpaque {
			lines = append(lines, line(&messages[i]))
		}
	}
	return strings.Join(lines, " ")
}

// tap records what crosses a connection, as seen by the server.
type tap struct {
	net.Conn
	mu  sync.Mutex
	rec *conversation
}

func (c *tap) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.record(ClientToServer, b[:n])
	return n, err
}

func (c *tap) Write(b []byte) (int, error) {
	c.record(ServerToClient, b)
	return c.Conn.Write(b)
}

func (c *tap) record(dir Direction, b []byte) {
	if len(b) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.chunks = append(c.rec.chunks, chunk{dir, bytes.Clone(b)})
}

// Write takes in a line of the key log; it is the KeyLogWriter.
func (c *tap) writeKeyLog(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.keyLog = append(c.rec.keyLog, strings.TrimSpace(string(b)))
}

type keyLogger struct{ tap *tap }

func (k keyLogger) Write(b []byte) (int, error) {
	k.tap.writeKeyLog(b)
	return len(b), nil
}

// fixtures returns the recorded conversations of real clients in testdata, by
// file name.
func fixtures(t testing.TB) map[string]*conversation {
	t.Helper()
	files, err := filepath.Glob("testdata/*.conv")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata/*.conv: %v, %d files", err, len(files))
	}
	all := map[string]*conversation{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		c, err := parseConversation(text)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		all[strings.TrimSuffix(filepath.Base(f), ".conv")] = c
	}
	return all
}
