package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

// Bounds of the door. Answers are small and made from memory; whoever is slower
// than this is gone.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 60 * time.Second
	maxHeader     = 16 << 10 // bytes
	closeTimeout  = 2 * time.Second
)

// Serve answers at ln, which is to come from [Listen], until ctx ends; requests
// that are being answered then may finish within two seconds. It closes ln. Only
// the user this process runs as, and root, are answered; who asks is the kernel's
// word, not the caller's. The error is nil when ctx ended it.
func Serve(ctx context.Context, ln net.Listener, api API) error {
	srv := &http.Server{
		Handler:                      api.handler(),
		ReadHeaderTimeout:            headerTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true,                       // OPTIONS * is nobody's to ask either
		ErrorLog:                     log.New(io.Discard, "", 0), // it would be about our own commands going away
		ConnContext:                  withPeer,
	}
	if err := serveUntil(ctx, srv, ln); err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	return nil
}

// serveUntil serves until ctx ends, and then lets what is under way come to its
// end for closeTimeout. It returns nil when ctx ended.
func serveUntil(ctx context.Context, srv *http.Server, ln net.Listener) error {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if srv.Shutdown(closing) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(ln)
	if !stop() {
		<-done
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// peerKey is the key of a request's context under which the caller stands: a nil
// error where it may ask.
type peerKey struct{}

// withPeer notes who is at the other end of a connection.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, admit(conn, os.Geteuid()))
}

// stranger is who may not ask.
type stranger struct{ error }

// admit returns whether the other end of conn may ask a process of user self.
func admit(conn net.Conn, self int) stranger {
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		return stranger{errors.New("only a unix socket tells who asks")}
	}
	uid, err := peerUID(uc)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return stranger{} // the socket's mode has decided
	case err != nil:
		return stranger{fmt.Errorf("who asks is not known: %w", err)}
	case !mayAsk(uid, self):
		return stranger{fmt.Errorf("uid %d may not ask a process of uid %d", uid, self)}
	}
	return stranger{}
}

// mayAsk reports whether user uid may ask a process of user self.
func mayAsk(uid, self int) bool { return uid == self || uid == 0 }
