package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/plan"
)

// planFlags are the flags of every command that reads a plan.
type planFlags struct {
	set []string
}

func (f *planFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.set, "set", nil, "`key=value`: override a key of the configuration, such as tiers.fleet.max=4 (repeatable)")
	c.ValidArgsFunction = completeSites
}

// load reads the plan of the site that the command line names.
func (f *planFlags) load(args []string) (*plan.Plan, error) {
	over := map[string]string{}
	for _, s := range f.set {
		name, val, ok := strings.Cut(s, "=")
		if !ok {
			return nil, usage(fmt.Errorf("reading --set: got %q, want key=value", s))
		}
		over[name] = val
	}
	opts := plan.Options{File: file, Overrides: over, Getenv: os.Getenv}
	if len(args) > 0 {
		opts.Site = args[0]
	}
	p, err := plan.Load(opts)
	if err != nil {
		return nil, usage(err)
	}
	return p, nil
}

func completeSites(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	sites, err := plan.Sites(file)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return sites, cobra.ShellCompDirectiveNoFileComp
}

// atMost refuses more arguments than a command takes, as an error of usage.
func atMost(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return usage(fmt.Errorf("running %s: got %d arguments, want at most %d; ringwall %s --help", c.Name(), len(args), n, c.Name()))
		}
		return nil
	}
}

func newConfig() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Show the configuration of a site, or the schema of the file",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(fmt.Errorf("running config: got %q, want show or schema", args[0]))
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newConfigShow(), newConfigSchema())
	return c
}

func newConfigShow() *cobra.Command {
	var flags planFlags
	var origin bool
	var output string
	c := &cobra.Command{
		Use:   "show [site]",
		Short: "Print every key of a site with its value",
		Long: `Print every key of a site with its value, as a ringwall.yaml that gives the same site.

A value comes from a flag, else the environment (RINGWALL_ and the key in capitals,
with _ for each dot: RINGWALL_TIERS_FLEET_MAX), else the file, else the preset, else
the default. With --origin each value says which.`,
		Args: atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := formatOf(output, "yaml", "json"); err != nil {
				return err
			}
			p, err := flags.load(args)
			if err != nil {
				return err
			}
			if output == "json" {
				return plan.ShowJSON(c.OutOrStdout(), p, origin)
			}
			return plan.ShowYAML(c.OutOrStdout(), p, origin)
		},
	}
	flags.add(c)
	c.Flags().BoolVar(&origin, "origin", false, "say where each value came from")
	c.Flags().StringVarP(&output, "output", "o", "yaml", "`format`: yaml or json")
	return c
}

func newConfigSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of ringwall.yaml, for editors",
		Args:  atMost(0),
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := c.OutOrStdout().Write(plan.JSONSchema())
			return err
		},
	}
}
