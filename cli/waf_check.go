package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/local"
	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/perimeter/edge/tuning"
	"github.com/ringwall/ringwall/plan"
)

const radiusHelp = `The probes' attacks, the core rule set's own tests and the recorded good requests (waf.record)
are judged by both, in process: as they are and, where one of the two makes an exception that the
other does not, sent to its place.`

func newWAFCheck() *cobra.Command {
	var flags planFlags
	c := &cobra.Command{
		Use:   "check [site]",
		Short: "Say what the configuration's rules would change against those that run",
		Long: `Say what the configuration's rules would change against those that run. Nothing is changed.

` + radiusHelp + `

Exit codes: 0 no attack of a probe would pass that is refused now, 3 one would, 2 the rules are wrong.`,
		Args: atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, _, passing, err := checkRules(c, &flags, args)
			if err == nil && len(passing) > 0 {
				return &exitError{ExitBroken, attacksPass(passing)}
			}
			return err
		},
	}
	flags.add(c)
	return c
}

func newWAFReload() *cobra.Command {
	var flags planFlags
	var yes bool
	c := &cobra.Command{
		Use:   "reload [site]",
		Short: "Put the configuration's rules in force on the running site, without a failed request",
		Long: `Put the configuration's rules (everything under waf:) in force on the running site. What they
change is said first. The edge builds its engines beside the old ones and swaps them when they are
ready: no request fails, and each is judged by one set of rules from its beginning to its end.

` + radiusHelp + `

With --yes it is done although an attack of a probe would pass that is refused now; without it
nothing is changed then, and the exit code is 4.`,
		Args: atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, client, passing, err := checkRules(c, &flags, args)
			if err != nil {
				return err
			}
			if len(passing) > 0 && !yes {
				return &exitError{ExitApproval, fmt.Errorf("reloading the rules: %w; nothing was changed; --yes does it all the same", attacksPass(passing))}
			}
			text, err := client.Reload(c.Context(), p.Edge.WAF)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), text)
			if s, err := client.Status(c.Context()); err == nil && s.Plan != local.PlanID(p) {
				fmt.Fprintln(c.ErrOrStderr(), "note: other parts of the configuration were changed too; they wait for: ringwall down, ringwall up")
			}
			return nil
		},
	}
	flags.add(c)
	c.Flags().BoolVarP(&yes, "yes", "y", false, "reload although an attack of a probe would pass that is refused now")
	return c
}

// checkRules says what a plan's rules would change on its running site, and returns
// the probes' attacks that would pass.
func checkRules(c *cobra.Command, flags *planFlags, args []string) (p *plan.Plan, client *local.Client, passing []tuning.Change, err error) {
	p, client, err = connectSite(flags, args)
	if err == nil {
		passing, err = rulesChange(c.Context(), c.OutOrStdout(), p, client)
	}
	return p, client, passing, err
}

func rulesChange(ctx context.Context, out io.Writer, p *plan.Plan, client *local.Client) ([]tuning.Change, error) {
	running, err := client.Rules(ctx)
	if err != nil {
		return nil, err
	}
	if err := rulesOf(p); err != nil {
		return nil, err
	}
	before := *p
	before.Edge.WAF = running
	same := true
	for _, asAdmin := range []bool{false, true} {
		was, err := edge.NewJudge(&before).Program(asAdmin)
		if err != nil {
			return nil, err
		}
		is, err := edge.NewJudge(p).Program(asAdmin)
		if err != nil {
			return nil, err
		}
		same = same && was == is
	}
	if same {
		fmt.Fprintln(out, "The rules of the configuration are those that run.")
		return nil, nil
	}
	radius, err := compare(ctx, p, &before, p)
	if err != nil {
		return nil, err
	}
	radius.WriteText(out)
	return radius.Passing(), nil
}

// rulesOf compiles a plan's rules where they are not only ours, so that what is
// wrong in them is said with its line before anything is started.
func rulesOf(p *plan.Plan) error {
	w := p.Edge.WAF
	if len(w.Rules)+len(w.Exclusions)+len(w.DetectOnlyPaths) == 0 {
		return nil
	}
	if err := edge.CheckRules(p); err != nil {
		return usage(err)
	}
	return nil
}

func attacksPass(changes []tuning.Change) error {
	var controls []string
	for _, c := range changes {
		if !slices.Contains(controls, c.Control) {
			controls = append(controls, c.Control)
		}
	}
	return fmt.Errorf("%d attacks of probes would pass that are refused now: %v", len(changes), controls)
}
