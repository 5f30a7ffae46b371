package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newReplace() *cobra.Command {
	var flags planFlags
	c := &cobra.Command{
		Use:     "replace [site] [tier | instance]",
		Short:   "Put new instances in the place of old ones, without a failed request",
		Example: "  ringwall replace fleet/1\n  ringwall replace wp-dev fleet",
		RunE: func(c *cobra.Command, args []string) error {
			_, client, rest, err := connect(&flags, args)
			if err != nil {
				return err
			}
			if err := want(rest, 0, 1, "the name of a tier or an instance"); err != nil {
				return err
			}
			made, err := client.Replace(c.Context(), append(rest, "")[0])
			for _, m := range made {
				fmt.Fprintln(c.OutOrStdout(), m)
			}
			return err
		},
	}
	flags.add(c)
	return c
}

func newRotate() *cobra.Command {
	var flags planFlags
	c := &cobra.Command{
		Use:       "rotate [site] origin-secret | database | tls",
		Short:     "Renew a secret of a running site, without a failed request",
		ValidArgs: []string{"origin-secret", "database", "tls"},
		RunE: func(c *cobra.Command, args []string) error {
			_, client, rest, err := connect(&flags, args)
			if err != nil {
				return err
			}
			if err := want(rest, 1, 1, "origin-secret, database or tls"); err != nil {
				return err
			}
			text, err := client.Rotate(c.Context(), rest[0])
			if err == nil {
				fmt.Fprintln(c.OutOrStdout(), text)
			}
			return err
		},
	}
	flags.add(c)
	return c
}

func newAccept() *cobra.Command {
	var flags planFlags
	c := &cobra.Command{
		Use:   "accept [site]",
		Short: "Take the code as it is now for what it should be",
		Args:  atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, client, err := connectSite(&flags, args)
			if err != nil {
				return err
			}
			text, err := client.Accept(c.Context())
			if err == nil {
				fmt.Fprintln(c.OutOrStdout(), text)
			}
			return err
		},
	}
	flags.add(c)
	return c
}

func newPurge() *cobra.Command {
	var flags planFlags
	c := &cobra.Command{
		Use:     "purge [site] [url prefix]",
		Short:   "Forget what the edge has cached",
		Example: "  ringwall purge\n  ringwall purge wp-dev /news/",
		RunE: func(c *cobra.Command, args []string) error {
			_, client, rest, err := connect(&flags, args)
			if err != nil {
				return err
			}
			if err := want(rest, 0, 1, "the beginning of an address, or nothing for all"); err != nil {
				return err
			}
			prefix := append(rest, "")[0]
			if prefix != "" && !strings.HasPrefix(prefix, "/") && !strings.HasPrefix(prefix, "https://") {
				return usage(fmt.Errorf("reading the arguments: got %q, want the beginning of an address: /path, or https://host/path", prefix))
			}
			return client.Purge(c.Context(), prefix)
		},
	}
	flags.add(c)
	return c
}
