package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/local"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/plan"
)

func newUp() *cobra.Command {
	var flags planFlags
	var o local.Options
	var detach, progress bool
	c := &cobra.Command{
		Use:   "up [site]",
		Short: "Run a site here, behind every perimeter",
		Long: `Run a site on this machine. Before its doors open, every connection that the plan does
not allow is tried from inside each sandbox; one that is not refused stops the start.

Without --detach the site runs until Ctrl-C. What the configuration asks to delete is
deleted only with --yes; without it nothing is touched and the exit code is 4.`,
		Example: "  ringwall up\n  ringwall up wp-dev --detach",
		Args:    atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := flags.load(args)
			if err != nil {
				return err
			}
			if err := rulesOf(p); err != nil {
				return err
			}
			if detach {
				return upDetached(c, p, os.Args[1:])
			}
			var pipe *json.Encoder
			if progress {
				pipe = json.NewEncoder(os.NewFile(3, "progress"))
			}
			out := c.ErrOrStderr()
			notes(out, p)
			o.Steps = func(s local.Step) {
				if pipe != nil {
					pipe.Encode(s)
				}
				printStep(out, s)
				if s.State == "ready" && pipe == nil {
					printReady(c.OutOrStdout(), p)
				}
			}
			err = local.Up(c.Context(), p, o)
			if err != nil && pipe != nil {
				pipe.Encode(local.Step{Part: "site", State: "failed", Text: err.Error()})
			}
			if errors.Is(err, local.ErrApproval) {
				return &exitError{ExitApproval, err}
			}
			return err
		},
	}
	flags.add(c)
	c.Flags().BoolVarP(&detach, "detach", "d", false, "return when the site answers, and leave it running")
	c.Flags().BoolVar(&o.AllowWeak, "allow-weak", false, "start although a part of the enforcement does not work here")
	c.Flags().BoolVarP(&o.Approve, "yes", "y", false, "approve deletions that the configuration asks for")
	c.Flags().BoolVar(&progress, "progress-on-3", false, "")
	c.Flags().MarkHidden("progress-on-3")
	if perimeter.CanTakeDown {
		c.Flags().StringSliceVar(&o.Down, "down", nil, "take the walls of these `controls` down (this is a test build)")
	}
	return c
}

// upDetached starts a supervisor of its own and returns when the site answers.
func upDetached(c *cobra.Command, p *plan.Plan, args []string) error {
	s := local.StateOf(p.Dir(), p.Site())
	if err := s.Create(p.Site()); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	log, err := os.OpenFile(s.Logs()+"/supervisor.log", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var rest []string
	for _, a := range args {
		if a != "-d" && a != "--detach" && a != "--detach=true" {
			rest = append(rest, a)
		}
	}
	child := exec.Command(self, append(rest, "--progress-on-3")...)
	child.Stdout, child.Stderr = log, log
	child.ExtraFiles = []*os.File{w}
	child.SysProcAttr = newSession()
	if err := child.Start(); err != nil {
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	w.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(stop)
	var interrupted atomic.Bool
	go func() {
		<-stop
		interrupted.Store(true)
		child.Process.Signal(syscall.SIGTERM) // it runs in a session of its own, where the terminal's does not reach it
	}()
	notes(c.ErrOrStderr(), p)
	dec := json.NewDecoder(r)
	for {
		var st local.Step
		if err := dec.Decode(&st); err != nil {
			if code := exitCode(child.Wait()); !interrupted.Load() {
				return &exitError{code, fmt.Errorf("the site did not start; what happened is in %s/supervisor.log", s.Logs())}
			}
			return &exitError{ExitFailed, errors.New("the start was interrupted; nothing of the site runs")}
		}
		if st.State == "failed" && st.Part == "site" {
			return &exitError{exitCode(child.Wait()), errors.New(st.Text)}
		}
		printStep(c.ErrOrStderr(), st)
		if st.State == "ready" {
			printReady(c.OutOrStdout(), p)
			return nil
		}
	}
}

// exitCode is the one that an ended process had.
func exitCode(err error) int {
	if e, ok := errors.AsType[*exec.ExitError](err); ok && e.ExitCode() > 0 {
		return e.ExitCode()
	}
	return ExitFailed
}

// notes prints what the reading of the configuration replaced or kept for AWS.
func notes(w io.Writer, p *plan.Plan) {
	for _, n := range p.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	for _, n := range edge.Coverage(p) {
		if !n.Covered && p.Origins["waf.managedRules"].Source == "file" {
			fmt.Fprintf(w, "note: %s: %s\n", n.Group, n.Text)
		}
	}
}

func printStep(w io.Writer, s local.Step) {
	took := ""
	if s.Took > 0 {
		took = fmt.Sprintf("%.2f s", s.Took.Seconds())
	}
	state := s.State
	if state == "note" {
		state = "·"
	}
	fmt.Fprintf(w, "%-14s %-8s %-7s %s\n", s.Part, state, took, s.Text)
}

// printReady ends a start with what a newcomer needs.
func printReady(w io.Writer, p *plan.Plan) {
	s := local.StateOf(p.Dir(), p.Site())
	visitor := "https://" + p.Network.Host + "/"
	fmt.Fprintln(w)
	if !p.Network.Listen.IsValid() {
		visitor = p.Network.Doors[0].URL()
		fmt.Fprintf(w, "  visitors        %s\n", visitor)
		if len(p.Network.Doors) > 1 {
			fmt.Fprintf(w, "  administrators  %s\n", p.Network.Doors[1].URL())
		}
	} else {
		fmt.Fprintf(w, "  the site        %s on %s\n", visitor, p.Network.Listen)
	}
	if _, err := os.Stat(s.AdminFile()); err == nil {
		fmt.Fprintf(w, "  admin login     %s\n", s.AdminFile())
	}
	if p.Edge.CertFile == "" {
		fmt.Fprintf(w, "  certificate     signed by %s/ca.pem, which only this site uses\n", s.CA())
	}
	fmt.Fprintf(w, "\nTry next:\n  %s\n  curl -k '%s?q=1%%27%%20OR%%20%%271%%27=%%271'\n  %s\n\n",
		again("probe "+p.Site()), visitor, again("explain <request id of its refusal>"))
}

// again is a command as it is typed where this one was typed.
func again(what string) string {
	name := "ringwall"
	if strings.Contains(os.Args[0], "/") {
		name = os.Args[0]
	}
	if file != "" {
		what += " -c " + file
	}
	return name + " " + what
}

// seconds is a duration as people read it.
func seconds(d time.Duration) string { return d.Round(time.Second).String() }
