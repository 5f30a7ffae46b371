// Package cli is the command line: a file per command with its flags, its help
// and its run. It holds no product logic.
package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// Exit codes, the same for every output format.
const (
	ExitHeld     = 0 // held, or done
	ExitFailed   = 1 // failed, or could not tell
	ExitUsage    = 2 // the command line or the configuration is wrong
	ExitBroken   = 3 // a control is broken
	ExitApproval = 4 // approval is needed
)

// An exitError carries an exit code. A nil err prints nothing.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage marks an error as the user's to correct.
func usage(err error) error { return &exitError{ExitUsage, err} }

// file is the -c flag: the configuration file; empty: look for one walking up.
var file string

// Main runs the command line and returns the exit code.
func Main(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return ExitHeld
	}
	var e *exitError
	if !errors.As(err, &e) {
		e = &exitError{ExitFailed, err}
	}
	if e.err != nil {
		fmt.Fprintf(os.Stderr, "ringwall: %v\n", e.err)
	}
	return e.code
}

// commands are added in the order in which help lists them.
var commands = []func() *cobra.Command{
	newInit,
	newUp,
	newProbe,
	newSynth,
	newCheck,
	newDiff,
	newDeploy,
	newDestroy,
	newStatus,
	newDown,
	newLogs,
	newExec,
	newReplace,
	newRotate,
	newAccept,
	newPurge,
	newExplain,
	newWAF,
	newDoctor,
	newValidate,
	newConfig,
	newUnit,
	newMan,
	newVersion,
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "ringwall",
		Short:         "Put a web app behind eleven walls, and prove that each one holds",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			err := fmt.Errorf("running ringwall: there is no command %q", args[0])
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				err = fmt.Errorf("%w; did you mean %q?", err, near[0])
			}
			return usage(err)
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentFlags().StringVarP(&file, "config", "c", "", "configuration `file` (default: ringwall.yaml or parameters.properties, walking up)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	for _, c := range commands {
		root.AddCommand(c())
	}
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil && c != root {
		c.Args = nil
		c.RunE = func(_ *cobra.Command, args []string) error {
			return usage(fmt.Errorf("running completion: got %q, want bash, zsh, fish or powershell", args))
		}
	}
	return root
}
