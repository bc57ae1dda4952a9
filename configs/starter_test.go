package configs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func yamlOf(n *yaml.Node) (string, error) {
	out, err := yaml.Marshal(n)
	return string(out), err
}

func TestStarterIsAccepted(t *testing.T) {
	for _, profile := range Profiles() {
		for _, o := range []StarterOptions{{}, {CA: "/a b/ca.pem", Cert: "c'#\"é.pem", Key: "-{}.key\n"}} {
			content, err := Starter(profile, o)
			if err != nil {
				t.Fatal(err)
			}
			l := mustLoad(t, Source{File: profile, Content: content})
			for _, w := range l.Warnings {
				t.Errorf("%s: %s", profile, w)
			}
			ln := l.Config.Listeners["main"]
			if o.CA == "" {
				continue
			}
			got := StarterOptions{ln.ClientAuth.CA[0], ln.TLS.Certificates["default"].Cert, ln.TLS.Certificates["default"].Key}
			if diff := cmp.Diff(o, got); diff != "" {
				t.Errorf("%s: files (-want +got):\n%s", profile, diff)
			}
		}
	}
	if _, err := Starter("side", StarterOptions{}); err == nil || !strings.Contains(err.Error(), "dev, sidecar, systemd") {
		t.Errorf("an unknown profile gives %v", err)
	}
}
