package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// child is a process that the benchmark started. It stands in a process group
// of its own, which is all that stop ever signals.
type child struct {
	cmd  *exec.Cmd
	log  string // file with what it says
	done chan struct{}
}

// startChild starts a program in dir. What it says goes to a file there, as a
// service manager would keep it; stdout, if given, gets standard output.
func startChild(name, dir string, cpus []int, stdout io.Writer, args ...string) (*child, error) {
	c := &child{log: filepath.Join(dir, name+".out"), done: make(chan struct{})}
	log, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c.cmd = exec.Command(args[0], args[1:]...)
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = dir, log, log
	c.cmd.WaitDelay = time.Second
	if stdout != nil {
		c.cmd.Stdout = stdout
	}
	if err := startOn(c.cmd, cpus); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		defer close(c.done)
		c.cmd.Wait()
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop ends the process and its group: asked at first, then killed.
func (c *child) stop() {
	if c == nil {
		return
	}
	signalGroup(c.pid(), syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(2 * time.Second):
	}
	// The group may outlive its leader.
	signalGroup(c.pid(), syscall.SIGKILL)
	<-c.done
}

// ended says whether the process is gone, and its last words.
func (c *child) ended() error {
	select {
	case <-c.done:
		return fmt.Errorf("it ended (%s): %s", c.cmd.ProcessState, lastWords(c.log))
	default:
		return nil
	}
}

// lastWords is the end of what a process said, in one line.
func lastWords(file string) string {
	text, err := os.ReadFile(file)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return "it said nothing"
	}
	const most = 300
	text = bytes.TrimSpace(text)
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// startBackend starts a backend and returns its address.
func startBackend(program, dir string, cpus []int) (*child, string, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer reader.Close()
	c, err := startChild("backend", dir, cpus, writer, program, "backend")
	writer.Close()
	if err != nil {
		return nil, "", err
	}
	reader.SetReadDeadline(time.Now().Add(patience))
	address, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		c.stop()
		return nil, "", fmt.Errorf("waiting for the backend's address: %w", err)
	}
	return c, strings.TrimSpace(address), nil
}

// placeOrder runs the load generator and returns what it found.
func placeOrder(ctx context.Context, program, dir string, cpus []int, o order) (outcome, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return outcome{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Duration+maxDuration)
	defer cancel()
	cmd := exec.Command(program, "load")
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, bytes.NewReader(text), &stdout, &stderr
	if err := startOn(cmd, cpus); err != nil {
		return outcome{}, fmt.Errorf("starting the load generator: %w", err)
	}
	defer context.AfterFunc(ctx, func() { signalGroup(cmd.Process.Pid, syscall.SIGKILL) })()
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return outcome{}, fmt.Errorf("the load generator was cut: %w", context.Cause(ctx))
	case err != nil && stderr.Len() > 0:
		return outcome{}, errors.New(strings.TrimPrefix(strings.Join(strings.Fields(stderr.String()), " "), "bench: "))
	case err != nil:
		return outcome{}, fmt.Errorf("the load generator: %w", err)
	}
	var out outcome
	if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
		return outcome{}, fmt.Errorf("reading what the load generator found: %w", err)
	}
	return out, nil
}
