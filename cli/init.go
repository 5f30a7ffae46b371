package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/plan"
)

func newInit() *cobra.Command {
	var a plan.Answers
	var yes, force bool
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a ringwall.yaml",
		Long: `Write a ringwall.yaml in this directory, or where -c says.

It asks for the app's name, its preset and the administrators' address; what a flag
says is not asked, and with --yes or without a terminal nothing is.`,
		Args: atMost(0),
		RunE: func(c *cobra.Command, _ []string) error {
			path := file
			if path == "" {
				path = plan.FileYAML
			}
			if _, err := os.Lstat(path); err == nil && !force {
				return usage(fmt.Errorf("writing %s: got a file that exists, want none; --force replaces it", path))
			}
			guess := guessApp(path)
			if in, ok := c.InOrStdin().(*os.File); !yes && ok && term.IsTerminal(int(in.Fd())) {
				if err := ask(in, c.ErrOrStderr(), c, &a, guess); err != nil {
					return err
				}
			}
			if a.App == "" {
				a.App = guess
			}
			if a.Preset == "" {
				a.Preset = plan.PresetGeneric
			}
			if err := plan.WriteStarter(path, a, force); err != nil {
				return usage(err)
			}
			fmt.Fprintf(c.OutOrStdout(), "wrote %s\nnext: ringwall validate, then ringwall up\n", path)
			return nil
		},
	}
	c.Flags().StringVar(&a.App, "app", "", "the app's `name` (default: the directory's)")
	c.Flags().StringVar(&a.Preset, "preset", "", "`preset`: "+strings.Join(plan.Presets(), ", ")+" (default generic)")
	c.Flags().StringSliceVar(&a.Admins, "admins", nil, "the administrators' `addresses` (default 192.0.2.1, an example)")
	c.Flags().BoolVar(&yes, "yes", false, "ask nothing")
	c.Flags().BoolVar(&force, "force", false, "replace a file that exists")
	return c
}

// ask puts the questions that no flag has answered.
func ask(in io.Reader, out io.Writer, c *cobra.Command, a *plan.Answers, guess string) error {
	r := bufio.NewReader(in)
	question := func(flag, text, def string) (string, error) {
		if c.Flags().Changed(flag) {
			return "", nil
		}
		fmt.Fprintf(out, "%s [%s]: ", text, def)
		s, err := r.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("reading the answer: %w", err)
		}
		if s = strings.TrimSpace(s); s == "" {
			s = def
		}
		return s, nil
	}
	if s, err := question("app", "Name of the app", guess); err != nil {
		return err
	} else if s != "" {
		a.App = s
	}
	if s, err := question("preset", "Preset ("+strings.Join(plan.Presets(), ", ")+")", plan.PresetGeneric); err != nil {
		return err
	} else if s != "" {
		a.Preset = s
	}
	if s, err := question("admins", "Address of the administrators", "192.0.2.1"); err != nil {
		return err
	} else if s != "" {
		a.Admins = strings.Split(s, ",")
	}
	return nil
}

var notName = lazy.Regexp(`[^a-z0-9]+`)

// guessApp makes a name of the directory's.
func guessApp(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "app"
	}
	s := strings.Trim(notName().ReplaceAllString(strings.ToLower(filepath.Base(filepath.Dir(abs))), "-"), "-")
	s = strings.TrimLeft(s, "0123456789-")
	if len(s) > 31 {
		s = strings.TrimRight(s[:31], "-")
	}
	if s == "" {
		return "app"
	}
	return s
}
