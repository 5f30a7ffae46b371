package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/local"
	"github.com/ringwall/ringwall/plan"
)

func newDoctor() *cobra.Command {
	var flags planFlags
	var output string
	c := &cobra.Command{
		Use:   "doctor [site]",
		Short: "Say what this machine lacks, and the command that mends it",
		Long: `Try, by doing it, everything that a site needs of this machine: namespaces, firewall,
Landlock, seccomp, limits, and where there is a configuration its ports and programs.

Exit codes: 0 the enforcement is full and nothing is missing, 1 something is.`,
		Args: atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := formatOf(output, "text", "json"); err != nil {
				return err
			}
			p, err := flags.load(args)
			if errors.Is(err, plan.ErrNoFile) && len(args) == 0 {
				p, err = nil, nil
			}
			if err != nil {
				return err
			}
			checks := local.Doctor(c.Context(), p)
			missing, layers := 0, 0
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, x := range checks {
				mark := "ok"
				switch {
				case !x.OK && x.Required:
					mark = "MISSING"
					missing++
					if x.Layer {
						layers++
					}
				case !x.OK:
					mark = "gap"
				}
				if output == "text" {
					fmt.Fprintf(w, "%s\t%s\t%s\n", mark, x.Name, x.Detail)
					if x.Fix != "" {
						fmt.Fprintf(w, "\t\tmend it: %s\n", x.Fix)
					}
				}
			}
			w.Flush()
			if output == "json" {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", "  ")
				if err := e.Encode(checks); err != nil {
					return err
				}
			}
			if output == "text" && layers > 0 {
				fmt.Fprintln(c.OutOrStdout(), "\nenforcement: weak; ringwall up --allow-weak starts with the rest, and what is not enforced is then unknown to probe")
			}
			if missing > 0 {
				return &exitError{ExitFailed, fmt.Errorf("%d of %d things are missing: ringwall up refuses to start without them", missing, len(checks))}
			}
			if output == "text" && layers == 0 {
				fmt.Fprintln(c.OutOrStdout(), "\nenforcement: full")
			}
			return nil
		},
	}
	flags.add(c)
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}
