package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/internal/durable"
	"github.com/ringwall/ringwall/synth"
)

func newSynth() *cobra.Command {
	var flags planFlags
	var out, output string
	c := &cobra.Command{
		Use:   "synth [site]",
		Short: "Write the CloudFormation templates of a site",
		Long: `Write the CloudFormation templates of a site, a file for each stack, named after it.

No account is asked. What only the account knows (the hosted zone's id, the ids of
prefix lists) is a parameter of the template; ringwall deploy looks it up.

What the configuration says and AWS no longer has, or what is not safe, is replaced;
each replacement is printed. The same configuration gives the same bytes.`,
		Args: atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			if output != "json" && output != "yaml" {
				return usage(fmt.Errorf("reading --output: got %q, want json or yaml", output))
			}
			if out == "" {
				return usage(errors.New("writing templates: got no directory, want one in --out"))
			}
			p, err := flags.load(args)
			if err != nil {
				return err
			}
			stacks, notes, err := synth.Build(p)
			if err != nil {
				return usage(err)
			}
			templates, err := stacks.Templates()
			if err != nil {
				return err
			}
			if err := os.MkdirAll(out, 0o755); err != nil {
				return fmt.Errorf("making the directory of the templates: %w", err)
			}
			for _, n := range notes {
				fmt.Fprintln(c.ErrOrStderr(), n)
			}
			// Each file waits for the disk, so all of them wait together.
			names, errs := make([]string, len(templates)), make([]error, len(templates))
			var wg sync.WaitGroup
			for i, t := range templates {
				names[i] = filepath.Join(out, t.Name+"."+output)
				wg.Go(func() {
					data := t.JSON()
					if output == "yaml" {
						data = t.YAML()
					}
					errs[i] = durable.WriteFile(names[i], data, 0o644)
				})
			}
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				return err
			}
			for _, n := range names {
				fmt.Fprintln(c.OutOrStdout(), n)
			}
			return nil
		},
	}
	flags.add(c)
	c.Flags().StringVar(&out, "out", "", "`directory` that the templates are written to")
	c.Flags().StringVarP(&output, "output", "o", "json", "`format`: json or yaml")
	return c
}
