package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/certs"
	"mtlsproxy/certs/ca"
	"mtlsproxy/certs/ca/remote"
)

// serveFlags are the flags of ca serve.
type serveFlags struct {
	caFlags
	listen, cert, key string
	clientCA, allow   []string
	profiles, authKey string
	rate              float64
}

func newCAServeCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "sign for others over mutual TLS, as cfssl does",
		Long: `serve signs certificate requests that come over mutual TLS, at the addresses of
cfssl: /api/v1/cfssl/sign, authsign and info. cfssl's own clients work.

Clients are judged as the proxy judges them. A client needs a certificate of
--client-ca with one of the names of --allow, which are patterns as in the rules
of a policy: * stands for anything within a label or a path segment, ** for one
or more whole ones. One that this CA has issued and revoked is refused at once,
on open connections too. A client gets what the profile grants and no more, and
not more often than --rate. Each request is one line of JSON on stderr. With --auth-key-file requests are authenticated with a shared key as
well, and each is answered once.

SIGHUP loads everything anew: the CA, after ca rotate, the server's certificate
and the clients' CAs, the profiles and the shared key. SIGTERM ends it.`,
		Example: `  proxy ca serve --listen :8888 --cert server.pem --key server-key.pem \
    --client-ca ca/ca.pem --allow spiffe://demo.test/ci --profiles profiles.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.caFlags.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.listen, "listen", "127.0.0.1:8888", "address to listen on")
	fl.StringVar(&f.cert, "cert", "", "the server's certificate and chain")
	fl.StringVar(&f.key, "key", "", "its key")
	fl.StringArrayVar(&f.clientCA, "client-ca", nil, "CA certificates of the clients, a file or directory; may be repeated")
	fl.StringArrayVar(&f.allow, "allow", nil, "an alternative name of which a client's certificate must have one, or a pattern; cn:NAME for a common name; may be repeated")
	fl.StringVar(&f.profiles, "profiles", "", "a file of profiles: cfssl's signing configuration as JSON or YAML")
	fl.StringVar(&f.authKey, "auth-key-file", "", "a file with the shared key of authsign, in hexadecimal digits")
	fl.Float64Var(&f.rate, "rate", 10, "how many requests a second one client may make, and twice that at once; 0 for any number")
	for _, name := range []string{"cert", "key", "client-ca"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic("proxy: internal error: " + err.Error())
		}
	}
	return cmd
}

func (f *serveFlags) run(cmd *cobra.Command) error {
	const mostOften = 1e6 // requests a second
	if !(f.rate >= 0 && f.rate <= mostOften) {
		return exitWith(exUsage, fmt.Errorf("--rate %g is not between 0 and %g", f.rate, mostOften))
	}
	var limit *signingLimit // outlives what is loaded
	if f.rate > 0 {
		limit = newSigningLimit(f.rate)
	}
	talk := &lines{w: cmd.ErrOrStderr()}
	load := func() (*caGeneration, error) { return f.load(cmd, talk, limit) }
	return caServe(cmd, f.listen, talk, load, func(a net.Addr) {
		if !f.quiet {
			talk.printf("signing on https://%s", a)
		}
	})
}

// load reads all files that the flags name and opens the CA.
func (f *serveFlags) load(cmd *cobra.Command, talk *lines, limit *signingLimit) (_ *caGeneration, err error) {
	s := new(remote.Server)
	if f.authKey != "" {
		text, err := readPassword(cmd, f.authKey)
		if err != nil {
			return nil, err
		}
		const least = 16 // bytes
		if s.Key, err = hex.DecodeString(strings.TrimSpace(text)); err != nil || len(s.Key) < least {
			return nil, exitWith(exDataErr, fmt.Errorf("%s: the key is not %d or more hexadecimal digits", f.authKey, 2*least))
		}
	}
	pair, err := certs.LoadKeyPair(f.cert, f.key)
	if err != nil {
		return nil, caFailure(err)
	}
	clients, err := certs.LoadPool(f.clientCA...)
	if err != nil {
		return nil, caFailure(err)
	}
	o, err := f.openStore(cmd)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			o.close()
		}
	}()
	if len(f.allow) == 0 && clients.Contains(o.Root()) {
		return nil, exitWith(exUsage, errors.New("--client-ca is this very CA, so everyone with any certificate of it could have more made; say who may with --allow"))
	}
	judge, err := newSigningPolicy(clients, f.allow, o)
	if err != nil {
		return nil, err
	}
	path := f.profiles
	if path == "" {
		path = o.settings.Profiles
	}
	if path != "" {
		if s.Profiles, err = ca.LoadProfiles(path); err != nil {
			return nil, caFailure(err)
		}
	}
	s.Authority, s.Memory = o.Authority, o.store
	s.Audit = func(e remote.Entry) { talk.printf("%s", auditLine(e)) }
	s.Admit = judge.admit
	if limit != nil {
		s.Limit = func(client string) time.Duration { return limit.wait(client, time.Now()) }
	}
	config := judge.config(pair.Certificate, func(err error) {
		talk.printf("%s", auditLine(remote.Entry{Time: time.Now().UTC(), Event: "ca.refused", Error: err.Error()}))
	})
	return &caGeneration{handler: s, config: config, close: o.close}, nil
}

// auditLine is one line whatever the names in it are.
func auditLine(e remote.Entry) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(b.String(), "\n")
}
