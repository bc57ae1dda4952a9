package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"mtlsproxy/configs"
)

// newRootCommand returns the whole command tree. A bare call is the demo.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "proxy",
		Short: "a mutual-TLS proxy that says what happened to every connection",
		Long: `proxy terminates TLS in front of a service, lets in the clients its policy
allows, and records why each connection went as it did.

Called without a command it runs a demo on loopback with throwaway certificates.`,
		Args:          unknownCommand,
		SilenceUsage:  true,
		SilenceErrors: true,

		PersistentPreRunE: checkColor,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd, demoOptions{Dir: defaultDemoDir})
		},
	}
	root.PersistentFlags().StringP("config", "c", "", "the configuration file")
	root.PersistentFlags().StringArray("set", nil, "set one key, as in --set listeners.main.timeouts.handshake=5s; may be repeated")
	root.PersistentFlags().String("color", "auto", "colours in the console log: auto, always or never")
	root.PersistentFlags().Bool("ascii", false, "nothing but ASCII in the console log")
	root.PersistentFlags().CountP("verbose", "v", "say more in the console log")
	root.AddCommand(
		newRunCommand(),
		newDemoCommand(),
		newConfigCommand(configSource, checkFiles),
		newCACommand(),
		newCertCommand(),
		newExplainCommand(),
		newConnsCommand(),
		newPolicyCommand(),
		newSocketsCommand(),
		newVersionCommand(),
	)
	addLater(root, laterCommands)
	root.SetFlagErrorFunc(flagError)
	return root
}

// configSource reads from cmd's flags and the environment where the
// configuration comes from.
func configSource(cmd *cobra.Command) (configs.Source, error) {
	src := configs.Source{Environ: os.Environ()}
	src.File, _ = cmd.Flags().GetString("config")
	if src.File == "" {
		src.File = configs.Find(src.Environ)
	}
	for _, short := range configs.ShortFlags() {
		name := strings.TrimPrefix(short.Name, "--")
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			src.Flags = append(src.Flags, configs.Flag{Name: short.Name, Key: short.Key, Value: f.Value.String()})
		}
	}
	sets, _ := cmd.Flags().GetStringArray("set")
	for _, set := range sets {
		flag, err := configs.ParseSet(set)
		if err != nil {
			return src, exitWith(exUsage, err)
		}
		src.Flags = append(src.Flags, flag)
	}
	return src, nil
}

// addShortFlags gives cmd the short forms of the configuration's keys.
func addShortFlags(cmd *cobra.Command) {
	for _, short := range configs.ShortFlags() {
		cmd.Flags().String(strings.TrimPrefix(short.Name, "--"), "", short.Help+" ("+short.Key+")")
	}
}

// execute runs the command line and returns the exit code.
func execute(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteC()
	if err != nil && !exitSilently(err) {
		fmt.Fprintf(stderr, "proxy: %v\n", err)
		if isUsageError(err) {
			fmt.Fprintf(stderr, "       see: %s --help\n", cmd.CommandPath())
		}
	}
	return exitCode(err)
}
