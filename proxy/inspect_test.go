package proxy_test

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/certs/ca"
	"mtlsproxy/policy"
	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sink"
)

// wire is one message as the journal has it, in the columns that a test compares:
// direction, name, and whether it was encrypted.
func wire(body event.Body) (string, event.Message, bool) {
	switch b := body.(type) {
	case event.Alert:
		return column(b.Direction, "Alert "+b.Description, b.Encrypted), event.Message{}, true
	case interface{ Wire() event.Message }:
		m := b.Wire()
		if m.Direction == "" {
			return "", m, false
		}
		return column(m.Direction, m.Type, m.Encrypted), m, true
	}
	return "", event.Message{}, false
}

func column(d event.Direction, name string, encrypted bool) string {
	arrow := map[event.Direction]string{event.In: "> ", event.Out: "< "}[d]
	if encrypted {
		name += " *"
	}
	return arrow + name
}

// messages returns the messages of a journal.
func messages(events []event.Event) []string {
	var out []string
	for _, e := range events {
		if line, _, ok := wire(e.Body); ok {
			out = append(out, line)
		}
	}
	return out
}

func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

const (
	full13 = `
		> ClientHello
		< ServerHello
		< ChangeCipherSpec
		< EncryptedExtensions *
		< CertificateRequest *
		< Certificate *
		< CertificateVerify *
		< Finished *
		> ChangeCipherSpec
		> Certificate *
		> CertificateVerify *
		< NewSessionTicket *
		> Finished *`
	full12 = `
		> ClientHello
		< ServerHello
		< Certificate
		< ServerKeyExchange
		< CertificateRequest
		< ServerHelloDone
		> Certificate
		> ClientKeyExchange
		> CertificateVerify
		> ChangeCipherSpec
		> Finished *
		< NewSessionTicket
		< ChangeCipherSpec
		< Finished *`
)

func TestEveryMessageIsTold(t *testing.T) {
	for _, test := range []struct {
		name   string
		server func(*proxy.Settings)
		client func(*lab, *tls.Config)
		again  bool // look at the second connection
		small  bool // the ClientHello comes in records of one byte
		want   string
	}{
		{name: "TLS 1.3 with a client certificate", want: full13},
		{
			name:   "TLS 1.3 without one",
			server: func(s *proxy.Settings) { s.ClientAuth = policy.ClientAuth{} },
			want: `
				> ClientHello
				< ServerHello
				< ChangeCipherSpec
				< EncryptedExtensions *
				< Certificate *
				< CertificateVerify *
				< Finished *
				< NewSessionTicket *
				> ChangeCipherSpec
				> Finished *`,
		},
		{
			name: "TLS 1.3, none shown where one may be", server: func(s *proxy.Settings) { s.ClientAuth.Mode = policy.Request },
			client: func(l *lab, c *tls.Config) { c.GetClientCertificate = l.clientConfig().GetClientCertificate },
			want: `
				> ClientHello
				< ServerHello
				< ChangeCipherSpec
				< EncryptedExtensions *
				< CertificateRequest *
				< Certificate *
				< CertificateVerify *
				< Finished *
				> ChangeCipherSpec
				> Certificate *
				< NewSessionTicket *
				> Finished *`,
		},
		{
			name: "TLS 1.3 resumed", again: true,
			want: `
				> ClientHello
				< ServerHello
				< ChangeCipherSpec
				< EncryptedExtensions *
				< Finished *
				< NewSessionTicket *
				> ChangeCipherSpec
				> Finished *`,
		},
		{
			name:   "HelloRetryRequest",
			server: func(s *proxy.Settings) { s.TLS.Curves = []tls.CurveID{tls.CurveP384} },
			client: func(_ *lab, c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP256, tls.CurveP384} },
			want: `
				> ClientHello
				< HelloRetryRequest
				< ChangeCipherSpec
				> ChangeCipherSpec
				> ClientHello
				< ServerHello
				< EncryptedExtensions *
				< CertificateRequest *
				< Certificate *
				< CertificateVerify *
				< Finished *
				> Certificate *
				> CertificateVerify *
				< NewSessionTicket *
				> Finished *`,
		},
		{
			name:   "TLS 1.2 with a client certificate",
			client: func(_ *lab, c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
			want:   full12,
		},
		{
			name: "TLS 1.2 with a CBC suite",
			server: func(s *proxy.Settings) {
				s.TLS.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
			},
			client: func(_ *lab, c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
			want:   full12,
		},
		{
			name: "TLS 1.2 resumed", again: true,
			client: func(_ *lab, c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
			want: `
				> ClientHello
				< ServerHello
				< NewSessionTicket
				< ChangeCipherSpec
				< Finished *
				> ChangeCipherSpec
				> Finished *`,
		},
		{
			name: "a chain of 60 KB, TLS 1.3", again: true,
			client: func(l *lab, c *tls.Config) { c.GetClientCertificate = give(l.large(60 << 10)) },
			want: `
				> ClientHello
				< ServerHello
				< ChangeCipherSpec
				< EncryptedExtensions *
				< Finished *
				< NewSessionTicket *
				> ChangeCipherSpec
				> Finished *`,
		},
		{
			name:   "a chain too large for a ticket, TLS 1.3",
			client: func(l *lab, c *tls.Config) { c.GetClientCertificate = give(l.large(70 << 10)) },
			again:  true, want: full13,
		},
		{name: "a ClientHello in records of one byte", small: true, want: full13},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, echo, test.server)
			client := l.clientConfig(l.client("alice"))
			client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			if test.client != nil {
				test.client(l, client)
			}
			if test.again {
				l.visit(client, false)
				l.events.Reset()
			}
			l.visit(client, test.small)
			events := l.events.All()
			want := lines(test.want)
			if diff := cmp.Diff(order(want), order(messages(events))); diff != "" {
				t.Errorf("messages, -want +got:\n%s", diff)
			}
			checkSizes(t, events, test.small)
			checkTimes(t, events)
			checkEstablished(t, events)
			checkFingerprints(t, events)
		})
	}
}

// order returns the messages of the client and then those of the server: a ticket
// may be written before the client's Finished is read or after.
func order(messages []string) (out []string) {
	for _, arrow := range []string{">", "<"} {
		for _, m := range messages {
			if strings.HasPrefix(m, arrow) {
				out = append(out, m)
			}
		}
	}
	return out
}

// visit makes one connection, and waits for its end.
func (l *lab) visit(cfg *tls.Config, small bool) {
	l.t.Helper()
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if small {
		conn = &crumbs{Conn: conn}
	}
	client := tls.Client(conn, cfg)
	if _, err := io.WriteString(client, secretText); err != nil {
		l.t.Fatal(err)
	}
	answer := make([]byte, len(secretText))
	if _, err := io.ReadFull(client, answer); err != nil {
		l.t.Fatalf("%v\n%s", err, l.journal())
	}
	client.Close()
	l.closed()
}

// secretText is application data, which no event may show.
const secretText = "the word is MELLON-7c1f"

// crumbs sends the first record of a connection as records of one byte.
type crumbs struct {
	net.Conn
	done bool
}

func (c *crumbs) Write(p []byte) (int, error) {
	if c.done {
		return c.Conn.Write(p)
	}
	c.done = true
	var out []byte
	for _, b := range p[5:] {
		out = append(out, p[0], p[1], p[2], 0, 1, b)
	}
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// large issues a client certificate of about size bytes.
func (l *lab) large(size int) tls.Certificate {
	l.t.Helper()
	sans := make([]string, 0, size/250)
	for i := range size / 250 {
		sans = append(sans, fmt.Sprintf("uri:spiffe://lab.test/%04d/%s", i, strings.Repeat("x", 220)))
	}
	issued, err := l.ca.Issue(ca.Request{Name: "large", SANs: sans, Usage: ca.Client})
	if err != nil {
		l.t.Fatal(err)
	}
	return issued.TLS()
}

func give(c tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
}

// checkSizes holds the sizes of the messages that came whole in records of their
// own, with their headers, against the bytes that passed: nothing of the handshake
// is untold, and nothing told twice.
func checkSizes(t *testing.T, events []event.Event, small bool) {
	t.Helper()
	sum := map[event.Direction]int64{}
	for _, e := range events {
		_, m, ok := wire(e.Body)
		if !ok || m.Direction == "" {
			continue
		}
		if m.Records == 0 {
			t.Errorf("%s came in no record", m.Type)
		}
		sum[m.Direction] += int64(m.Bytes)
	}
	end := event.Bodies[event.ConnClosed](events)[0]
	data := int64(len(secretText))
	for _, way := range []struct {
		of         event.Direction
		wire, data int64
	}{{event.In, end.WireIn, end.BytesIn}, {event.Out, end.WireOut, end.BytesOut}} {
		// What is not in a message: headers of records and messages, tags,
		// the data and close_notify. A ClientHello in crumbs has a header a byte.
		rest := way.wire - sum[way.of]
		if way.data != data || rest < data || rest > 700 && !small {
			t.Errorf("%s: messages of %d bytes in %d", way.of, sum[way.of], way.wire)
		}
	}
}

// checkTimes wants the messages of a direction in order, and all of them within
// the connection.
func checkTimes(t *testing.T, events []event.Event) {
	t.Helper()
	last := map[event.Direction]time.Time{}
	end := events[len(events)-1].Time
	for _, e := range events {
		_, m, ok := wire(e.Body)
		if !ok || m.Direction == "" {
			continue
		}
		if e.Time.Before(last[m.Direction]) || e.Time.Before(e.Conn.Started) || e.Time.After(end) {
			t.Errorf("%s %s is at %v, after %v", m.Direction, m.Type, e.Time.Sub(e.Conn.Started), last[m.Direction].Sub(e.Conn.Started))
		}
		if m.First.After(e.Time) || m.First.Before(e.Conn.Started) {
			t.Errorf("%s %s began at %v and ended at %v", m.Direction, m.Type, m.First.Sub(e.Conn.Started), e.Time.Sub(e.Conn.Started))
		}
		last[m.Direction] = e.Time
	}
}

// checkEstablished wants the last Finished, and only that, to say so.
func checkEstablished(t *testing.T, events []event.Event) {
	t.Helper()
	all := event.Bodies[event.Finished](events)
	for i, f := range all {
		if f.Established != (i == len(all)-1) {
			t.Errorf("Finished %d of %d: established %v", i+1, len(all), f.Established)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d Finished", len(all))
	}
}

func checkFingerprints(t *testing.T, events []event.Event) {
	t.Helper()
	for _, h := range event.Bodies[event.ClientHello](events) {
		if len(h.JA3) != 32 || len(h.JA4) != 36 {
			t.Errorf("JA3 %q, JA4 %q", h.JA3, h.JA4)
		}
	}
}

// TestResumedTLS12IsRead guards resumedSecret: crypto/tls logs no secret for a
// resumed session of TLS 1.2, and the encoding of the session's state, where it
// is found, may change with any Go version.
func TestResumedTLS12IsRead(t *testing.T) {
	for _, suite := range []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
	} {
		t.Run(tls.CipherSuiteName(suite), func(t *testing.T) {
			l := newLab(t, echo, func(s *proxy.Settings) { s.TLS.CipherSuites = []uint16{suite} })
			client := l.clientConfig(l.client("alice"))
			client.MaxVersion, client.ClientSessionCache = tls.VersionTLS12, tls.NewLRUClientSessionCache(1)
			l.visit(client, false)
			l.events.Reset()
			l.visit(client, false)
			if ok := waitFor[event.HandshakeOK](l); !ok.TLS.Resumed {
				t.Fatal("the session was not resumed")
			}
			finished := event.Bodies[event.Finished](l.events.All())
			if len(finished) != 2 {
				t.Fatalf("%d of the two Finished were read; look at how crypto/tls now encodes a session's state\n%s", len(finished), l.journal())
			}
			for _, f := range finished {
				if f.Bytes != 12 || !f.Encrypted {
					t.Errorf("Finished of %d bytes, encrypted %v", f.Bytes, f.Encrypted)
				}
			}
			chains := event.Bodies[event.ClientCertificate](l.events.All())
			if len(chains) != 1 || !chains[0].Resumed || chains[0].Direction != "" || len(chains[0].Chain) == 0 {
				t.Errorf("the certificate in the session is told as %+v", chains)
			}
		})
	}
}

// lockedBuffer is a key log that two ends may write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// sessionKeeper keeps the tickets a client gets, and the secrets they stand for.
type sessionKeeper struct {
	tls.ClientSessionCache
	tickets [][]byte
}

func (k *sessionKeeper) Put(key string, cs *tls.ClientSessionState) {
	if cs != nil {
		if ticket, state, err := cs.ResumptionState(); err == nil {
			raw, _ := state.Bytes()
			// The secret is behind version, role, suite, time and its length.
			k.tickets = append(k.tickets, ticket, raw[14:14+int(raw[13])])
		}
	}
	k.ClientSessionCache.Put(key, cs)
}

func TestNoEventShowsASecret(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			l := newLab(t, echo, func(s *proxy.Settings) { s.Inspect.Level = proxy.InspectRecords })
			var keys lockedBuffer
			kept := &sessionKeeper{ClientSessionCache: tls.NewLRUClientSessionCache(4)}
			client := l.clientConfig(l.client("alice"))
			client.MaxVersion, client.KeyLogWriter, client.ClientSessionCache = version, &keys, kept
			var sent lockedBuffer
			for range 2 {
				conn, err := net.Dial("tcp", l.addr)
				if err != nil {
					t.Fatal(err)
				}
				c := tls.Client(copied{conn, &sent}, client)
				if _, err := exchange(c, secretText); err != nil {
					t.Fatal(err)
				}
				l.closed()
			}
			if ok := event.Bodies[event.HandshakeOK](l.events.All()); len(ok) != 2 || !ok[1].TLS.Resumed {
				t.Fatalf("the session was not resumed:\n%s", l.journal())
			}
			secrets := map[string][]byte{"application data": []byte(secretText)}
			for line := range strings.Lines(keys.b.String()) {
				fields := strings.Fields(line)
				secrets[fields[0]], _ = hex.DecodeString(fields[2])
			}
			for i, ticket := range kept.tickets {
				secrets[fmt.Sprintf("ticket or its secret %d", i)] = ticket[:min(len(ticket), 24)]
				secrets[fmt.Sprintf("end of ticket or its secret %d", i)] = ticket[max(0, len(ticket)-24):]
			}
			for name, value := range helloSecrets(t, sent.b.Bytes()) {
				secrets[name] = value
			}
			if len(secrets) < 6 {
				t.Fatalf("only %d secrets to look for", len(secrets))
			}
			for _, e := range l.events.All() {
				for form, text := range rendered(t, e) {
					for name, secret := range secrets {
						for _, shown := range [][]byte{secret, []byte(hex.EncodeToString(secret)), []byte(strings.ToUpper(hex.EncodeToString(secret)))} {
							if bytes.Contains(text, shown) {
								t.Errorf("%s shows %s in %s:\n%s", e.Body.Name(), name, form, text)
							}
						}
					}
				}
			}
		})
	}
}

// copied keeps what is written to a connection.
type copied struct {
	net.Conn
	sent io.Writer
}

func (c copied) Write(p []byte) (int, error) {
	c.sent.Write(p)
	return c.Conn.Write(p)
}

// helloSecrets returns the key shares and PSK binders of the ClientHellos in what
// a client sent: the last bytes of the second hello are a binder.
func helloSecrets(t *testing.T, sent []byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for i := 0; i+9 < len(sent); {
		size := int(sent[i+3])<<8 | int(sent[i+4])
		if sent[i] == 22 && sent[i+5] == 1 {
			hello := sent[i+5 : i+5+size]
			out[fmt.Sprintf("end of the hello at %d", i)] = hello[len(hello)-24:]
			if at := bytes.Index(hello, []byte{0, 0x1d, 0, 32}); at > 0 {
				out[fmt.Sprintf("key share at %d", i)] = hello[at+4 : at+36]
			}
		}
		i += 5 + size
	}
	return out
}

// rendered returns an event in all the forms it may take for a reader.
func rendered(t *testing.T, e event.Event) map[string][]byte {
	t.Helper()
	forms := map[string][]byte{}
	body, err := json.Marshal(e.Body)
	if err != nil {
		t.Fatalf("%s: %v", e.Body.Name(), err)
	}
	forms["the body's JSON"] = body
	forms["the body printed"] = fmt.Appendf(nil, "%v %+v", e.Body, e.Body)
	for name, format := range map[string]sink.Format{"the log": sink.JSON, "the console": sink.Console} {
		var out bytes.Buffer
		sink.NewLog(sink.LogOptions{Out: &out, Format: format, Phases: true, Verbose: true}).Emit(e)
		forms[name] = out.Bytes()
	}
	return forms
}

func TestLowerLevelsTellLessAndReasonTheSame(t *testing.T) {
	for _, level := range []proxy.Level{proxy.InspectNone, proxy.InspectSummary} {
		t.Run(fmt.Sprintf("level %d", level), func(t *testing.T) {
			l := newLab(t, echo, func(s *proxy.Settings) { s.Inspect.Level = level })
			l.visit(l.clientConfig(l.client("alice")), false)
			if got := messages(l.events.All()); len(got) != 0 {
				t.Errorf("told %q", got)
			}
			ok := waitFor[event.HandshakeOK](l)
			if (len(ok.Phases) > 0) != (level == proxy.InspectSummary) {
				t.Errorf("phases %v", ok.Phases)
			}
			l.events.Reset()
			exchange(l.dial(l.clientConfig(l.bad(ca.Expired))), "hello")
			if end := l.closed(); end.Reason != event.ClientCertExpired {
				t.Errorf("an expired certificate ended with %v", end.Reason)
			}
			l.events.Reset()
			exchange(l.dial(l.clientConfig()), "hello")
			if end := l.closed(); end.Reason != event.ClientCertMissing {
				t.Errorf("no certificate ended with %v", end.Reason)
			}
			l.events.Reset()
			distrusting := l.clientConfig()
			distrusting.RootCAs = nil
			exchange(l.dial(distrusting), "hello")
			if end := l.closed(); end.Reason != event.ServerCertUntrusted {
				t.Errorf("a client that does not trust us ended with %v", end.Reason)
			}
			l.events.Reset()
			clearAlertAfterKeys(t, l, nil)
			failed := waitFor[event.HandshakeFailed](l)
			if failed.Reason != event.ServerCertUntrusted || failed.Alert == nil || failed.Alert.Code != 48 || failed.Alert.Encrypted {
				t.Errorf("the alert in clear: %+v", failed.Failure)
			}
		})
	}
}

// clearAlertAfterKeys sends a ClientHello of TLS 1.3, waits for the answer, and
// refuses it with an alert in clear, behind what is put before it.
func clearAlertAfterKeys(t *testing.T, l *lab, before []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(recordedHello(t, &tls.Config{ServerName: "localhost"})); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 300)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(append(before, 21, 3, 3, 0, 2, 2, 48)); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	io.Copy(io.Discard, conn)
	l.closed()
}

// recordedHello returns the ClientHello a client with that configuration sends.
func recordedHello(t *testing.T, cfg *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		defer theirs.Close()
		tls.Client(theirs, cfg).Handshake()
	}()
	header := make([]byte, 5)
	if _, err := io.ReadFull(ours, header); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(header[3])<<8|int(header[4]))
	if _, err := io.ReadFull(ours, body); err != nil {
		t.Fatal(err)
	}
	return append(header, body...)
}

func TestRecordsAreToldByTheirHeaders(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) { s.Inspect.Level = proxy.InspectRecords })
	l.visit(l.clientConfig(l.client("alice")), true)
	offset := map[event.Direction]int64{}
	for _, r := range event.Bodies[event.Record](l.events.All()) {
		if r.Offset != offset[r.Direction] {
			t.Errorf("%s record at %d, want %d", r.Direction, r.Offset, offset[r.Direction])
		}
		offset[r.Direction] += 5 + int64(r.Length)
		header, err := hex.DecodeString(r.Header)
		if err != nil || len(header) != 5 || int(header[3])<<8|int(header[4]) != r.Length {
			t.Errorf("header %q of a record of %d bytes", r.Header, r.Length)
		}
		if want := header[0] == 23; r.Encrypted != want || (r.ContentType == "application_data") != want {
			t.Errorf("record %+v", r)
		}
	}
	end := l.closed()
	if in := offset[event.In]; in < 1000 || in > end.WireIn {
		t.Errorf("the records of the client have %d bytes of %d", in, end.WireIn)
	}
	if out := offset[event.Out]; out < 1000 || out > end.WireOut {
		t.Errorf("our records have %d bytes of %d", out, end.WireOut)
	}
}

func TestWhatOneHandshakeMayCostIsBounded(t *testing.T) {
	l := newLab(t, echo, func(s *proxy.Settings) { s.Inspect.Level = proxy.InspectRecords })
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	// A hello whose end never comes, a byte a record: each is kept, few are told.
	flood := []byte{22, 3, 1, 0, 4, 1, 0, 0xff, 0xff}
	for range 6000 {
		flood = append(flood, 22, 3, 1, 0, 1, 0)
	}
	for range 2000 { // alerts that end nothing
		flood = append(flood, 21, 3, 1, 0, 2, 1, 90)
	}
	conn.Write(flood)
	conn.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, conn)
	l.closed()
	events := l.events.All()
	if n := len(events); n > 4096+256+20 {
		t.Errorf("%d events of one handshake", n)
	}
	omitted := event.Bodies[event.Omitted](events)
	if len(omitted) != 1 || omitted[0].Records < 1000 {
		t.Errorf("omitted %+v", omitted)
	}
}

func TestEventsOwnTheirBytes(t *testing.T) {
	l := newLab(t, echo, nil)
	l.visit(l.clientConfig(l.client("alice")), false)
	events := l.events.All()
	shown := func() (all []string) {
		for _, e := range events {
			body, err := json.Marshal(e.Body)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(body))
		}
		return all
	}
	before := shown()
	for i := range 8 { // other connections use the buffers again
		l.events.Reset()
		l.visit(l.clientConfig(l.client(fmt.Sprintf("bob-%d", i))), false)
	}
	if diff := cmp.Diff(before, shown()); diff != "" {
		t.Errorf("events changed after they were told:\n%s", diff)
	}
}

func TestARefusalSaysThatItWasDelivered(t *testing.T) {
	l := newLab(t, echo, nil)
	exchange(l.dial(l.clientConfig()), "hello")
	if end := l.closed(); end.Delivered != "acked" {
		t.Errorf("the alert was read, and is told as %q\n%s", end.Delivered, l.journal())
	}
	l.events.Reset()
	if _, err := exchange(l.dial(l.clientConfig(l.client("alice"))), "hello"); err != nil {
		t.Fatal(err)
	}
	if end := l.closed(); end.Delivered != "" {
		t.Errorf("no alert was sent, and one is told as %q", end.Delivered)
	}
}
