package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/deploy"
	"github.com/ringwall/ringwall/diff"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/local"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/synth"
)

// deployed is the word that stands for what CloudFormation has, in --against.
const deployed = "deployed"

func newDiff() *cobra.Command {
	var flags planFlags
	o := diffOptions{against: deployed, output: "text"}
	c := &cobra.Command{
		Use:   "diff [site | directory of templates]",
		Short: "Say what a change means for security, and for data",
		Long: `Say what the step from one set of templates to another means: who gets more access, what
becomes reachable, what loses encryption, evidence or data, and what is replaced.

The new side is what ringwall synth would write of the site now, or a directory of
templates. The old side is what is deployed (AWS is asked with the credentials of the
environment), or with --against the directory of an earlier synth.

Each change is scored by a written policy as routine or significant; --policy prints it.
What cannot be told is significant. Significant changes need approval: --approve "reason"
(or --yes, with no reason) records who approved exactly these changes, and the next diff
of the same changes finds it.

Exit codes: 0 nothing significant, or approved; 1 failed; 4 approval is needed.`,
		Example: "  ringwall diff wp-dev\n  ringwall diff wp-dev --against templates/ -o json\n  ringwall diff wp-dev --approve \"bigger database, agreed on Monday\"\n  ringwall diff new/ --against old/",
		Args:    atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			shortLived()
			if o.policy {
				return diff.WritePolicy(c.OutOrStdout())
			}
			return runDiff(c, &flags, o, args)
		},
	}
	flags.add(c)
	f := c.Flags()
	f.StringVar(&o.against, "against", o.against, "the old side: deployed, or a `directory` of templates")
	f.StringVarP(&o.output, "output", "o", o.output, "`format`: text or json")
	f.StringVar(&o.reason, "approve", "", "approve the significant changes, for this `reason`, and record it")
	f.BoolVar(&o.yes, "yes", false, "approve the significant changes, and record it")
	f.BoolVar(&o.policy, "policy", false, "print the policy by which changes are scored")
	return c
}

type diffOptions struct {
	against, output, reason string
	yes, policy             bool
}

// A side of a diff.
type side struct {
	name   string // of the site, or the directory
	record string // where approvals are written down
	stacks []deploy.Stack
	acct   string
	region string // of the site; empty: it is a directory
	set    *template.Set
}

func runDiff(c *cobra.Command, flags *planFlags, o diffOptions, args []string) error {
	if err := formatOf(o.output, "text", "json"); err != nil {
		return err
	}
	after, err := newSide(flags, args)
	if err != nil {
		return err
	}
	var client *deploy.Client
	if o.against == deployed && len(after.stacks) > 0 {
		if client, err = deploy.Open(c.Context(), after.stacks[0].Region); err != nil {
			return err
		}
	}
	before, err := oldSide(c.Context(), client, o, after)
	if err != nil {
		return err
	}
	r := diff.Compare(before, after.set)
	approval, err := diff.Approved(after.record, after.name, r.Digest())
	if err != nil {
		return err
	}
	needed := len(r.Significant()) > 0
	if needed && approval == nil && (o.yes || o.reason != "") {
		if approval, err = approve(after, r, o.reason); err != nil {
			return err
		}
	}
	if o.output == "json" {
		err = r.WriteJSON(c.OutOrStdout(), after.name, approval)
	} else {
		err = r.WriteText(c.OutOrStdout())
	}
	if client != nil && after.region != "" {
		printSettings(c, o, client, after)
	}
	switch {
	case err != nil:
		return err
	case !needed:
		return nil
	case approval == nil:
		return &exitError{ExitApproval, fmt.Errorf("comparing %s: %d significant changes need approval; read them, then run this again with --approve \"reason\"", after.name, len(r.Significant()))}
	}
	fmt.Fprintf(c.ErrOrStderr(), "approved by %s on %s%s; recorded in %s\n", approval.By, approval.Time.Format("2006-01-02 15:04 MST"), because(approval.Reason), after.record)
	return nil
}

// approve records who approved exactly these changes.
func approve(after *side, r *diff.Report, reason string) (*diff.Approval, error) {
	a := &diff.Approval{Time: time.Now().UTC().Truncate(time.Second), By: whoami(), Reason: reason,
		Site: after.name, Digest: r.Digest(), Changes: r.Significant()}
	return a, diff.Approve(after.record, *a)
}

// printSettings says which of the account's own settings a deployment would change:
// no template shows them.
func printSettings(c *cobra.Command, o diffOptions, client *deploy.Client, after *side) {
	w := c.OutOrStdout()
	if o.output == "json" {
		w = c.ErrOrStderr()
	}
	all, err := client.ReadSettings(c.Context(), deploy.Settings(after.region))
	if err != nil {
		fmt.Fprintf(c.ErrOrStderr(), "the account's own settings are unknown: %v\n", err)
		return
	}
	for _, s := range all {
		if s.New != "" {
			fmt.Fprintln(w, s)
		}
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// newSide is the directory that the arguments name, or what synth writes of a site.
func newSide(flags *planFlags, args []string) (*side, error) {
	if len(args) > 0 {
		if _, rest := splitSite(args); len(rest) > 0 {
			if st, err := os.Stat(args[0]); err == nil && st.IsDir() {
				set, err := template.Load(args[0])
				if err != nil {
					return nil, err
				}
				return &side{name: filepath.Clean(args[0]), record: filepath.Join(".ringwall", "approvals.jsonl"), set: set}, nil
			}
		}
	}
	p, err := flags.load(args)
	if err != nil {
		return nil, err
	}
	return synthesized(p)
}

func synthesized(p *plan.Plan) (*side, error) {
	stacks, _, err := synth.Build(p)
	if err != nil {
		return nil, usage(err)
	}
	templates, err := stacks.Templates()
	if err != nil {
		return nil, err
	}
	s := &side{name: p.Site(), record: filepath.Join(local.StateOf(p.Dir(), p.Site()).Dir, "approvals.jsonl"), acct: p.AWS.Account, region: p.AWS.Region}
	var files []template.File
	for _, t := range templates {
		files = append(files, template.File{Name: t.Name + ".json", Text: t.JSON()})
		s.stacks = append(s.stacks, deploy.Stack{Name: t.Name, Region: t.Region})
	}
	if s.set, err = template.New(files); err != nil {
		return nil, fmt.Errorf("reading what synth wrote of %s: %w", p.Site(), err)
	}
	return s, nil
}

// oldSide is the directory of --against, or what is deployed. Nil: nothing is.
func oldSide(ctx context.Context, client *deploy.Client, o diffOptions, after *side) (*template.Set, error) {
	if o.against != deployed {
		set, err := template.Load(o.against)
		if err != nil {
			return nil, fmt.Errorf("reading --against: %w", err)
		}
		return set, nil
	}
	if len(after.stacks) == 0 {
		return nil, usage(fmt.Errorf("comparing %s: a directory of templates is no site; want another one in --against", after.name))
	}
	have, err := client.Templates(ctx, deploy.Site{Name: after.name, Account: after.acct, Stacks: after.stacks})
	if err != nil {
		return nil, fmt.Errorf("reading what is deployed: %w", err)
	}
	if len(have) == 0 {
		return nil, nil
	}
	var files []template.File
	for _, s := range after.stacks {
		if b, ok := have[s.Name]; ok {
			files = append(files, template.File{Name: s.Name + ".json", Text: b})
		}
	}
	set, err := template.New(files)
	if err != nil {
		return nil, errors.Join(errors.New("reading what is deployed"), err)
	}
	return set, nil
}

// whoami is who approves: the user of the machine, and who they were before sudo.
func whoami() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if s := os.Getenv("SUDO_USER"); s != "" && s != name {
		name = s + " as " + name
	}
	if h, err := os.Hostname(); err == nil {
		name += "@" + h
	}
	return name
}
