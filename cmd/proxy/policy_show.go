package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mtlsproxy/configs"
	"mtlsproxy/policy"
)

// shownPolicy is the machine form of policy show.
type shownPolicy struct {
	Default  string            `json:"default"`
	Rules    []shownRule       `json:"rules"`
	Findings []configs.Finding `json:"findings"`
}

type shownRule struct {
	Name      string     `json:"name"`
	Action    string     `json:"action"`
	Match     []string   `json:"match"` // one clause a key
	NotBefore *time.Time `json:"not_before,omitempty"`
	NotAfter  *time.Time `json:"not_after,omitempty"`
}

func showPolicy(r *policy.Rules, findings []configs.Finding) shownPolicy {
	out := shownPolicy{Default: string(r.Default()), Rules: []shownRule{}, Findings: append([]configs.Finding{}, findings...)}
	for _, rule := range r.List() {
		s := shownRule{Name: rule.Name, Action: string(rule.Action), Match: rule.Match.Words()}
		if !rule.NotBefore.IsZero() {
			s.NotBefore = &rule.NotBefore
		}
		if !rule.NotAfter.IsZero() {
			s.NotAfter = &rule.NotAfter
		}
		out.Rules = append(out.Rules, s)
	}
	return out
}

func (p *shownPolicy) print(w io.Writer) error {
	var b strings.Builder
	for i, r := range p.Rules {
		fmt.Fprintf(&b, "%3d  %-5s  %s\n", i, r.Action, r.Name)
		for _, m := range r.Match {
			fmt.Fprintf(&b, "            %s\n", m)
		}
		if r.NotBefore != nil {
			fmt.Fprintf(&b, "            from %s\n", r.NotBefore.UTC().Format(time.RFC3339))
		}
		if r.NotAfter != nil {
			fmt.Fprintf(&b, "            until %s\n", r.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	fmt.Fprintf(&b, "  –  %-5s  %s\n", p.Default, policy.DefaultRule)
	return write(w, []byte(b.String()))
}

func newPolicyShowCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "show the rules in the order they are tried, and what is odd about them",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			o, err := loadPolicy(cmd)
			if err != nil {
				return err
			}
			shown := showPolicy(o.plan.rules, o.plan.findings)
			if output == "json" {
				return writeJSONTo(cmd.OutOrStdout(), shown)
			}
			if err := shown.print(cmd.OutOrStdout()); err != nil {
				return err
			}
			if len(o.plan.findings) > 0 {
				return writeFindings(cmd.ErrOrStderr(), o.plan.findings)
			}
			return nil
		},
	}
	addOutput(cmd, &output, "text", "json")
	return cmd
}
