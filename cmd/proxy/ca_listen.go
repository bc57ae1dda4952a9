package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Bounds of the CA's own servers, whose requests are small.
const (
	caReadTimeout   = 10 * time.Second
	caWriteTimeout  = 20 * time.Second // the inventory's patience and more
	caIdleTimeout   = time.Minute
	caHeaderBytes   = 32 << 10 // an OCSP request may be in the path
	caDrain         = 5 * time.Second
	caMaxConnection = 512
)

// caServe serves until SIGINT or SIGTERM, then lets requests end. With a
// tls.Config it does so over TLS.
func caServe(cmd *cobra.Command, addr string, config *tls.Config, h http.Handler, listening func(net.Addr)) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		var op *net.AddrError
		switch {
		case errors.As(err, &op):
			return exitWith(exUsage, err)
		case errors.Is(err, os.ErrPermission):
			return exitWith(exNoPerm, err)
		}
		return exitWith(exUnavailable, err)
	}
	ln = newLimitedListener(ln, caMaxConnection)
	server := &http.Server{
		Handler: h, TLSConfig: config, ReadTimeout: caReadTimeout, WriteTimeout: caWriteTimeout, IdleTimeout: caIdleTimeout,
		MaxHeaderBytes: caHeaderBytes,
		ErrorLog:       log.New(io.Discard, "", 0), // strangers that hang up are no news; what we do is said by the handler
		BaseContext:    func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	done := make(chan error, 1)
	go func() {
		if config != nil {
			done <- server.ServeTLS(ln, "", "")
		} else {
			done <- server.Serve(ln)
		}
	}()
	listening(ln.Addr())
	select {
	case err := <-done:
		return exitWith(exOSErr, err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), caDrain)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		server.Close()
		return exitWith(exTempFail, fmt.Errorf("requests were cut off: %w", err))
	}
	return nil
}

// limitedListener holds at most so many connections at a time; others wait in
// the kernel.
type limitedListener struct {
	net.Listener
	slots chan struct{}
}

func newLimitedListener(ln net.Listener, most int) net.Listener {
	return &limitedListener{ln, make(chan struct{}, most)}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

type limitedConn struct {
	net.Conn
	release func()
}

func (c *limitedConn) Close() error {
	c.release()
	return c.Conn.Close()
}

// lines writes whole lines from several goroutines.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, format+"\n", args...)
}
