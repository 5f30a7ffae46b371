package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/perimeter/edge/tuning"
	"github.com/ringwall/ringwall/plan"
)

func newWAFExplain() *cobra.Command {
	var flags planFlags
	c := &cobra.Command{
		Use:   "explain [site] <request id>",
		Short: "Say which rules matched a request, where, and how their scores add up",
		RunE: func(c *cobra.Command, args []string) error {
			p, e, err := requestArg(&flags, args)
			if err != nil {
				return err
			}
			explainRequest(c.OutOrStdout(), p, e)
			return nil
		},
	}
	flags.add(c)
	return c
}

// explainRequest says all that is known of a refusal.
func explainRequest(out io.Writer, p *plan.Plan, e *proxy.Event) {
	fmt.Fprintf(out, "%s %s%s from %s at %s\n\n", e.Method, e.Host, e.URL, e.Viewer, e.Time.Format("2006-01-02 15:04:05 MST"))
	where := ""
	if e.Instance != "" && !e.Refusal.Logged {
		where = " of " + e.Instance
	}
	if e.Refusal.Logged {
		fmt.Fprintf(out, "passed, because the rules only log here; %s would have refused it: %s\n", e.Refusal.Control, e.Refusal.Reason)
	} else {
		fmt.Fprintf(out, "refused with %d by %s%s: %s\n", e.Status, e.Refusal.Control, where, e.Refusal.Reason)
	}
	if e.Refusal.Detail != "" {
		fmt.Fprintf(out, "%s\n", e.Refusal.Detail)
	}
	if _, x := all.Control(e.Refusal.Control); x != nil {
		fmt.Fprintf(out, "promise: %s\n", x.Doc)
	}
	var scores []string
	for _, r := range e.Refusal.Rules {
		fmt.Fprintf(out, "\nrule %d: %s\n  in %s: %s\n", r.ID, r.Message, r.Target, r.Value)
		if len(r.Also) > 0 {
			fmt.Fprintf(out, "  and in %s\n", strings.Join(r.Also, ", "))
		}
		if e.Refusal.Threshold > 0 {
			fmt.Fprintf(out, "  score %d\n", r.Score)
		}
		scores = append(scores, fmt.Sprint(r.Score))
	}
	if t := e.Refusal.Threshold; t > 0 {
		sum := ""
		if len(scores) > 1 {
			sum = strings.Join(scores, " + ") + " = "
		}
		fmt.Fprintf(out, "\nThe scores add up to %s%d; from %d on a request is refused (the %s profile).\n", sum, e.Refusal.Score, t, e.Profile)
	}
	if len(e.Refusal.Rules) == 0 {
		return
	}
	list, err := tuning.Suggest(e)
	if err != nil {
		fmt.Fprintf(out, "\nThere is no exclusion for it: %v.\n", err)
		return
	}
	fmt.Fprintf(out, "\nIf this request is a good one, the narrowest exclusion in %s is:\n\n%s\nAs a patch, with what else it would let pass: ringwall waf tune %s\n", p.File, plan.ExclusionsYAML(list), e.ID)
}
