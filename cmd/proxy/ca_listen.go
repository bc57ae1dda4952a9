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

// caServe serves what load returns until SIGINT or SIGTERM, then lets requests
// end. With a tls.Config it does so over TLS. SIGHUP loads anew; where that fails
// all stays as it was.
func caServe(cmd *cobra.Command, addr string, talk *lines, load func() (*caGeneration, error), listening func(net.Addr)) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	first, err := load()
	if err != nil {
		return err
	}
	now := &caGenerations{current: first}
	defer now.end()
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
		Handler: now, ReadTimeout: caReadTimeout, WriteTimeout: caWriteTimeout, IdleTimeout: caIdleTimeout,
		MaxHeaderBytes: caHeaderBytes,
		ErrorLog:       log.New(io.Discard, "", 0), // strangers that hang up are no news; what we do is said by the handler
		BaseContext:    func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	done := make(chan error, 1)
	go func() {
		if first.config == nil {
			done <- server.Serve(ln)
			return
		}
		server.TLSConfig = &tls.Config{GetConfigForClient: now.config}
		done <- server.ServeTLS(ln, "", "")
	}()
	listening(ln.Addr())
	for ctx.Err() == nil {
		select {
		case err := <-done:
			return exitWith(exOSErr, err)
		case <-reload:
			if next, err := load(); err != nil {
				talk.printf("not loaded anew, all stays as it was: %v", err)
			} else {
				now.replace(next)
				talk.printf("loaded anew")
			}
		case <-ctx.Done():
		}
	}
	drain, cancel := context.WithTimeout(context.Background(), caDrain)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		server.Close()
		return exitWith(exTempFail, fmt.Errorf("requests were cut off: %w", err))
	}
	return nil
}

// A caGeneration is all that is loaded at once.
type caGeneration struct {
	handler http.Handler
	config  *tls.Config // nil for plain HTTP
	close   func()      // once no request needs it

	requests sync.WaitGroup
}

// caGenerations are the generation that serves and those that end.
type caGenerations struct {
	mu      sync.Mutex
	current *caGeneration // nil at the end
	ending  sync.WaitGroup
}

var errCAEnds = errors.New("the server ends")

// ServeHTTP implements [http.Handler]. A request ends in the generation in which
// it began.
func (s *caGenerations) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	s.mu.Lock()
	g := s.current
	if g != nil {
		g.requests.Add(1)
	}
	s.mu.Unlock()
	if g == nil {
		http.Error(w, errCAEnds.Error(), http.StatusServiceUnavailable)
		return
	}
	defer g.requests.Done()
	g.handler.ServeHTTP(w, q)
}

func (s *caGenerations) config(*tls.ClientHelloInfo) (*tls.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return nil, errCAEnds
	}
	return s.current.config, nil
}

func (s *caGenerations) replace(next *caGeneration) {
	s.mu.Lock()
	old := s.current
	s.current = next
	s.mu.Unlock()
	s.ending.Go(func() {
		old.requests.Wait()
		old.close()
	})
}

// end closes all generations; no request begins any more.
func (s *caGenerations) end() {
	s.replace(nil)
	s.ending.Wait()
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
