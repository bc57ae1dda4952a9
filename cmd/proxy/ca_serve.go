package main

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"

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
}

func newCAServeCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "sign for others over mutual TLS, as cfssl does",
		Long: `serve signs certificate requests that come over mutual TLS, at the addresses of
cfssl: /api/v1/cfssl/sign, authsign and info. cfssl's own clients work.

A client needs a certificate of --client-ca with one of the names of --allow.
It gets what the profile grants and no more. Each request is one line of JSON on
stderr. With --auth-key-file requests are authenticated with a shared key as
well, and each is answered once.

SIGTERM ends it. Start it anew after ca rotate, and when its own certificate is
renewed.`,
		Example: `  proxy ca serve --listen :8888 --cert server.pem --key server-key.pem \
    --client-ca ca/ca.pem --allow spiffe://demo.test/ci --profiles profiles.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.caFlags.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.listen, "listen", "127.0.0.1:8888", "address to listen on")
	fl.StringVar(&f.cert, "cert", "", "the server's certificate and chain")
	fl.StringVar(&f.key, "key", "", "its key")
	fl.StringArrayVar(&f.clientCA, "client-ca", nil, "CA certificates of the clients, a file or directory; may be repeated")
	fl.StringArrayVar(&f.allow, "allow", nil, "an alternative name of which a client's certificate must have one; may be repeated")
	fl.StringVar(&f.profiles, "profiles", "", "a file of profiles: cfssl's signing configuration as JSON or YAML")
	fl.StringVar(&f.authKey, "auth-key-file", "", "a file with the shared key of authsign, in hexadecimal digits")
	for _, name := range []string{"cert", "key", "client-ca"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic("proxy: internal error: " + err.Error())
		}
	}
	return cmd
}

func (f *serveFlags) run(cmd *cobra.Command) error {
	s := new(remote.Server)
	for _, name := range f.allow {
		san, err := ca.ParseSAN(name)
		if err != nil {
			return exitWith(exUsage, err)
		}
		s.Allow = append(s.Allow, san.String())
	}
	if f.authKey != "" {
		text, err := readPassword(cmd, f.authKey)
		if err != nil {
			return err
		}
		const least = 16 // bytes
		if s.Key, err = hex.DecodeString(strings.TrimSpace(text)); err != nil || len(s.Key) < least {
			return exitWith(exDataErr, fmt.Errorf("%s: the key is not %d or more hexadecimal digits", f.authKey, 2*least))
		}
	}
	pair, err := certs.LoadKeyPair(f.cert, f.key)
	if err != nil {
		return caFailure(err)
	}
	clients, err := certs.LoadPool(f.clientCA...)
	if err != nil {
		return caFailure(err)
	}
	o, err := f.openStore(cmd)
	if err != nil {
		return err
	}
	defer o.close()
	if len(s.Allow) == 0 && clients.Contains(o.Root()) {
		return exitWith(exUsage, errors.New("--client-ca is this very CA, so everyone with any certificate of it could have more made; say who may with --allow"))
	}
	path := f.profiles
	if path == "" {
		path = o.settings.Profiles
	}
	if path != "" {
		if s.Profiles, err = ca.LoadProfiles(path); err != nil {
			return caFailure(err)
		}
	}
	talk := &lines{w: cmd.ErrOrStderr()}
	s.Authority, s.Memory = o.Authority, o.store
	s.Audit = func(e remote.Entry) { talk.printf("%s", auditLine(e)) }
	config := &tls.Config{
		Certificates:           []tls.Certificate{pair.Certificate},
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              clients.CertPool(),
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true, // each connection shows its certificate
	}
	return caServe(cmd, f.listen, config, s, func(a net.Addr) {
		if !f.quiet {
			talk.printf("signing on https://%s", a)
		}
	})
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
