package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/local"
	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/perimeter/edge/tuning"
	"github.com/ringwall/ringwall/plan"
)

func newWAFTune() *cobra.Command {
	var flags planFlags
	c := &cobra.Command{
		Use:   "tune [site] <request id>",
		Short: "Write the narrowest exclusion for a refused request, and say what else it lets pass",
		Long: `Write the narrowest exclusion that lets a good request pass which was refused: its path,
the fewest rules that bring the sum under the threshold, and of each the parts of the request
where it matched. It is a patch to the configuration; nothing is changed.

Before the patch stands its blast radius: which of the probes' attacks, of the core rule set's
own tests and of the recorded good requests (waf.record) get another verdict, as they are and
when they are sent to the excluded place. Where a recorded request lacks something, because it
is a secret or too long, that is said too. What stands before a patch, patch ignores:

  ringwall waf tune <request id> | patch -p0     (in the configuration's directory)
  ringwall waf reload`,
		RunE: func(c *cobra.Command, args []string) error {
			p, e, err := requestArg(&flags, args)
			if err != nil {
				return err
			}
			return tune(c.Context(), c.OutOrStdout(), p, e)
		},
	}
	flags.add(c)
	return c
}

func tune(ctx context.Context, out io.Writer, p *plan.Plan, e *proxy.Event) error {
	list, err := tuning.Suggest(e)
	if err != nil {
		return fmt.Errorf("tuning for request %s: %w", e.ID, err)
	}
	list = slices.DeleteFunc(list, func(x plan.Exclusion) bool {
		return slices.ContainsFunc(p.Edge.WAF.Exclusions, x.Same)
	})
	if len(list) == 0 {
		fmt.Fprintf(out, "%s has the exclusion for this request already; what puts it in force: ringwall waf reload\n", p.File)
		return nil
	}
	if err := edge.CheckRules(p); err != nil {
		return usage(err)
	}
	after := *p
	after.Edge.WAF.Exclusions = append(slices.Clone(p.Edge.WAF.Exclusions), list...)
	for _, x := range list {
		where := "in any part of the request"
		if x.Target != "" {
			where = "in " + x.Target
		}
		fmt.Fprintf(out, "rule %d is left out on %s, %s\n", x.Rule, x.Path, where)
	}
	replay(out, e, p, &after)
	radius, err := compare(ctx, p, p, &after)
	if err != nil {
		return err
	}
	fmt.Fprintln(out)
	radius.WriteText(out)
	fmt.Fprintln(out)
	text, err := plan.PatchExclusions(p, list)
	if errors.Is(err, plan.ErrNoPatch) {
		fmt.Fprintf(out, "%v; what to add to %s by hand:\n\n%s", err, p.File, plan.ExclusionsYAML(list))
		return nil
	} else if err != nil {
		return err
	}
	fmt.Fprint(out, text)
	return nil
}

// replay judges the refused request again, as far as the log has it, and says what
// that is worth.
func replay(out io.Writer, e *proxy.Event, before, after *plan.Plan) {
	again := tuning.Again(e)
	was := edge.NewJudge(before).Judge(&again.Request, again.Admin)
	lacks := strings.Join(again.Lacks, ", ")
	if !again.Like(&was) {
		if lacks == "" {
			lacks = "its headers but for Host and User-Agent"
		}
		quoted := map[edge.Verdict]string{edge.Refused: "is refused by other rules", edge.Logged: "would be refused by other rules", edge.Passed: "passes"}[was.Verdict]
		fmt.Fprintf(out, "The request could not be judged again: the log does not keep %s. What it quotes %s.\n", lacks, cmp.Or(quoted, "is no request"))
		return
	}
	is := edge.NewJudge(after).Judge(&again.Request, again.Admin)
	what := "The request, judged again"
	if lacks != "" {
		what = fmt.Sprintf("The log does not keep %s; a request with what it quotes matches the same rules", lacks)
	}
	fmt.Fprintf(out, "%s: %s without the exclusion, %s with it.\n", what, was.Verdict, is.Verdict)
}

// compare judges all cases by two plans' rules. site is whose good requests were
// recorded.
func compare(ctx context.Context, site, before, after *plan.Plan) (*tuning.Radius, error) {
	kept, err := tuning.ReadRecorded(local.StateOf(site.Dir(), site.Site()).Recorded())
	if err != nil {
		return nil, err
	}
	cases, err := tuning.Cases(before, after, kept.Good)
	if err != nil {
		return nil, err
	}
	radius, err := tuning.Compare(ctx, edge.NewJudge(before), edge.NewJudge(after), cases)
	if err != nil {
		return nil, err
	}
	radius.Unkept = kept.Unkept
	return radius, nil
}
