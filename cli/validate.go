package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/plan"
)

func newValidate() *cobra.Command {
	var flags planFlags
	var all bool
	c := &cobra.Command{
		Use:   "validate [site]",
		Short: "Read the configuration and say everything that is wrong with it",
		Long: `Read the configuration and say everything that is wrong with it, each with its
line, and what the reading replaced or kept for AWS.

Nothing is started. Exit codes: 0 the configuration is right, 2 it is not.`,
		Args: atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			sites := args
			if len(args) == 0 && all {
				names, err := plan.Sites(file)
				if err != nil {
					return usage(err)
				}
				sites = names
			}
			if len(sites) == 0 {
				sites = []string{""}
			}
			for _, site := range sites {
				p, err := flags.load([]string{site})
				if err != nil {
					return err
				}
				fmt.Fprintf(c.OutOrStdout(), "%s: valid, %d flows\n", p.Site(), len(p.Flows))
				for _, n := range p.Notes {
					fmt.Fprintf(c.ErrOrStderr(), "note: %s\n", n)
				}
			}
			return nil
		},
	}
	flags.add(c)
	c.Flags().BoolVar(&all, "all", false, "every site of the file")
	return c
}
