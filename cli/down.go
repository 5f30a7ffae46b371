package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newDown() *cobra.Command {
	var flags planFlags
	c := &cobra.Command{
		Use:   "down [site]",
		Short: "Stop a running site; its data stays",
		Args:  atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, client, err := connectSite(&flags, args)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), 2*time.Minute)
			defer cancel()
			if err := client.Down(ctx); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "%s is down\n", p.Site())
			return nil
		},
	}
	flags.add(c)
	return c
}
