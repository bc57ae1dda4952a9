package configs

import (
	"cmp"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// StarterOptions are the files a starter configuration names. An empty one is
// where the profile usually has it.
type StarterOptions struct {
	CA   string // trust anchors for client certificates
	Cert string // the server's certificate, then its intermediates
	Key  string // the server's private key
}

// Profiles lists what [Starter] knows.
func Profiles() []string { return []string{"dev", "sidecar", "systemd"} }

// Starter writes a commented configuration to begin with: dev for one's own
// machine, sidecar for a container beside the application, systemd for a unit.
// [Load] accepts it as it is. An unknown profile is an error.
func Starter(profile string, o StarterOptions) ([]byte, error) {
	template, usual := "", StarterOptions{}
	switch profile {
	case "dev":
		template, usual = devStarter, StarterOptions{"certs/ca.pem", "certs/server.pem", "certs/server-key.pem"}
	case "sidecar":
		template, usual = sidecarStarter, StarterOptions{"/tls/ca.crt", "/tls/tls.crt", "/tls/tls.key"}
	case "systemd":
		template, usual = systemdStarter, StarterOptions{
			"/etc/mtlsproxy/ca.pem", "/etc/mtlsproxy/server.pem", "/run/credentials/mtlsproxy.service/server-key.pem"}
	default:
		return nil, fmt.Errorf("%q is not one of %s%s", profile, strings.Join(Profiles(), ", "), didYouMean(profile, Profiles()))
	}
	fill := strings.NewReplacer(
		"{{ca}}", yamlText(cmp.Or(o.CA, usual.CA)),
		"{{cert}}", yamlText(cmp.Or(o.Cert, usual.Cert)),
		"{{key}}", yamlText(cmp.Or(o.Key, usual.Key)),
	)
	return []byte(fill.Replace(template)), nil
}

// yamlText writes a string so that it can stand inside brackets: quoted unless
// it is a path of harmless letters.
func yamlText(s string) string {
	if s != "" && strings.Trim(s, "/._-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == "" && s[0] != '-' {
		return s
	}
	out, err := yaml.Marshal(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: s})
	if err != nil {
		panic("configs: internal error: quoting a string: " + err.Error())
	}
	return strings.TrimSuffix(string(out), "\n")
}

const starterHead = `#
# Check it:      proxy config validate -c proxy.yaml
# All keys:      proxy config show -c proxy.yaml
# About one:     proxy config explain listeners.main.client_auth.mode
# A key can also be set by a variable (MTLSPROXY_ + its path, upper case, "." → "_") or by --set key=value.
version: 1

`

const devStarter = `# mtlsproxy on one's own machine: loopback only, a client certificate required, every phase in the log.
` + starterHead + `listeners:
  main:
    address: 127.0.0.1:8443
    upstream: app
    tls:
      certificates:
        default: { cert: {{cert}}, key: {{key}} }
    client_auth:
      mode: require                   # none | request (verified if given) | require
      ca: [{{ca}}]

upstreams:
  app:
    address: 127.0.0.1:9000           # your service

logging:
  level: info                         # debug shows health checks too
  format: auto                        # for people on a terminal, JSON elsewhere
`

const sidecarStarter = `# mtlsproxy beside an application in one pod or one network namespace.
` + starterHead + `listeners:
  main:
    address: :8443                    # every address of the pod
    upstream: app
    tls:
      certificates:
        default: { cert: {{cert}}, key: {{key}} }
    client_auth:
      mode: require                   # none | request (verified if given) | require
      enforcement: enforce            # report lets through and counts what would be refused: for turning mTLS on without an outage
      ca: [{{ca}}]

upstreams:
  app:
    address: 127.0.0.1:8080           # the application, on the loopback it shares with us

logging:
  format: json
  output: stderr

reload: { watch: true }               # a rotated secret is picked up without a restart

shutdown:
  delay: 5s                           # keep accepting while the endpoint is taken out of the Service
  timeout: 30s                        # then let connections finish; terminationGracePeriodSeconds has to cover both
`

const systemdStarter = `# mtlsproxy as a systemd service: ExecStart=mtlsproxy run -c %E/mtlsproxy/proxy.yaml
# The key comes from LoadCredential=server-key.pem:PATH in the unit, so that only the service can read it.
` + starterHead + `listeners:
  main:
    address: :8443                    # a port below 1024 needs AmbientCapabilities=CAP_NET_BIND_SERVICE
    upstream: app
    tls:
      certificates:
        default: { cert: {{cert}}, key: {{key}} }
    client_auth:
      mode: require                   # none | request (verified if given) | require
      ca: [{{ca}}]
    limits:
      max_connections: 10000          # each takes two descriptors: LimitNOFILE= has to be above twice this

upstreams:
  app:
    address: 127.0.0.1:9000           # host:port | unix:PATH

logging:
  format: json                        # the journal keeps it as it is
  output: stderr

shutdown:
  timeout: 30s                        # TimeoutStopSec= has to be longer
`
