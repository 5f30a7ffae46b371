package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ringwall/ringwall/deploy"
	"github.com/ringwall/ringwall/diff"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/report"
	"github.com/ringwall/ringwall/synth"
	"github.com/ringwall/ringwall/verify"
)

type deployOptions struct {
	yes, dryRun, cancel, noProbe, noSettings bool
	override, parameters                     []string
	reason, approve                          string
	run                                      deploy.Options
	probe                                    probeOptions
}

func newDeploy() *cobra.Command {
	var flags planFlags
	var o deployOptions
	c := &cobra.Command{
		Use:   "deploy [site]",
		Short: "Ship a site to AWS by change sets",
		Long: `Ship a site to AWS: synthesize its stacks, check them, and bring each to what it should be
by a change set, in order and over two Regions. What is unchanged is left alone. Values that
one Region's stacks need of another's are carried over.

A broken or unknown promise stops it before anything is changed; --override lets one pass,
and its reason is recorded in the stacks. Changes that are significant (see ringwall diff)
wait for approval, and so does what loses data (--yes). What somebody changed by hand stops
it too, until --ignore-drift.

Ctrl-C stops this program at any moment. What CloudFormation has begun goes on; the next
deploy takes it up, and deploy --cancel rolls it back. The state is in the account: any
machine can go on.

Then the site is probed with the same controls as here: from the internet, and from inside by
an instance of each tier, which Systems Manager has run a script. What is no promise of a site
on AWS is left out, and the report says what and why; what could not be judged is unknown.

Exit codes: 0 shipped, and held where it was probed, 1 failed or could not tell, 2 usage,
3 a promise is broken, 4 approval is needed.`,
		Example: "  ringwall deploy wp-dev --dry-run\n  ringwall deploy wp-dev --yes\n  ringwall deploy wp-dev --override edge/waf-logging --reason 'no log bucket in this account until May'",
		Args:    atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := flags.load(args)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(c)
			defer stop()
			err = ship(ctx, c, p, &o)
			if errors.Is(err, context.Canceled) {
				if _, ok := errors.AsType[*deploy.Interrupted](err); !ok {
					return fmt.Errorf("deploying %s: stopped before anything was changed", p.Site())
				}
			}
			return err
		},
	}
	flags.add(c)
	f := c.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and change nothing")
	f.BoolVarP(&o.yes, "yes", "y", false, "approve the significant changes, and what loses data")
	f.StringVar(&o.approve, "approve", "", "approve the significant changes, for this `reason`, and record it")
	f.StringArrayVar(&o.override, "override", nil, "let the `control` pass although it is broken or unknown (repeatable; with --reason)")
	f.StringVar(&o.reason, "reason", "", "`why` --override is right; it is recorded in the stacks")
	f.StringArrayVar(&o.parameters, "parameter", nil, "a stack parameter, `NAME=VALUE` (repeatable); kept for the next time")
	f.BoolVar(&o.run.IgnoreDrift, "ignore-drift", false, "go on where somebody changed resources by hand")
	f.BoolVar(&o.run.ContinueRollback, "continue-rollback", false, "take up a rollback that failed, then deploy")
	f.StringArrayVar(&o.run.Skip, "skip", nil, "with --continue-rollback: leave this `resource` as it is (repeatable)")
	f.BoolVar(&o.cancel, "cancel", false, "roll back what CloudFormation has in hand for the site, and stop there")
	f.BoolVar(&o.noSettings, "no-account-settings", false, "leave the account's own settings alone")
	f.BoolVar(&o.noProbe, "no-probe", false, "do not probe the site afterwards")
	f.StringArrayVarP(&o.probe.formats, "output", "o", nil, "`format[=file]` of the probe's report: text, json, html or sarif (repeatable)")
	f.BoolVarP(&o.probe.verbose, "verbose", "v", false, "every new resource with --dry-run; every control, with what was tried and what was seen")
	f.DurationVar(&o.probe.timeout, "probe-timeout", 10*time.Minute, "give up probing after this time")
	f.StringVar(&o.probe.ca, "ca", "", "trust the authorities in this PEM `file` when probing")
	f.StringVar(&o.probe.color, "color", "auto", "auto, always or never")
	return c
}

// interruptible ends the command's context at Ctrl-C; a second one ends the program.
func interruptible(c *cobra.Command) (context.Context, func()) {
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() {
		if c.Context().Err() == nil {
			stop()
		}
	})
	return ctx, stop
}

// ship is the command once its arguments are read.
func ship(ctx context.Context, c *cobra.Command, p *plan.Plan, o *deployOptions) error {
	notes := c.ErrOrStderr()
	if o.cancel { // nothing is shipped
		notes = io.Discard
	}
	site, err := siteOf(notes, p)
	if err != nil {
		return err
	}
	if o.noSettings {
		site.Settings = nil
	}
	for _, kv := range o.parameters {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || !site.Give(k, v) {
			return usage(fmt.Errorf("reading --parameter %q: want NAME=VALUE with the name of a parameter of one of the stacks", kv))
		}
	}
	if len(o.override) > 0 && strings.TrimSpace(o.reason) == "" {
		return usage(errors.New("reading --override: got no --reason, want one: it is recorded in the stacks"))
	}
	for _, id := range o.override {
		o.run.Overrides = append(o.run.Overrides, deploy.Override{ID: id, Reason: o.reason})
	}
	sink, err := report.Open(o.probe.formats, c.OutOrStdout(), o.probe.report())
	if err != nil {
		return usage(err)
	}
	client, err := deploy.Open(ctx, p.AWS.Region)
	if err != nil {
		return err
	}
	if !o.cancel {
		kept, err := client.Kept(ctx, site)
		if err != nil {
			return err
		}
		for _, k := range slices.Sorted(maps.Keys(kept)) {
			o.parameters = append(o.parameters, k+"="+kept[k])
			fmt.Fprintf(c.ErrOrStderr(), "parameter %s: %s, as it was given before\n", k, kept[k])
		}
		if err := passes(c, p, o); err != nil {
			return err
		}
		if err := significant(ctx, c, p, client, o); err != nil {
			return err
		}
	}
	if o.dryRun {
		proposals, settings, err := client.Propose(ctx, site)
		if err != nil {
			return err
		}
		printProposals(c.OutOrStdout(), proposals, settings, o.probe.verbose)
		fmt.Fprintln(c.ErrOrStderr(), "a dry run: nothing was changed")
		return nil
	}
	view := newView(c, o.probe.color)
	defer view.End()
	if o.cancel {
		did, err := client.Cancel(ctx, site, view.Tell)
		view.End()
		if len(did) == 0 && err == nil {
			fmt.Fprintf(c.OutOrStdout(), "nothing of %s is in CloudFormation's hands\n", site.Name)
		}
		for _, d := range did {
			fmt.Fprintln(c.OutOrStdout(), d)
		}
		return err
	}
	o.run.Progress = view.Tell
	o.run.Approve = approver(c, o.yes || o.approve != "")
	res, err := client.Deploy(ctx, site, o.run)
	view.End()
	if errors.Is(err, deploy.ErrApproval) {
		return &exitError{ExitApproval, err}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s: %s changed, %d unchanged, %s\n", site.Name, count(len(res.Changed), "stack"), len(res.Unchanged), seconds(res.Took))
	if o.noProbe {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, o.probe.timeout)
	defer cancel()
	r, err := probeAWS(ctx, c, p, client, site, o.probe, verify.Jobs(all.Perimeters))
	if err != nil {
		return err
	}
	if err := sink.Write(r); err != nil {
		return err
	}
	return verdictError(r.Verdict)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// siteOf synthesizes what is to be shipped.
func siteOf(w io.Writer, p *plan.Plan) (deploy.Site, error) {
	set, notes, err := synth.Build(p)
	if err != nil {
		return deploy.Site{}, usage(err)
	}
	for _, n := range notes {
		fmt.Fprintln(w, n)
	}
	return deploy.SiteOf(p, set)
}

// passes checks the templates as `ringwall check` does, with what somebody answers
// for taken out. Each promise that is broken
// or unknown stops the deployment, unless it is overridden.
func passes(c *cobra.Command, p *plan.Plan, o *deployOptions) error {
	_, set, err := templatesOf(p)
	if err != nil {
		return err
	}
	for _, kv := range o.parameters {
		k, v, _ := strings.Cut(kv, "=")
		set.Give(k, v)
	}
	_, results, _ := verify.Check(p, set, verify.Checking(verify.Jobs(all.Perimeters)))
	accepted, err := acceptances("", p, nil)
	if err != nil {
		return usage(err)
	}
	results, notes := verify.Accept(results, accepted, time.Now())
	for _, n := range notes {
		fmt.Fprintln(c.ErrOrStderr(), "check:", n)
	}
	if len(results) == 0 {
		return fmt.Errorf("checking %s before its deployment: no promise could be judged; nothing was changed", p.Site())
	}
	used := map[string]bool{}
	code, number := ExitHeld, map[perimeter.Verdict]int{}
	accepts := 0
	for _, r := range results {
		accepts += len(r.Suppressed)
		if !slices.Contains(o.override, r.ID) {
			number[r.Verdict]++
		}
		if r.Verdict == perimeter.Held {
			continue
		}
		why := r.Error
		if len(r.Evidence) > 0 {
			why = r.Evidence[0]
		}
		if slices.Contains(o.override, r.ID) {
			used[r.ID] = true
			fmt.Fprintf(c.ErrOrStderr(), "override: %s is %s: %s (%s)\n", r.ID, r.Verdict, why, o.reason)
			continue
		}
		fmt.Fprintf(c.ErrOrStderr(), "%s is %s: %s\n", r.ID, r.Verdict, why)
		if r.Verdict == perimeter.Broken {
			code = ExitBroken
		} else if code == ExitHeld {
			code = ExitFailed
		}
	}
	for _, id := range o.override {
		if !used[id] {
			return usage(fmt.Errorf("reading --override %s: that control is not broken or unknown in these templates; leave it out", id))
		}
	}
	if code != ExitHeld {
		return &exitError{code, fmt.Errorf("checking %s before its deployment: got %s broken and %d that cannot be told; nothing was changed; see all of it with: %s; to let one pass: --override CONTROL --reason WHY",
			p.Site(), count(number[perimeter.Broken], "promise"), number[perimeter.Unknown], again("check "+p.Site()+given(o.parameters)))}
	}
	text := fmt.Sprintf("check: %s held", count(number[perimeter.Held], "promise"))
	if len(used) > 0 {
		text += fmt.Sprintf(", %d overridden", len(used))
	}
	if accepts > 0 {
		text += ", with " + count(accepts, "finding") + " that somebody answers for"
	}
	fmt.Fprintln(c.ErrOrStderr(), text)
	return nil
}

// given repeats --parameter for a command that is suggested.
func given(parameters []string) string {
	var b strings.Builder
	for _, kv := range parameters {
		b.WriteString(" --parameter '" + strings.ReplaceAll(kv, "'", `'\''`) + "'")
	}
	return b.String()
}

// significant says what the change means for security and data, as `ringwall diff`
// does, and stops where that is significant and nobody has approved it. A first
// deployment changes nothing that was; nor does the rest of one that was stopped.
func significant(ctx context.Context, c *cobra.Command, p *plan.Plan, client *deploy.Client, o *deployOptions) error {
	after, err := synthesized(p)
	if err != nil {
		return err
	}
	before, err := oldSide(ctx, client, diffOptions{against: deployed}, after)
	if err != nil || before == nil {
		return err
	}
	r := diff.Compare(before, after.set)
	there := func(stack string) bool {
		return slices.ContainsFunc(before.Templates, func(t *template.Template) bool { return t.File == stack+".json" })
	}
	if !there(synth.StackName(p, plan.StackCDN)) { // the last one that every site has
		r.Changes = slices.DeleteFunc(r.Changes, func(ch diff.Change) bool { return !there(ch.Stack) })
	}
	if len(r.Changes) == 0 {
		return nil
	}
	if err := r.WriteText(c.ErrOrStderr()); err != nil {
		return err
	}
	if o.dryRun || len(r.Significant()) == 0 {
		return nil
	}
	approval, err := diff.Approved(after.record, after.name, r.Digest())
	if err != nil || approval != nil {
		return err
	}
	if !o.yes && o.approve == "" && term.IsTerminal(int(os.Stdin.Fd())) {
		o.yes = answer(ctx, c, fmt.Sprintf("%d significant changes. Type yes to approve them: ", len(r.Significant()))) == "yes"
	}
	if !o.yes && o.approve == "" {
		return &exitError{ExitApproval, fmt.Errorf("deploying %s: %d significant changes need approval; nothing was changed; read them, then run this again with --approve \"reason\"", after.name, len(r.Significant()))}
	}
	_, err = approve(after, r, o.approve)
	return err
}

// newView shows progress on standard error: a tree on a terminal, lines elsewhere.
func newView(c *cobra.Command, color string) deploy.View {
	fd := int(os.Stderr.Fd())
	if !term.IsTerminal(fd) || os.Getenv("TERM") == "dumb" {
		return deploy.Lines(c.ErrOrStderr())
	}
	colored := color == "always" || color == "auto" && os.Getenv("NO_COLOR") == ""
	return deploy.Tree(c.ErrOrStderr(), colored, func() (int, int) {
		w, h, err := term.GetSize(fd)
		if err != nil {
			return 80, 24
		}
		return w, h
	})
}

// approver asks for approval on a terminal; without one, or --yes, there is none.
func approver(c *cobra.Command, yes bool) func(context.Context, []deploy.Loss) error {
	if yes {
		return func(context.Context, []deploy.Loss) error { return nil }
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil
	}
	return func(ctx context.Context, all []deploy.Loss) error {
		w := c.ErrOrStderr()
		for _, l := range all {
			fmt.Fprintf(w, "%s in %s (%s) %s\n", l.Resource, l.Stack, l.Type, l.What)
		}
		if answer(ctx, c, "Type yes to go on: ") != "yes" {
			return &deploy.NotApproved{Losses: all}
		}
		return nil
	}
}

// answer reads a line; "" when ctx ends first.
func answer(ctx context.Context, c *cobra.Command, question string) string {
	fmt.Fprint(c.ErrOrStderr(), question)
	line := make(chan string, 1)
	go func() {
		s, _ := bufio.NewReader(c.InOrStdin()).ReadString('\n')
		line <- strings.TrimSpace(s)
	}()
	select {
	case <-ctx.Done():
		return ""
	case s := <-line:
		return s
	}
}

// printProposals says what a deployment would do.
func printProposals(w io.Writer, all []deploy.Proposal, settings []deploy.SettingChange, verbose bool) {
	todo := false
	for _, s := range settings {
		if s.New == "" {
			continue
		}
		todo = true
		fmt.Fprintln(w, s)
	}
	for _, p := range all {
		switch {
		case p.Empty():
			fmt.Fprintf(w, "%s in %s: nothing to do\n", p.Stack, p.Region)
			continue
		case p.Status == "":
			fmt.Fprintf(w, "%s in %s: new, %s\n", p.Stack, p.Region, count(len(p.Changes), "resource"))
		default:
			fmt.Fprintf(w, "%s in %s (%s):\n", p.Stack, p.Region, p.Status)
		}
		todo = true
		if p.Drifted {
			fmt.Fprintln(w, "  somebody changed resources of it by hand, as of the last look")
		}
		for _, s := range p.Parameters {
			fmt.Fprintf(w, "  parameter %s\n", s)
		}
		for _, ch := range p.Changes {
			if p.Status == "" && !verbose {
				break
			}
			fmt.Fprintf(w, "  %-16s %s (%s)", ch.Action, ch.Resource, ch.Type)
			if len(ch.Properties) > 0 {
				fmt.Fprintf(w, ": %s", strings.Join(ch.Properties, ", "))
			}
			if ch.Loss != "" {
				fmt.Fprintf(w, "  LOSES DATA: it %s", ch.Loss)
			}
			fmt.Fprintln(w)
		}
		if p.Outputs {
			fmt.Fprintln(w, "  outputs change")
		}
	}
	if !todo {
		fmt.Fprintln(w, "everything is as it should be")
	}
}
