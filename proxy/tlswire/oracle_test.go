package tlswire

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sighting is one message as tshark and this package both see it: what it is,
// its length if it is a handshake message, and the JA3 of a ClientHello.
type sighting struct {
	dir  Direction
	what string
	ja3  string
}

// unopened are the conversations tshark can read further than we do: there a
// record we call opaque stands for one of tshark's messages.
var unopened = map[string]bool{
	"openssl-ccm":      true, // AES-CCM
	"openssl-camellia": true, // Camellia
	"TLS 1.1":          true, // Finished in CBC with implicit IVs
	"TLS 1.0":          true,
}

// TestAgreesWithTshark reads recorded conversations, and those of crypto/tls
// with itself, with tshark and compares message for message.
func TestAgreesWithTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed")
	}
	all := fixtures(t)
	for i := range handshakeCases {
		all[handshakeCases[i].name] = handshakeCases[i].record(t)
	}
	names := slices.Sorted(maps.Keys(all))
	var conversations []*conversation
	for _, name := range names {
		c := *all[name]
		// What we do not open, tshark shall not.
		c.keyLog = slices.DeleteFunc(slices.Clone(c.keyLog), func(line string) bool {
			return strings.HasPrefix(line, "CLIENT_TRAFFIC_SECRET_0 ") || strings.HasPrefix(line, "CLIENT_EARLY_TRAFFIC_SECRET ")
		})
		// Under the random that is on the wire, too: the line of an accepted
		// encrypted hello has the inner one, that of a resumed TLS 1.2 session
		// none.
		if hello := c.direction(ClientToServer); len(hello) > 43 {
			for _, line := range slices.Clone(c.keyLog) {
				words := strings.Fields(line)
				c.keyLog = append(c.keyLog, fmt.Sprintf("%s %x %s", words[0], hello[11:43], words[2]))
			}
		}
		conversations = append(conversations, &c)
	}
	capture := filepath.Join(t.TempDir(), "oracle.pcapng")
	f, err := os.Create(capture)
	if err != nil {
		t.Fatal(err)
	}
	writeCapture(t, f, conversations)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	seen := tsharkSightings(t, tshark, capture)
	messages := 0
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			messages += compareSightings(t, ourSightings(t, all[name]), seen[firstClientPort+i], unopened[name])
		})
	}
	t.Logf("%d conversations, %d messages", len(names), messages)
}

func compareSightings(t *testing.T, ours, theirs []sighting, unopened bool) int {
	t.Helper()
	n := 0
	for dir := range Direction(2) {
		one := func(s sighting) bool { return s.dir != dir }
		got := slices.DeleteFunc(slices.Clone(ours), one)
		want := slices.DeleteFunc(slices.Clone(theirs), one)
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] && !(unopened && got[i].what == "opaque") {
				t.Errorf("%v: message %d is %+v, tshark says %+v", dir, i, got[i], want[i])
			}
		}
		if len(got) != len(want) {
			t.Errorf("%v: %d messages, tshark says %d:\n%v\n%v", dir, len(got), len(want), got, want)
		}
		n += len(got)
	}
	return n
}

// ourSightings leaves out application data, as tsharkSightings does.
func ourSightings(t *testing.T, c *conversation) []sighting {
	t.Helper()
	messages, _ := c.read(t)
	var list []sighting
	finished := false // TLS 1.3: the client's, which we may not be able to see
	for _, m := range messages {
		s := sighting{dir: m.Direction}
		switch m.Kind {
		case KindHandshake:
			s.what = fmt.Sprintf("handshake %d, %d bytes", m.Type, m.Length)
			finished = finished || m.Type == TypeFinished && m.Direction == ClientToServer && m.Context.Version >= VersionTLS13
			if m.Type == TypeClientHello {
				h := &ClientHello{}
				if err := h.Decode(m.Body); err != nil {
					t.Error(err)
				}
				s.ja3 = h.JA3() + " " + string(h.AppendJA3(nil))
			}
		case KindAlert:
			s.what = fmt.Sprintf("alert %d", m.Body[1])
		case KindChangeCipherSpec:
			s.what = "change_cipher_spec"
		case KindOpaque:
			early := m.Context.Version == 0 || m.Err != nil
			if m.Direction == ClientToServer && m.RecordType == ApplicationDataRecord && (early || finished) {
				continue // tshark has no secret for it either
			}
			s.what = "opaque"
			finished = finished || m.Direction == ClientToServer && m.Context.Version >= VersionTLS13 && m.Err == nil
		default:
			continue
		}
		list = append(list, s)
	}
	return list
}

// tsharkSightings returns what tshark says of each client port.
func tsharkSightings(t *testing.T, tshark, capture string) map[int][]sighting {
	t.Helper()
	// Each certificate of a chain is a level of its tree.
	cmd := exec.Command(tshark, "-n", "-o", "gui.max_tree_depth:5000", "-r", capture, "-d", fmt.Sprintf("tcp.port==%d,tls", oraclePort), "-Y", "tls", "-T", "pdml", "-J", "tcp tls")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := pdml{seen: map[int][]sighting{}}
	decoder := xml.NewDecoder(out)
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("reading tshark's PDML: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok {
			p.start(e)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("tshark: %v", err)
	}
	return p.seen
}

// pdml follows tshark's packet details, where a message is a field with the
// fields inside it, in the order they were dissected.
type pdml struct {
	seen   map[int][]sighting
	source int
	port   int
	typ    string // of the handshake message being read
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (p *pdml) add(what string) {
	dir := ClientToServer
	if p.source == oraclePort {
		dir = ServerToClient
	}
	p.seen[p.port] = append(p.seen[p.port], sighting{dir: dir, what: what})
}

func (p *pdml) start(e xml.StartElement) {
	name, show := attr(e, "name"), attr(e, "show")
	switch name {
	case "tcp.srcport", "tcp.dstport":
		port, _ := strconv.Atoi(show)
		if name == "tcp.srcport" {
			p.source = port
		}
		if port != oraclePort {
			p.port = port
		}
	case "tls.change_cipher_spec":
		p.add("change_cipher_spec")
	case "tls.handshake", "tls.alert_message":
		if strings.Contains(attr(e, "showname"), "Encrypted Handshake Message") || strings.Contains(attr(e, "showname"), "Encrypted Alert") {
			p.add("opaque")
		}
	case "tls.handshake.type":
		p.typ = show
	case "tls.handshake.length":
		p.add("handshake " + p.typ + ", " + show + " bytes")
	case "tls.handshake.ja3":
		p.last().ja3 = show + p.last().ja3
	case "tls.handshake.ja3_full":
		p.last().ja3 += " " + show
	case "tls.alert_message.desc":
		p.add("alert " + show)
	}
}

func (p *pdml) last() *sighting { return &p.seen[p.port][len(p.seen[p.port])-1] }
