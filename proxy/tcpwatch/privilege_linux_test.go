package tcpwatch

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// childRole marks a process that runs a test with other privileges.
const childRole = "TCPWATCH_TEST_ROLE"

// noID is the user and group of nobody.
const noID = 65534

// child runs the calling test once more with these attributes, in a process that
// finds the role in its environment.
func child(t *testing.T, role string, attr *syscall.SysProcAttr) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give privileges and to take them")
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+name+"$", "-test.v")
	cmd.Env = append(os.Environ(), childRole+"="+role)
	cmd.Dir = "/"
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, fs.ErrPermission):
		t.Skipf("not permitted to start it so: %v", err)
	case err != nil:
		t.Errorf("as %s: %v\n%s", role, err, out)
	case bytes.Contains(out, []byte("--- SKIP: ")):
		t.Skipf("as %s:\n%s", role, out)
	}
}

// TestTiersOutliveTheirPrivileges starts all tiers as root, becomes nobody without
// any capability, and sees whether they still deliver.
func TestTiersOutliveTheirPrivileges(t *testing.T) {
	if os.Getenv(childRole) == "" {
		child(t, "root that becomes nobody", nil)
		return
	}
	before := listen(t, "127.0.0.1:0")
	after := listen(t, "127.0.0.1:0") // only its port: it is opened again below
	ports := []uint16{addrPort(before.Addr()).Port(), addrPort(after.Addr()).Port()}
	after.Close()
	w := startT(t, Options{Listen: ports})
	if _, missing := w.Tiers(); len(missing) > 0 {
		t.Skipf("%v", missing)
	}

	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(noID), syscall.Setuid(noID)); err != nil {
		t.Fatal(err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil || data != [2]unix.CapUserData{} {
		t.Fatalf("%+v, %v: want no capability left", data, err)
	}
	if again, err := Start(Options{Tiers: []Source{Packet}}); err == nil {
		again.Close()
		t.Error("a tier starts without a privilege: nothing is tested here")
	}

	for _, address := range []string{before.Addr().String(), after.Addr().String()} {
		ln := before
		if address != before.Addr().String() {
			ln = listen(t, address)
		}
		c := watchAt(t, w, ln)
		c.client.CloseWrite()
		c.await(t, SawFIN, Peer)
		drain(t, c.server)
		c.close(t, false)
		if end := c.end(t); end.Verdict != ClosedThere {
			t.Errorf("verdict %v", end.Verdict)
		}
		if f := c.await(t, SawSYNACK, Us); f.Source != Packet || f.Segment == nil {
			t.Errorf("SYN-ACK by %v", f.Source)
		}
		if f := c.await(t, SawEstablished, 0); f.Source != Sockops || f.Quality != Exact {
			t.Errorf("established by %v, %v", f.Source, f.Quality)
		}
	}
	if s := w.Stats(); s.LostRecords != 0 || s.LostPackets != 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestEachTierNeedsWhatItSays starts the watcher as nobody with some of the
// capabilities.
func TestEachTierNeedsWhatItSays(t *testing.T) {
	roles := []struct {
		name string
		caps []uintptr
		want []Source
	}{
		{"nobody", nil, []Source{Sock}},
		{"nobody with CAP_NET_RAW", []uintptr{unix.CAP_NET_RAW}, []Source{Sock, Packet}},
		{"nobody with CAP_BPF", []uintptr{unix.CAP_BPF}, []Source{Sock}},
		{"nobody with CAP_NET_ADMIN", []uintptr{unix.CAP_NET_ADMIN}, []Source{Sock}},
		{"nobody with CAP_BPF and CAP_NET_ADMIN", []uintptr{unix.CAP_BPF, unix.CAP_NET_ADMIN}, []Source{Sock, Sockops}},
	}
	role := os.Getenv(childRole)
	if role == "" {
		all := startT(t, Options{})
		if _, missing := all.Tiers(); len(missing) > 0 {
			t.Skipf("not even root has them all: %v", missing)
		}
		for _, r := range roles {
			t.Run(r.name, func(t *testing.T) {
				child(t, r.name, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: noID, Gid: noID}, AmbientCaps: r.caps})
			})
		}
		return
	}
	for _, r := range roles {
		if r.name != role {
			continue
		}
		w := startT(t, Options{})
		active, missing := w.Tiers()
		if !slices.Equal(active, r.want) || len(active)+len(missing) != 3 {
			t.Errorf("active %v, missing %v; want %v", active, missing, r.want)
		}
		needs := map[Source]string{Sockops: "CAP_BPF and CAP_NET_ADMIN", Packet: "CAP_NET_RAW"}
		for _, m := range missing {
			if !errors.Is(m.Err, fs.ErrPermission) || !strings.Contains(m.String(), "not permitted") || !strings.Contains(m.Need, needs[m.Tier]) {
				t.Errorf("%v (%v), want that it is not permitted and needs %s", m, m.Err, needs[m.Tier])
			}
		}
		// What is there works without the rest.
		c := watchT(t, w)
		c.close(t, true)
		if end := c.end(t); end.Verdict != AbortedHere {
			t.Errorf("verdict %v", end.Verdict)
		}
	}
}
