package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/internal/cis"
	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/local"
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
			case requestID.MatchString(topic):
				p, err := flags.load(site)
				if err != nil {
					return err
				}
				return explainRequest(out, p, topic)
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

// explainRequest finds a refusal in the site's logs and says all that is known.
func explainRequest(out io.Writer, p *plan.Plan, id string) error {
	s := local.StateOf(p.Dir(), p.Site())
	var found *proxy.Event
	for _, name := range []string{s.Refusals() + ".1", s.Refusals()} {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		dec := json.NewDecoder(f)
		for {
			var e proxy.Event
			if dec.Decode(&e) != nil {
				break
			}
			if e.ID == id && e.Refusal != nil {
				found = &e
			}
		}
		f.Close()
	}
	if found == nil {
		return fmt.Errorf("looking for request %s in %s: it is not there; the log keeps the latest refusals only, and a request that was let through is in: ringwall logs access", id, s.Refusals())
	}
	e := found
	fmt.Fprintf(out, "%s %s%s from %s at %s\n\n", e.Method, e.Host, e.URL, e.Viewer, e.Time.Format("2006-01-02 15:04:05 MST"))
	where := ""
	if e.Instance != "" {
		where = " of " + e.Instance
	}
	fmt.Fprintf(out, "refused with %d by %s%s: %s\n", e.Status, e.Refusal.Control, where, e.Refusal.Reason)
	if e.Refusal.Detail != "" {
		fmt.Fprintf(out, "%s\n", e.Refusal.Detail)
	}
	for _, p := range all.Perimeters {
		for _, x := range p.Controls {
			if x.ID == e.Refusal.Control {
				fmt.Fprintf(out, "promise: %s\n", x.Doc)
			}
		}
	}
	for _, r := range e.Refusal.Rules {
		fmt.Fprintf(out, "\nrule %d: %s\n  in %s: %s\n", r.ID, r.Message, r.Target, r.Value)
	}
	if len(e.Refusal.Rules) > 0 {
		fmt.Fprintf(out, "\nIf this request is a good one, the narrowest exclusion in %s is:\n\n%s", p.File, exclusion(e))
	}
	return nil
}

// exclusion is the part of ringwall.yaml that lets exactly this shape of request
// through: this path, these rules, these parts of the request.
func exclusion(e *proxy.Event) string {
	path, _, _ := strings.Cut(e.URL, "?")
	var b strings.Builder
	b.WriteString("waf:\n  exclusions:\n")
	seen := map[string]bool{}
	for _, r := range e.Refusal.Rules {
		key := fmt.Sprint(r.ID, r.Target)
		if seen[key] || r.Target == "" || strings.HasPrefix(r.Target, "TX:") {
			continue
		}
		seen[key] = true
		fmt.Fprintf(&b, "    - rule: %d\n      path: %s\n      target: %q\n      reason: say here why it is good\n", r.ID, strconv.Quote(path), r.Target)
	}
	return b.String()
}
