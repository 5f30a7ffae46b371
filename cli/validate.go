package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/plan"
)

func newValidate() *cobra.Command {
	var flags planFlags
	c := &cobra.Command{
		Use:   "validate [site]",
		Short: "Read the configuration and say everything that is wrong with it",
		Long: `Read the configuration of a site, or of every site of the file, and say everything
that is wrong with it, each with its line; and what the reading replaced or kept for AWS.

Nothing is started. Exit codes: 0 the configuration is right, 2 it is not.`,
		Args: atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			sites := args
			if len(sites) == 0 {
				var err error
				if sites, err = plan.Sites(file); err != nil {
					sites = []string{""} // Load says it too, and more
				}
			}
			var wrong plan.Errors
			for _, site := range sites {
				p, err := flags.load([]string{site})
				var problems plan.Errors
				if errors.As(err, &problems) {
					wrong = wrong.Add(problems)
					continue
				}
				if err != nil {
					return err
				}
				if err := rulesOf(p); err != nil {
					return err
				}
				fmt.Fprintf(c.OutOrStdout(), "%s: valid, %d flows\n", p.Site(), len(p.Flows))
				for _, n := range p.Notes {
					fmt.Fprintf(c.ErrOrStderr(), "note: %s: %s\n", p.Site(), n)
				}
			}
			if len(wrong) > 0 {
				return usage(wrong)
			}
			return nil
		},
	}
	flags.add(c)
	return c
}
