package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ringwall/ringwall/deploy"
)

func newDestroy() *cobra.Command {
	var flags planFlags
	var o deploy.DestroyOptions
	var yes, dryRun bool
	var color string
	c := &cobra.Command{
		Use:   "destroy [site]",
		Short: "Take a site on AWS away, and say what stays",
		Long: `Delete a site's stacks on AWS, in the reverse of the order in which they were made, and put
the account's settings back when no other site wants them.

What is protected from deletion refuses before anything is deleted. What the templates say
to keep (databases as snapshots, file systems, log buckets, keys) stays, and is listed with
its id. Without a terminal --yes is needed.

Ctrl-C stops this program at any moment; the next destroy goes on from there.`,
		Example: "  ringwall destroy wp-dev --dry-run\n  ringwall destroy wp-dev --yes",
		Args:    atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := flags.load(args)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(c)
			defer stop()
			site, err := siteOf(io.Discard, p)
			if err != nil {
				return err
			}
			client, err := deploy.Open(ctx, p.AWS.Region)
			if err != nil {
				return err
			}
			doomed, err := client.Doom(ctx, site)
			if err != nil {
				return err
			}
			w := c.OutOrStdout()
			if len(doomed) == 0 {
				fmt.Fprintf(w, "%s has no stack in account %s\n", site.Name, client.Account)
			}
			for _, d := range doomed {
				printDoomed(c, d)
			}
			undone, err := client.Undone(ctx, site)
			if err != nil {
				return err
			}
			for _, u := range undone {
				fmt.Fprintln(w, u)
			}
			if dryRun {
				fmt.Fprintln(c.ErrOrStderr(), "a dry run: nothing was deleted")
				return nil
			}
			if len(doomed) > 0 && !yes {
				if !term.IsTerminal(int(os.Stdin.Fd())) {
					return &exitError{ExitApproval, fmt.Errorf("destroying %s: this deletes %s of account %s; run it again with --yes if that is meant", site.Name, count(len(doomed), "stack"), client.Account)}
				}
				if got := answer(ctx, c, fmt.Sprintf("Type %s to delete this from account %s: ", site.Name, client.Account)); got != site.Name {
					return &exitError{ExitApproval, errors.New("destroying: it was not confirmed; nothing was deleted")}
				}
			}
			view := newView(c, color)
			defer view.End()
			o.Progress = view.Tell
			doomed, err = client.Destroy(ctx, site, o)
			view.End()
			if e, ok := errors.AsType[*deploy.Protected](err); ok {
				return &exitError{ExitApproval, e}
			}
			if err != nil {
				return err
			}
			for _, d := range doomed {
				for _, r := range d.Retained {
					fmt.Fprintf(w, "kept: %s of %s\n", r, d.Stack)
				}
				for _, r := range d.Snapshots {
					fmt.Fprintf(w, "kept as a snapshot: %s of %s\n", r, d.Stack)
				}
			}
			return nil
		},
	}
	flags.add(c)
	f := c.Flags()
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.BoolVar(&dryRun, "dry-run", false, "say what would be deleted and what stays, and delete nothing")
	f.BoolVar(&o.Unprotect, "unprotect", false, "turn the termination protection of stacks off")
	f.StringArrayVar(&o.Abandon, "abandon", nil, "leave this `resource` behind when it could not be deleted before (repeatable)")
	f.StringVar(&color, "color", "auto", "auto, always or never")
	return c
}

func printDoomed(c *cobra.Command, d deploy.Doomed) {
	w := c.OutOrStdout()
	fmt.Fprintf(w, "%s in %s (%s): %s\n", d.Stack, d.Region, d.Status, count(d.Resources, "resource"))
	for _, p := range d.Protected {
		fmt.Fprintln(w, "  protected: "+p)
	}
	for _, r := range d.Retained {
		fmt.Fprintln(w, "  stays: "+r)
	}
	for _, r := range d.Snapshots {
		fmt.Fprintln(w, "  stays as a snapshot: "+r)
	}
}
