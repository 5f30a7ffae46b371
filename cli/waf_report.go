package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/local"
)

// A reportRow is what one rule would have refused in one part of the requests to one path.
type reportRow struct {
	Rule     int       `json:"rule"`
	Message  string    `json:"message"`
	Path     string    `json:"path"`
	Part     string    `json:"part"` // a variable such as ARGS:content
	Profile  string    `json:"profile"`
	Requests int       `json:"requests"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Example  string    `json:"example"` // a request id
}

func newWAFReport() *cobra.Command {
	var flags planFlags
	var format string
	var refused bool
	c := &cobra.Command{
		Use:   "report [site]",
		Short: "Say what the rules would have refused where they only log",
		Long: `Say what the rules would have refused where they only log (waf.detectOnly, detectOnlyProfiles,
detectOnlyPaths), grouped by rule, path and part of the request, from the logs that the site keeps.`,
		Args: atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := formatOf(format, "text", "json"); err != nil {
				return err
			}
			p, err := flags.load(args)
			if err != nil {
				return err
			}
			rows, requests := group(local.StateOf(p.Dir(), p.Site()), refused)
			out := c.OutOrStdout()
			if format == "json" {
				enc := json.NewEncoder(out)
				enc.SetIndent("", "  ")
				return enc.Encode(rows)
			}
			return printRows(out, rows, requests, refused)
		},
	}
	flags.add(c)
	c.Flags().StringVarP(&format, "output", "o", "text", "`format`: text or json")
	c.Flags().BoolVar(&refused, "refused", false, "what was refused, in place of what was only logged")
	return c
}

// group adds the log's events up; requests is how many there were.
func group(s local.State, refused bool) (rows []reportRow, requests int) {
	rows = []reportRow{}
	at := map[string]int{}
	events(s, func(e *proxy.Event) {
		if e.Refusal.Logged == refused || len(e.Refusal.Rules) == 0 {
			return
		}
		requests++
		path, _, _ := strings.Cut(e.URL, "?")
		for _, r := range e.Refusal.Rules {
			for _, part := range append([]string{r.Target}, r.Also...) {
				key := fmt.Sprint(r.ID, "\n", path, "\n", part, "\n", e.Profile)
				i, ok := at[key]
				if !ok {
					i = len(rows)
					at[key] = i
					rows = append(rows, reportRow{Rule: r.ID, Message: r.Message, Path: path, Part: part, Profile: e.Profile, First: e.Time})
				}
				rows[i].Requests++
				rows[i].Last, rows[i].Example = e.Time, e.ID
			}
		}
	})
	slices.SortStableFunc(rows, func(a, b reportRow) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Path, b.Path))
	})
	return rows, requests
}

func printRows(out io.Writer, rows []reportRow, requests int, refused bool) error {
	what := "would have been refused, and passed because the rules only log there"
	if refused {
		what = "were refused by rules"
	}
	fmt.Fprintf(out, "%d requests %s.\n", requests, what)
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "requests\trule\tpath\tpart\tprofile\tlast\texample")
	for _, r := range rows {
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\t%s\t%s\n", r.Requests, r.Rule, r.Path, r.Part, r.Profile, r.Last.Format("2006-01-02 15:04:05"), r.Example)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nWhy one was: ringwall waf explain <example>; how to let it pass: ringwall waf tune <example>")
	return nil
}
