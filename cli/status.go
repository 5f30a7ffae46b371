package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func newStatus() *cobra.Command {
	var flags planFlags
	var output string
	c := &cobra.Command{
		Use:   "status [site]",
		Short: "Say how a running site is",
		Long:  "Say how a running site is: its parts, its instances, and whether its code is what was accepted.\n\nExit codes: 0 it is up and every instance is healthy, 1 it is not.",
		Args:  atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := formatOf(output, "text", "json"); err != nil {
				return err
			}
			p, client, err := connectSite(&flags, args)
			if err != nil {
				return err
			}
			s, err := client.Status(c.Context())
			if err != nil {
				return err
			}
			if note := s.Changed(p); note != "" {
				s.Notes = append(s.Notes, note)
			}
			well := s.State == "up"
			if output == "json" {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", "  ")
				if err := e.Encode(s); err != nil {
					return err
				}
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			row := func(format string, a ...any) {
				if output == "text" {
					fmt.Fprintf(w, format+"\n", a...)
				}
			}
			row("%s\t%s\tfor %s\tenforcement %s", s.Site, s.State, seconds(time.Duration(s.Up*float64(time.Second))), s.Enforced)
			for _, u := range s.URLs {
				row("\t%s", u)
			}
			for _, x := range s.Parts {
				row("%s\t%s\tprocess %d\tstarted again %d times", x.Name, x.State, x.PID, x.Restarts)
			}
			for _, x := range s.Instances {
				health := "healthy"
				if !x.Healthy {
					health, well = "not healthy", false
				}
				row("%s\t%s\t%s\tapp started again %d times", x.Name, health, x.Addr, x.App.Restarts)
			}
			if s.Tree == "" {
				row("code\tas accepted")
			} else {
				row("code\tdiffers\t%s\ttake it with: ringwall accept", s.Tree)
			}
			for _, n := range s.Notes {
				row("note\t%s", n)
			}
			w.Flush()
			if !well {
				return &exitError{ExitFailed, nil}
			}
			return nil
		},
	}
	flags.add(c)
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}
