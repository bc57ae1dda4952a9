package store

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain ends the PostgreSQL server that the tests may have started.
func TestMain(m *testing.M) {
	code := m.Run()
	stopPostgres()
	os.Exit(code)
}

var (
	postgresServer *exec.Cmd
	postgresDir    string
	postgresURL    string
	postgresSkip   string
	startOnce      sync.Once
	databases      int
)

// newPostgres returns the URL of an empty database on a real server: the one
// that MTLSPROXY_TEST_POSTGRES names, or one of the Debian package postgresql that
// this process starts on loopback.
func newPostgres(t testing.TB) string {
	t.Helper()
	startOnce.Do(startPostgres)
	if postgresSkip != "" {
		t.Skip(postgresSkip)
	}
	databases++
	name := fmt.Sprintf("mtlsproxy_%d_%d", os.Getpid(), databases)
	admin, err := connect(postgresURL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.db.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = admin.db.Exec("DROP DATABASE " + name + " WITH (FORCE)")
		admin.Close()
	})
	u, err := url.Parse(postgresURL)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func startPostgres() {
	if postgresURL = os.Getenv("MTLSPROXY_TEST_POSTGRES"); postgresURL != "" {
		return
	}
	tools, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(tools) == 0 {
		postgresSkip = "no PostgreSQL: set MTLSPROXY_TEST_POSTGRES to a URL, or install the package postgresql"
		return
	}
	if err := runPostgres(filepath.Dir(tools[len(tools)-1])); err != nil {
		postgresSkip = "starting PostgreSQL: " + err.Error()
	}
}

// runPostgres makes a server in a directory of its own. PostgreSQL refuses to
// run as root, so root runs it as the user postgres.
func runPostgres(bin string) (err error) {
	if postgresDir, err = os.MkdirTemp("", "mtlsproxy-pg-"); err != nil {
		return err
	}
	as := &syscall.SysProcAttr{}
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(postgresDir, uid, gid); err != nil {
			return err
		}
	}
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.SysProcAttr, cmd.Dir = as, postgresDir
		cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
		return cmd
	}
	data := filepath.Join(postgresDir, "data")
	if out, err := run("initdb", "-D", data, "-U", "test", "--auth=trust", "--no-sync").CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %v: %s", err, out)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	postgresServer = run("postgres", "-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "fsync=off")
	if err := postgresServer.Start(); err != nil {
		return err
	}
	postgresURL = fmt.Sprintf("postgres://test@127.0.0.1:%d/postgres?sslmode=disable", port)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		s, err := connect(postgresURL)
		if err != nil {
			return err
		}
		err = s.db.PingContext(ctx)
		s.Close()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func stopPostgres() {
	if postgresServer != nil && postgresServer.Process != nil {
		_ = postgresServer.Process.Signal(syscall.SIGINT) // fast shutdown
		_ = postgresServer.Wait()
	}
	if postgresDir != "" {
		_ = os.RemoveAll(postgresDir)
	}
}
