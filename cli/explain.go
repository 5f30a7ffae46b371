package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

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
			case topic == "flows":
				p, err := flags.load(site)
				if err != nil {
					return err
				}
				return explainFlows(out, p, svg)
			case requestID.MatchString(topic):
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

var requestID = regexp.MustCompile(`^[0-9a-f]{24}$`)

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
				fmt.Fprintf(out, "%s, of perimeter %d, tried from %s\n\nPromise: %s\nWithout it: %s\n\nTry it: ringwall probe --only %s -v\n", x.ID, p.Number, x.Vantage, x.Doc, x.Why, x.ID)
				return nil
			}
		}
	}
	known := append(verify.Names(all.Perimeters), "flows", "exit-codes", "list")
	err := fmt.Errorf("explaining %q: it is no topic", topic)
	if near := verify.Nearest(topic, known); near != "" {
		err = fmt.Errorf("%w; did you mean %q?", err, near)
	}
	return usage(fmt.Errorf("%w (ringwall explain list shows perimeters and controls)", err))
}
