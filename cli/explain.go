package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/internal/cis"
	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/verify"
)

const exitCodes = `0  held, or done
1  failed, or could not tell
2  the command line or the configuration is wrong
3  a control is broken
4  approval is needed: see --yes
`

func newExplain() *cobra.Command {
	var flags planFlags
	var svg string
	c := &cobra.Command{
		Use:   "explain [site] <topic>",
		Short: "Say what a perimeter, a control, a refusal or an exit code means",
		Long: `Say what a topic means:

  edge, 2            a perimeter, by its name or number
  edge/waf-sqli      a control
  <request id>       which wall refused a request, which rule, which part of it, and the
                     narrowest exclusion
  flows              who may reach whom: a table, or a picture with --svg FILE
  exit-codes         what the exit codes mean
  cis                the recommendations of CIS AWS Foundations, and what decides each
  list               all perimeters and controls`,
		RunE: func(c *cobra.Command, args []string) error {
			site, rest := splitSite(args)
			if err := want(rest, 1, 1, "one topic: ringwall explain --help lists them"); err != nil {
				return err
			}
			out := c.OutOrStdout()
			switch topic := rest[0]; {
			case topic == "exit-codes":
				fmt.Fprint(out, exitCodes)
				return nil
			case topic == "list":
				return explainList(out)
			case topic == "cis":
				return explainCIS(out)
			case topic == "flows":
				p, err := flags.load(site)
				if err != nil {
					return err
				}
				return explainFlows(out, p, svg)
			case requestID().MatchString(topic):
				p, err := flags.load(site)
				if err != nil {
					return err
				}
				e, err := findRefusal(p, topic)
				if err == nil {
					explainRequest(out, p, e)
				}
				return err
			default:
				return explainWall(out, topic)
			}
		},
	}
	flags.add(c)
	c.Flags().StringVar(&svg, "svg", "", "for flows: write a picture to `file`")
	return c
}

var requestID = lazy.Regexp(`^[0-9a-f]{24}$`)

func explainList(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range all.Perimeters {
		fmt.Fprintf(w, "%d\t%s\t\n", p.Number, p.Name)
		for _, x := range p.Controls {
			fmt.Fprintf(w, "\t%s\t%s\n", x.ID, x.Doc)
		}
	}
	return w.Flush()
}

// explainCIS prints every recommendation with the control, the calls or the person
// that decides it.
func explainCIS(out io.Writer) error {
	by := map[string]string{}
	for _, p := range all.Perimeters {
		for _, x := range p.Controls {
			for _, m := range x.Meets {
				if id, ok := strings.CutPrefix(m, "CIS "); ok && (by[id] == "" || strings.Contains(x.ID, "/cis-")) {
					by[id] = x.ID
				}
			}
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "1.5.0\tLEVEL\tABOUT\tDECIDED BY")
	for _, r := range cis.All() {
		how := "a person"
		switch r.By {
		case cis.ByTemplate:
			how = "ringwall check: " + by[r.ID]
		case cis.ByAccount:
			how = "the account: " + r.Calls
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.ID, r.Level, r.Title, how)
	}
	return w.Flush()
}

func explainFlows(out io.Writer, p *plan.Plan, svg string) error {
	if svg == "" {
		return plan.FlowsTable(out, p)
	}
	f, err := os.Create(svg)
	if err != nil {
		return err
	}
	return errors.Join(plan.FlowsSVG(f, p), f.Close())
}

// explainWall prints a perimeter's own words, or a control's.
func explainWall(out io.Writer, topic string) error {
	for _, p := range all.Perimeters {
		if p.Name == topic || strconv.Itoa(p.Number) == topic {
			fmt.Fprintf(out, "perimeter %d, %s\n\n%s\n", p.Number, p.Name, p.Doc)
			for _, x := range p.Controls {
				fmt.Fprintf(out, "\n%s (from %s)\n  %s\n", x.ID, x.Vantage, x.Doc)
			}
			return nil
		}
		for _, x := range p.Controls {
			if x.ID == topic {
				how, try := "tried from "+string(x.Vantage), "probe"
				if x.Vantage == perimeter.Template {
					how, try = "read from templates", "check"
				}
				fmt.Fprintf(out, "%s, of perimeter %d, %s\n\nPromise: %s\nWithout it: %s\n", x.ID, p.Number, how, x.Doc, x.Why)
				if len(x.Meets) > 0 {
					fmt.Fprintf(out, "Answers: %s\n", strings.Join(x.Meets, ", "))
				}
				fmt.Fprintf(out, "\nTry it: ringwall %s --only %s -v\n", try, x.ID)
				return nil
			}
		}
	}
	known := append(verify.Names(all.Perimeters), "flows", "exit-codes", "list", "cis")
	err := fmt.Errorf("explaining %q: it is no topic", topic)
	if near := verify.Nearest(topic, known); near != "" {
		err = fmt.Errorf("%w; did you mean %q?", err, near)
	}
	return usage(fmt.Errorf("%w (ringwall explain list shows perimeters and controls)", err))
}
