package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mtlsproxy/configs"
)

func (c configCommand) showCommand() *cobra.Command {
	var origin bool
	var output string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "print the configuration in force",
		Long: `show prints every key with the value it has once flags, environment, file and
defaults are laid over each other. With --origin it says where each comes from:
as a table, as comments with -o yaml, as fields with -o json.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "yaml", "json"); err != nil {
				return err
			}
			_, loaded, err := c.load(cmd)
			var invalid *configs.Error
			if errors.As(err, &invalid) {
				if err := writeFindings(cmd.ErrOrStderr(), invalid.Findings); err != nil {
					return err
				}
				return exitWith(exConfig, nil)
			}
			if err != nil {
				return err
			}
			for _, w := range loaded.Warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), w)
			}
			return show(cmd, loaded, output, origin)
		},
	}
	cmd.Flags().BoolVar(&origin, "origin", false, "say where each value comes from")
	addOutput(cmd, &output, "yaml", "json")
	return cmd
}

func show(cmd *cobra.Command, l *configs.Loaded, output string, origin bool) error {
	var content []byte
	var err error
	switch {
	case output == "json" && origin:
		return writeJSONTo(cmd.OutOrStdout(), settings(l))
	case output == "json":
		content, err = l.JSON()
	case origin && !cmd.Flags().Changed("output"):
		content, err = originTable(l)
	default:
		content, err = l.YAML(origin)
	}
	if err != nil {
		return exitWith(exIOErr, err)
	}
	return write(cmd.OutOrStdout(), content)
}

// setting is one key in the machine form of show --origin.
type setting struct {
	Key    string         `json:"key"`
	Value  string         `json:"value"`
	Origin configs.Origin `json:"origin"`
}

func settings(l *configs.Loaded) []setting {
	var list []setting
	for _, key := range l.Keys() {
		list = append(list, setting{key, l.Value(key), l.Origin(key)})
	}
	return list
}

// originTable is one line a key: path, value, kind of origin, place.
func originTable(l *configs.Loaded) ([]byte, error) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, s := range settings(l) {
		kind, place, set := strings.Cut(s.Origin.String(), " ")
		if set {
			kind += "\t" + place
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Key, s.Value, kind)
	}
	err := w.Flush()
	return b.Bytes(), err
}
