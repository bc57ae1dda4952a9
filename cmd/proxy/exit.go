package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes. 0 and 1 answer a question; 2 is left to the Go runtime, which
// uses it for a panic; the others are those of sysexits(3), so that a service
// manager can tell "fix the configuration" from "try again".
const (
	exOK          = 0   // done, a complete drain after SIGTERM included
	exNo          = 1   // the question has a negative answer, or an error of no class below
	exUsage       = 64  // unknown flag or command, wrong number of arguments
	exDataErr     = 65  // PEM, CSR or JSON that cannot be parsed
	exNoInput     = 66  // a file that is not there
	exUnavailable = 69  // the admin socket or an upstream cannot be reached
	exOSErr       = 71  // the system has no resources for it
	exCantCreat   = 73  // an output file that exists or cannot be made
	exIOErr       = 74  // reading or writing went wrong on the way
	exTempFail    = 75  // the drain timed out and connections were cut
	exNoPerm      = 77  // not permitted: a port, a key file
	exConfig      = 78  // configuration invalid or absent
	exInterrupted = 130 // 128 + SIGINT: stopped at once by the second signal
)

// exitError is an error that knows the exit code it ends the process with.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitWith gives err the exit code. A nil err ends the process with the code
// and no message: everything worth saying has been said by then.
func exitWith(code int, err error) error { return &exitError{code: code, err: err} }

// exitSilently reports whether err only carries an exit code, so that nothing
// is left to print.
func exitSilently(err error) bool {
	var e *exitError
	return errors.As(err, &e) && e.err == nil
}

// exitCode is the exit code err stands for: 0 for nil, the code of the
// outermost exitError, 64 for cobra's complaints about the command line, and
// otherwise 1.
func exitCode(err error) int {
	var e *exitError
	switch {
	case err == nil:
		return exOK
	case errors.As(err, &e):
		return e.code
	case isUsageError(err):
		return exUsage
	}
	return exNo
}

// isUsageError recognises the errors cobra makes about the command line. The
// flag parser has types for them; the rest are known by how they begin, which
// a test holds against the cobra in use.
func isUsageError(err error) bool {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
		syntax  *pflag.InvalidSyntaxError
	)
	if errors.As(err, &unknown) || errors.As(err, &missing) || errors.As(err, &invalid) || errors.As(err, &syntax) {
		return true
	}
	for _, p := range []string{
		"unknown command ", "accepts ", "requires at least ", "invalid argument ",
		"required flag(s) ", "if any flags in the group ", "at least one of the flags in the group ",
	} {
		if strings.HasPrefix(err.Error(), p) {
			return true
		}
	}
	return false
}

// runGroup is the RunE of a command that only holds others. Without it cobra
// prints help and exits 0 for a mistyped subcommand below the first level.
func runGroup(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return unknownCommand(cmd, args)
}

// unknownCommand is the Args of a command that holds others and takes nothing
// itself. It suggests what may have been meant.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.SuggestionsMinimumDistance == 0 {
		cmd.SuggestionsMinimumDistance = 2 // what cobra takes for the root
	}
	msg := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		msg += fmt.Sprintf(" – did you mean %q?", near[0])
	} else {
		msg += fmt.Sprintf("; `%s --help` lists them", cmd.CommandPath())
	}
	return exitWith(exUsage, errors.New(msg))
}

// noArgs is the Args of a command that takes none and holds no others. cobra's
// own speaks of unknown commands.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return exitWith(exUsage, fmt.Errorf("%q takes no argument, got %q", cmd.CommandPath(), args[0]))
}

// flagError is what becomes of a flag that is not known. Behind a command that is
// not known either, the command is what to speak of.
func flagError(cmd *cobra.Command, err error) error {
	if cmd.HasSubCommands() {
		if unknown := unknownCommand(cmd, cmd.Flags().Args()); unknown != nil {
			return unknown
		}
	}
	return err
}
