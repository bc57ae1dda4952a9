package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// pipedLines hands on what is said.
type pipedLines chan string

func (p pipedLines) Write(b []byte) (int, error) {
	p <- strings.TrimSpace(string(b))
	return len(b), nil
}

func TestCAServersLoadAnewOnSIGHUP(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	cmd := new(cobra.Command)
	cmd.SetContext(ctx)
	said := make(pipedLines, 16)
	var loads, closed atomic.Int32
	began, hold := make(chan struct{}), make(chan struct{})
	load := func() (*caGeneration, error) {
		n := loads.Add(1)
		if n == 3 {
			return nil, errors.New("the key is gone")
		}
		return &caGeneration{close: func() { closed.Add(1) }, handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.URL.Path == "/slow" {
				close(began)
				<-hold
				if closed.Load() != 0 {
					t.Error("it is closed under a request")
				}
			}
			fmt.Fprint(w, n)
		})}, nil
	}
	addr := make(chan net.Addr, 1)
	done := make(chan error, 1)
	go func() {
		done <- caServe(cmd, "127.0.0.1:0", &lines{w: said}, load, func(a net.Addr) { addr <- a })
	}()
	url := "http://" + (<-addr).String()
	client := &http.Client{Timeout: 10 * time.Second}
	get := func(path string) string {
		resp, err := client.Get(url + path)
		if err != nil {
			t.Error(err)
			return ""
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return string(body)
	}
	hangUp := func(want string) {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-said:
			if !strings.Contains(got, want) {
				t.Errorf("it says %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("it says nothing")
		}
	}

	slow := make(chan string, 1)
	go func() { slow <- get("/slow") }()
	<-began
	hangUp("loaded anew")
	if got := get("/"); got != "2" {
		t.Errorf("answered by %s, want the second", got)
	}
	close(hold)
	if got := <-slow; got != "1" {
		t.Errorf("what began before is answered by %s", got)
	}
	hangUp("all stays as it was: the key is gone")
	if got := get("/"); got != "2" {
		t.Errorf("answered by %s, want the second still", got)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := closed.Load(); n != 2 {
		t.Errorf("%d of 2 were closed", n)
	}
}
