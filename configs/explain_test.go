package configs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		key  string
		want Explanation
	}{
		{"listeners.main.client_auth.mode", Explanation{
			Key: "listeners.main.client_auth.mode", Type: "string", Values: []string{"none", "request", "require"},
			Doc:     "Whether a client certificate is asked for: none, request (verified if given), require.",
			Default: "require", Env: "MTLSPROXY_LISTENERS_MAIN_CLIENT_AUTH_MODE", Flag: "--client-auth", Reload: true,
		}},
		{"socket.mss", Explanation{}}, // two of them
		{"syncnt", Explanation{}},
		{"first_byte", Explanation{
			Key: "listeners.*.timeouts.first_byte", Type: "duration, such as 500ms, 10s, 5m, 7d", Bounds: "at least 0s",
			Doc:     "From accept to the client's first byte; 0s leaves silent clients to the handshake's time.",
			Default: "5s", Env: "MTLSPROXY_LISTENERS_<NAME>_TIMEOUTS_FIRST_BYTE", Reload: true,
		}},
		{"inspect.level", Explanation{
			Key: "inspect.level", Type: "string", Values: []string{"none", "summary", "messages", "records"},
			Doc:     keyDocs["Inspect.Level"],
			Default: "messages", Env: "MTLSPROXY_INSPECT_LEVEL", Reload: true,
		}},
		{"shutdown", Explanation{
			Key: "shutdown", Type: "section", Doc: "How the process ends after SIGTERM.", Reload: true, Keys: []string{"delay", "timeout"},
		}},
		{"listeners.*.socket.mss", Explanation{
			Key: "listeners.*.socket.mss", Type: "whole number", Unit: "bytes", Bounds: "88 to 32767, or 0",
			Doc: keyDocs["ListenerSocket.MSS"], Default: "0", Env: "MTLSPROXY_LISTENERS_<NAME>_SOCKET_MSS",
		}},
	} {
		got, err := Explain(tt.key)
		if tt.want.Key == "" {
			if err == nil || !strings.Contains(err.Error(), "is the end of several keys: listeners.*") {
				t.Errorf("Explain(%q) = %+v, %v, want the candidates", tt.key, got, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("Explain(%q): %v", tt.key, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Explain(%q) (-want +got):\n%s", tt.key, diff)
		}
	}
	if _, err := Explain("logging.levle"); err == nil || err.Error() != `unknown key "logging.levle" – did you mean "logging.level"?` {
		t.Errorf("a misspelt key gives %v", err)
	}
}

func TestEveryKeyExplainsItself(t *testing.T) {
	for key, f := range leaves(allEntries) {
		e, err := Explain(key)
		switch {
		case err != nil:
			t.Errorf("%s: %v", key, err)
		case e.Doc == "" || e.Type == "" || e.Default == "":
			t.Errorf("%s lacks something: %+v", key, e)
		case f.kind == number && e.Unit == "" && f.name != "version" && f.name != "dscp" && f.name != "mark":
			t.Errorf("%s counts something that is not said", key)
		}
		if f.is != "" && forms[f.is] == nil {
			t.Errorf("%s has an unknown form %q", key, f.is)
		}
	}
}
