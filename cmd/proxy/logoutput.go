package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"mtlsproxy/configs"
	"mtlsproxy/proxy/event"
	"mtlsproxy/proxy/sink"
)

// logQueue is how many events may wait for the log. A connection makes about
// twenty.
const logQueue = 8192

// logOutput is the log of a process: lines, behind a queue that never blocks.
type logOutput struct {
	*sink.Queue
	log  *sink.Log
	file *sink.File // nil for stderr and stdout
}

// openLog opens the log as the settings and the command's flags have it. The
// error has its exit code.
func openLog(cmd *cobra.Command, l *configs.Logging) (*logOutput, error) {
	out := &logOutput{}
	var w io.Writer
	switch l.Output {
	case "stderr":
		w = cmd.ErrOrStderr()
	case "stdout":
		w = cmd.OutOrStdout()
	default:
		file, err := sink.OpenFile(l.Output)
		if err != nil {
			return nil, exitWith(exIOErr, fmt.Errorf("opening the log: %w", err))
		}
		out.file, w = file, file
	}
	o := sink.LogOptions{Out: w, Format: sink.JSON, Phases: l.Phases}
	var err error
	if o.Level, err = sink.ParseLevel(l.Level); err != nil {
		return nil, err
	}
	if o.Probes, err = sink.ParseLevel(l.Probes); err != nil {
		return nil, err
	}
	width, tty := isTerminal(w)
	if l.Format == "console" || l.Format == "auto" && tty {
		o.Format = sink.Console
	}
	o.ASCII, _ = cmd.Flags().GetBool("ascii")
	verbose, _ := cmd.Flags().GetCount("verbose")
	o.Verbose, o.Width, o.Color = verbose > 0, width, wantsColor(cmd, tty)
	out.log = sink.NewLog(o)
	out.Queue = sink.NewQueue(out.log, logQueue)
	return out, nil
}

// isTerminal tells whether w is a terminal, and how wide.
func isTerminal(w io.Writer) (width int, is bool) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width = 0
	}
	return width, true
}

// apply takes over what a reload may change.
func (l *logOutput) apply(to *configs.Logging) {
	if level, err := sink.ParseLevel(to.Level); err == nil {
		l.log.SetLevel(level)
	}
}

// reopen opens a log file anew, for whoever rotates it.
func (l *logOutput) reopen() {
	if l.file == nil {
		return
	}
	if err := l.file.Reopen(); err != nil {
		l.Emit(processEvent(event.ConfigRejected{Trigger: "signal", Findings: []string{"reopening the log: " + err.Error()}}))
	}
}

// close writes what is queued.
func (l *logOutput) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = l.Close(ctx) // what could not be written within that is lost; there is nobody to tell
	if l.file != nil {
		l.file.Close()
	}
}
