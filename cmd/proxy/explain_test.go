package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/proxy/admin"
	"mtlsproxy/proxy/event"
)

// runConns runs explain or conns in this process.
func runConns(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	root := &cobra.Command{Use: "proxy", SilenceErrors: true, SilenceUsage: true}
	root.PersistentFlags().Bool("ascii", false, "")
	root.PersistentFlags().String("color", "auto", "")
	root.AddCommand(newExplainCommand(), newConnsCommand())
	var out, errs bytes.Buffer
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&errs)
	err := root.ExecuteContext(t.Context())
	if err != nil && !exitSilently(err) {
		root.PrintErrln("proxy:", err)
	}
	return exitCode(err), out.String(), errs.String()
}

// instance is a door behind which three connections can be asked for: one let in,
// one refused, and a health check that came last.
func instance(t *testing.T) (socket string) {
	t.Helper()
	js := admin.NewJournals(admin.JournalsOptions{Ring: 10, Failed: 10})
	at := time.Date(2026, 11, 22, 10, 43, 16, 0, time.UTC)
	life := func(id string, bodies ...event.Body) {
		c := &event.Conn{ID: id, Listener: "main", Started: at, Client: netip.MustParseAddrPort("127.0.0.1:50530"), Listen: netip.MustParseAddrPort("127.0.0.1:8443")}
		for i, b := range bodies {
			js.Emit(event.Event{Conn: c, Seq: uint64(i + 1), Time: at.Add(time.Duration(i) * time.Millisecond), Body: b})
		}
	}
	life("7q40", event.HandshakeOK{Auth: "verified", Identity: "spiffe://demo.test/alice"}, event.ConnClosed{Cause: event.CauseClean, By: "client", How: event.ByFIN})
	alert := event.Alert{Direction: event.In, Fatal: true, Code: 48, Description: "unknown_ca"}
	life("7q41", alert, event.HandshakeFailed{Failure: event.Failure{
		Reason: event.ServerCertUntrusted, By: event.ClientSide, LibraryError: "local error: tls: bad record MAC", Alert: &alert, AdvertisedCAs: []string{"CN=Demo Root"},
	}}, event.ConnClosed{Reason: event.ServerCertUntrusted, Cause: event.CauseHandshakeBroken, By: "client", How: event.ByAlert})
	life("7q42", event.ProbeSeen{Reason: event.TCPProbe}, event.ConnClosed{Reason: event.TCPProbe, Cause: event.CauseProbe})

	socket = filepath.Join(t.TempDir(), "a.sock")
	ln, err := admin.Listen(admin.Socket{Path: socket})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- admin.Serve(ctx, ln, admin.API{Journals: js}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	t.Setenv("MTLSPROXY_ADMIN", socket)
	return socket
}

func TestExplainLastAnswersScripts(t *testing.T) {
	instance(t)
	code, out, stderr := runConns(t, "explain", "--last", "-o", "json")
	var d struct {
		Reason string
		Fix    []any
		CAs    []string `json:"advertised_cas"`
		Alert  struct{ Encrypted *bool }
	}
	if err := json.Unmarshal([]byte(out), &d); err != nil || code != exOK {
		t.Fatalf("exit %d, %v, stderr %q", code, err, stderr)
	}
	if d.Reason != "server_cert_untrusted" || len(d.Fix) == 0 || len(d.CAs) != 1 || d.Alert.Encrypted == nil || *d.Alert.Encrypted {
		t.Errorf("got %s", out)
	}
}

func TestExplainAndConns(t *testing.T) {
	socket := instance(t)
	for _, tt := range []struct {
		name string
		args []string
		code int
		want []string // on stdout, or on stderr where the code is not 0
	}{
		{"the last one is no probe", []string{"explain"}, exOK, []string{"✘ refused by client   7q41", "What   The client refused the proxy's certificate", `Note   Go's TLS library reports this as "bad record MAC"`, "Fix    client side:", "Check  openssl"}},
		{"by its id", []string{"explain", "7q40"}, exOK, []string{"✔ allowed   7q40", "The client was let in, and the connection ended in order.", "proxy conns show 7q40 --ladder"}},
		{"with nothing but ASCII", []string{"explain", "--ascii"}, exOK, []string{"x refused by client   7q41   127.0.0.1:50530 -> main"}},
		{"an id that is not there", []string{"explain", "none"}, exNo, []string{`there is no connection "none"`, "proxy conns list"}},
		{"an id and --last", []string{"explain", "x", "--last"}, exUsage, []string{"goes with none of"}},
		{"two questions", []string{"explain", "--last", "--alert", "1"}, exUsage, []string{"none of the others can be"}},
		{"an unknown form", []string{"explain", "-o", "yaml"}, exUsage, []string{"not one of text, json"}},
		{"the flag names the socket", []string{"--admin", socket, "explain"}, exOK, []string{"7q41"}},
		{"nobody answers", []string{"explain", "--admin", socket + "x"}, exUnavailable, []string{"no running instance answers", socket + "x (--admin)", "proxy run"}},

		{"a list", []string{"conns", "list"}, exOK, []string{"ID    OUTCOME", "7q42  probe", "server_cert_untrusted", "spiffe://demo.test/alice"}},
		{"a list of failures", []string{"conns", "list", "--outcome", "failed", "--reason", "server_cert_untrusted", "--client", "127.0.0.0/8", "--last", "1", "-o", "json"}, exOK, []string{`"id": "7q41"`}},
		{"a list of none", []string{"conns", "list", "--outcome", "reported"}, exOK, nil},
		{"an outcome that is none", []string{"conns", "list", "--outcome", "bad"}, exUsage, []string{"not one of ok, failed, probe"}},
		{"a reason that is none", []string{"conns", "list", "--reason", "server_cert_untrustd"}, exUsage, []string{`did you mean "server_cert_untrusted"?`}},
		{"a prefix that is none", []string{"conns", "list", "--client", "x"}, exUsage, []string{"neither an address nor a prefix"}},
		{"too many", []string{"conns", "list", "--last", "1001"}, exUsage, []string{"not between 1 and 1000"}},
		{"one in short", []string{"conns", "show", "7q41"}, exOK, []string{"✘ refused by client", "Alert fatal unknown_ca (48)"}},
		{"one in full", []string{"conns", "show", "last", "--ladder"}, exOK, []string{"client   ", "proxy\n", "\nTLS\n", "not encrypted", "\nclose\n"}},
		{"one as JSON", []string{"conns", "show", "7q40", "-o", "json"}, exOK, []string{`"outcome": "ok"`, `"started": "2026-11-22T10:43:16.000000Z"`}},
		{"no id", []string{"conns", "show"}, exUsage, []string{"accepts 1 arg"}},
		{"an unknown verb", []string{"conns", "lst"}, exUsage, []string{`did you mean "list"?`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := runConns(t, tt.args...)
			if code != tt.code {
				t.Fatalf("exit %d, want %d; stderr %q", code, tt.code, stderr)
			}
			got := stdout
			if code != exOK {
				got = stderr
			}
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q is not in\n%s", want, got)
				}
			}
		})
	}
}

func TestExplainWorksOffline(t *testing.T) {
	t.Setenv("MTLSPROXY_ADMIN", filepath.Join(t.TempDir(), "nobody.sock"))
	for _, tt := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"a reason", []string{"--code", "client_chain_incomplete"}, exOK, []string{"client_chain_incomplete   client certificate", "  What   the client sent its certificate", "Fix    client side:", "server side:"}},
		{"a reason as JSON", []string{"--code", "client_cert_missing", "-o", "json"}, exOK, []string{`"code": "client_cert_missing"`, `"fix_client":`}},
		{"a reason nearly right", []string{"--code", "client-chain-incomplet"}, exUsage, []string{`did you mean "client_chain_incomplete"?`}},
		{"a piece of a reason", []string{"--code", "self_signed"}, exUsage, []string{`did you mean "client_cert_self_signed"?`}},
		{"nothing like a reason", []string{"--code", "zzzz"}, exUsage, []string{`unknown reason "zzzz"` + "\n"}},
		{"an alert by number", []string{"--alert", "48"}, exOK, []string{"unknown_ca (48)", "From the client:", "server_cert_untrusted", "From the proxy:", "client_chain_incomplete"}},
		{"an alert by name", []string{"--alert", "Certificate Required", "-o", "json"}, exOK, []string{`"code": 116`, `"client_cert_missing"`}},
		{"no alert", []string{"--alert", "260"}, exUsage, []string{"neither the number nor the name"}},
		{"Go's misleading word", []string{"--error", "local error: tls: bad record MAC"}, exOK, []string{"As an error of the proxy", "The likeliest is server_cert_untrusted:", "OpenSSL clients"}},
		{"curl's word as JSON", []string{"--error", "curl: (56) ... alert certificate required, errno 0", "-o", "json"}, exOK, []string{`"seen_by": "client"`, `"code": "client_cert_missing"`}},
		{"a text nobody knows", []string{"--error", "computer says no"}, exNo, []string{"nothing in this text is known", "proxy explain --last"}},
		{"no text", []string{"--error", " "}, exUsage, []string{"needs the text"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := runConns(t, append([]string{"explain"}, tt.args...)...)
			if code != tt.code {
				t.Fatalf("exit %d, want %d; stderr %q", code, tt.code, stderr)
			}
			got := stdout
			if code != exOK {
				got = stderr
			}
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q is not in\n%s", want, got)
				}
			}
			for line := range strings.Lines(stdout) {
				if tt.code == exOK && len(line) > 101 && !strings.Contains(strings.Join(tt.args, " "), "json") {
					t.Errorf("too wide: %q", line)
				}
			}
		})
	}
}
