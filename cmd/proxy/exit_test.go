package main

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/spf13/cobra"
)

func TestExitCode(t *testing.T) {
	cause := errors.New("cause")
	for _, tt := range []struct {
		name string
		err  error
		want int
	}{
		{"no error is 0", nil, exOK},
		{"an error without a class is 1", cause, exNo},
		{"an exit error has its own code", exitWith(exNoInput, cause), exNoInput},
		{"an exit error keeps its code when wrapped", fmt.Errorf("loading: %w", exitWith(exNoPerm, cause)), exNoPerm},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := exitCode(tt.err); got != tt.want {
				t.Errorf("exitCode(%v) = %d, want %d", tt.err, got, tt.want)
			}
		})
	}
	if !errors.Is(exitWith(exNoInput, cause), cause) {
		t.Error("an exit error hides its cause")
	}
	if !exitSilently(exitWith(exConfig, nil)) || exitSilently(exitWith(exConfig, cause)) {
		t.Error("exitSilently does not tell a bare code from an error")
	}
}

func TestCommandLineMistakesExit64(t *testing.T) {
	for _, args := range [][]string{
		{"bogus"}, {"--bogus"}, {"-z"}, {"leaf", "--count"}, {"leaf", "--count", "x"},
		{"leaf", "too", "many"}, {"group", "bogus"}, {"needs"}, {"pair", "--a", "1"}, {"--=x"},
	} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			err := mistakeTree(args).Execute()
			if err == nil {
				t.Fatal("accepted")
			}
			if got := exitCode(err); got != exUsage {
				t.Errorf("exitCode(%q) = %d, want %d", err, got, exUsage)
			}
		})
	}
}

// mistakeTree is a command tree in which every kind of usage error can be made.
func mistakeTree(args []string) *cobra.Command {
	run := func(*cobra.Command, []string) error { return nil }
	root := &cobra.Command{Use: "proxy", SilenceErrors: true, SilenceUsage: true}
	leaf := &cobra.Command{Use: "leaf", Args: cobra.MaximumNArgs(1), RunE: run}
	leaf.Flags().Int("count", 0, "")
	group := &cobra.Command{Use: "group", RunE: runGroup}
	group.AddCommand(&cobra.Command{Use: "inner", RunE: run})
	needs := &cobra.Command{Use: "needs", RunE: run}
	needs.Flags().String("must", "", "")
	_ = needs.MarkFlagRequired("must")
	pair := &cobra.Command{Use: "pair", RunE: run}
	pair.Flags().String("a", "", "")
	pair.Flags().String("b", "", "")
	pair.MarkFlagsRequiredTogether("a", "b")
	root.AddCommand(leaf, group, needs, pair)
	root.SetArgs(args)
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	return root
}
