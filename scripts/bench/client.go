package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// client opens TLS connections to a peer as the load does it.
type client struct {
	address string
	config  *tls.Config
	dialer  net.Dialer
}

// newClient offers one version, X25519 and AES-128-GCM with SHA-256 only (at
// TLS 1.3 the choice of suite is the peer's, which its configuration makes). At
// TLS 1.2 P-256 has to be among the groups, or the server's certificate could
// not be used (RFC 8422, Section 5.1); agreed holds that X25519 was chosen.
// The peer's certificate is not verified against the CA, which would cost the
// load generator and tell nothing of the peer; its signature is.
func newClient(address string, version uint16, certFile, keyFile string) (*client, error) {
	if err := requireLoopback(address); err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	groups := []tls.CurveID{tls.X25519}
	if version == tls.VersionTLS12 {
		groups = append(groups, tls.CurveP256)
	}
	return &client{
		address: address,
		dialer:  net.Dialer{Timeout: patience},
		config: &tls.Config{
			Certificates:       []tls.Certificate{pair},
			MinVersion:         version,
			MaxVersion:         version,
			CurvePreferences:   groups,
			CipherSuites:       []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
			ServerName:         "localhost",
			InsecureSkipVerify: true,
		},
	}, nil
}

// resuming is the client with a memory for sessions of its own: one for each
// worker, because a ticket is used once.
func (c *client) resuming() *client {
	r := *c
	r.config = c.config.Clone()
	r.config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	return &r
}

// from is the client with a source address of its own.
func (c *client) from(source netip.Addr) *client {
	r := *c
	r.dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	r.dialer.Control = lateBind
	return &r
}

// dial connects and finishes the handshake on the client's side. Every wait of
// the connection is bounded by the deadline.
func (c *client) dial(deadline time.Time) (*tls.Conn, error) {
	raw, err := c.dialer.Dial("tcp", c.address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, c.config)
	conn.SetDeadline(deadline)
	if err := conn.Handshake(); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// open dials and has one byte come back from the backend: at TLS 1.3 only this
// says that the client's certificate was taken, and the session tickets have
// arrived with it.
func (c *client) open(deadline time.Time) (*tls.Conn, error) {
	conn, err := c.dial(deadline)
	if err != nil {
		return nil, err
	}
	one := [1]byte{askEcho}
	if err := exchange(conn, one[:]); err != nil {
		conn.NetConn().Close()
		return nil, err
	}
	return conn, nil
}

// exchange sends a message and has it come back.
func exchange(conn *tls.Conn, message []byte) error {
	first := message[0]
	if _, err := conn.Write(message); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, message); err != nil {
		return err
	}
	if message[0] != first {
		return fmt.Errorf("sent a message that begins with %q, one with %q came back", first, message[0])
	}
	return nil
}

// end closes in order, close_notify and FIN first, and waits for the peer's own
// end, so that the operation is over for the peer as well.
func end(conn *tls.Conn) {
	conn.CloseWrite()
	raw := conn.NetConn().(*net.TCPConn)
	raw.CloseWrite()
	io.Copy(io.Discard, raw)
	raw.Close()
}

// agreed says what a connection was measured with, and refuses to compare
// handshakes that differ in what they compute.
func agreed(state tls.ConnectionState) (string, error) {
	switch state.CipherSuite {
	case tls.TLS_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:
	default:
		return "", fmt.Errorf("the peer chose %s, want AES-128-GCM", tls.CipherSuiteName(state.CipherSuite))
	}
	if state.CurveID != tls.X25519 && !state.DidResume {
		return "", fmt.Errorf("the peer chose group %v, want X25519", state.CurveID)
	}
	return tls.VersionName(state.Version) + " " + tls.CipherSuiteName(state.CipherSuite), nil
}

var (
	errNotResumed = errors.New("the peer did not resume the session")
	errResumed    = errors.New("the peer resumed a session that was to be new")
)
