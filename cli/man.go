package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man <directory>",
		Short: "Write the manual pages",
		RunE: func(c *cobra.Command, args []string) error {
			if err := want(args, 1, 1, "the directory to write to"); err != nil {
				return err
			}
			err := os.MkdirAll(args[0], 0o755)
			if err == nil {
				err = writeManual(args[0], c.Root())
			}
			if err != nil {
				return fmt.Errorf("writing the manual pages: %w", err)
			}
			return nil
		},
	}
}

// writeManual writes the page of a command, and those of the commands under it.
func writeManual(dir string, c *cobra.Command) error {
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() {
			continue
		}
		if err := writeManual(dir, sub); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, manualName(c)+".1"), []byte(manual(c)), 0o644)
}

func manualName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manual is a command's page, in the language of man(7).
func manual(c *cobra.Command) string {
	c.InitDefaultHelpFlag()
	var b strings.Builder
	section := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, ".SH %s\n%s\n", name, text)
		}
	}
	fmt.Fprintf(&b, ".TH RINGWALL 1 \"\" ringwall Ringwall\n")
	section("NAME", roff(manualName(c))+` \- `+roff(c.Short))
	section("SYNOPSIS", ".B "+roff(c.UseLine()))
	about := c.Long
	if about == "" {
		about = c.Short + "."
	}
	section("DESCRIPTION", strings.ReplaceAll(roff(about), "\n\n", "\n.PP\n"))
	section("OPTIONS", asWritten(c.NonInheritedFlags().FlagUsagesWrapped(76)))
	section("OPTIONS OF ALL COMMANDS", asWritten(c.InheritedFlags().FlagUsagesWrapped(76)))
	section("EXAMPLES", asWritten(c.Example))
	var also []string
	if c.HasParent() {
		also = append(also, manualName(c.Parent()))
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			also = append(also, manualName(sub))
		}
	}
	for i, name := range also {
		also[i] = `\fB` + roff(name) + `\fP(1)`
	}
	section("SEE ALSO", strings.Join(also, ",\n"))
	return b.String()
}

// asWritten keeps a text's lines and blanks.
func asWritten(s string) string {
	if s = strings.Trim(s, "\n"); s == "" {
		return ""
	}
	return ".nf\n" + roff(s) + "\n.fi"
}

// roff writes text that means nothing to roff: backslashes and dashes are escaped,
// and so is a line that would be a request.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
