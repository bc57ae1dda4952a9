package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"io"
	"net"
	"os"
)

// runForwarder is the least that a TLS-terminating proxy can be in Go: no log,
// no limits, no clocks, no reload. It is the yardstick for what a proxy adds to
// crypto/tls and the runtime, and not meant for use.
func runForwarder(args []string) error {
	flags := flag.NewFlagSet("forwarder", flag.ContinueOnError)
	listen := flags.String("listen", "", "loopback address to listen on")
	upstream := flags.String("upstream", "", "loopback address to connect to")
	cert := flags.String("cert", "", "the server's certificate, PEM")
	key := flags.String("key", "", "its key, PEM")
	clientCA := flags.String("client-ca", "", "the CA that client certificates must be of, PEM")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, address := range []string{*listen, *upstream} {
		if err := requireLoopback(address); err != nil {
			return err
		}
	}
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		return err
	}
	pool, err := loadPool(*clientCA)
	if err != nil {
		return err
	}
	ln, err := tls.Listen("tcp", *listen, &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
	})
	if err != nil {
		return err
	}
	for {
		client, err := ln.Accept()
		if err != nil {
			return err
		}
		go forward(client.(*tls.Conn), *upstream)
	}
}

// forward serves one connection. Each direction passes the end of its stream
// on, so half-closed connections work.
func forward(client *tls.Conn, upstreamAddr string) {
	defer client.Close()
	if client.Handshake() != nil {
		return
	}
	c, err := net.Dial("tcp", upstreamAddr)
	if err != nil {
		return
	}
	upstream := c.(*net.TCPConn)
	defer upstream.Close()
	back := make(chan struct{})
	go func() {
		defer close(back)
		io.Copy(client, upstream)
		client.CloseWrite()
	}()
	io.Copy(upstream, client)
	upstream.CloseWrite()
	<-back
}

func loadPool(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New(file + ": no certificate in it")
	}
	return pool, nil
}
