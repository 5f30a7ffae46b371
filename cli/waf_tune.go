package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

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
when they are sent to the excluded place. What stands before a patch, patch ignores:

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
	after := *p
	after.Edge.WAF.Exclusions = append(slices.Clone(p.Edge.WAF.Exclusions), list...)
	for _, x := range list {
		where := "in any part of the request"
		if x.Target != "" {
			where = "in " + x.Target
		}
		fmt.Fprintf(out, "rule %d is left out on %s, %s\n", x.Rule, x.Path, where)
	}
	if again, ok := tuning.Replay(e); ok {
		was, is := edge.NewJudge(p).Judge(&again.Request, again.Admin), edge.NewJudge(&after).Judge(&again.Request, again.Admin)
		fmt.Fprintf(out, "The request, judged again: %s without the exclusion, %s with it.\n", was.Verdict, is.Verdict)
	} else {
		fmt.Fprintf(out, "The request itself is not judged again: the log keeps no bodies and no secrets.\n")
	}
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

// compare judges all cases by two plans' rules. site is whose good requests were
// recorded.
func compare(ctx context.Context, site, before, after *plan.Plan) (*tuning.Radius, error) {
	good, err := tuning.Recorded(local.StateOf(site.Dir(), site.Site()).Recorded())
	if err != nil {
		return nil, err
	}
	cases, err := tuning.Cases(before, after, good)
	if err != nil {
		return nil, err
	}
	return tuning.Compare(ctx, edge.NewJudge(before), edge.NewJudge(after), cases)
}
