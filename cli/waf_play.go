package cli

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/local"
	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/perimeter/edge/tuning"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/waf/ftw"
)

func newWAFTest() *cobra.Command {
	var flags planFlags
	var o struct{ running, admin, verbose bool }
	c := &cobra.Command{
		Use:   "test [site] <directory>",
		Short: "Run tests in the core rule set's format against the site's rules",
		Long: `Run the tests (*.yaml) below a directory, in the format of the OWASP core rule set's own tests,
against the configuration's rules. It is done in process and sends nothing; with --running the
requests are sent to the running site, which tells only of refused ones which rules matched.

Exit codes: 0 every stage is as it wants to be, 3 one is not, 1 one could not be judged, 2 a test
cannot be read.`,
		Example: "  ringwall waf test tests/\n  ringwall waf test wp-dev tests/ --running -v",
		RunE: func(c *cobra.Command, args []string) error {
			site, rest := splitSite(args)
			if err := want(rest, 1, 1, "a directory with tests"); err != nil {
				return err
			}
			if st, err := os.Stat(rest[0]); err != nil || !st.IsDir() {
				return usage(fmt.Errorf("reading tests: got %s, want a directory", rest[0]))
			}
			p, err := flags.load(site)
			if err != nil {
				return err
			}
			stages, err := ftw.Read(os.DirFS(rest[0]))
			if err != nil {
				return usage(err)
			}
			if len(stages) == 0 {
				return usage(fmt.Errorf("reading tests: got no test below %s, want *.yaml files in the core rule set's format", rest[0]))
			}
			var results []tuning.Result
			if o.running {
				at, err := runningSite(c.Context(), p, o.admin)
				if err != nil {
					return err
				}
				for _, s := range stages {
					results = append(results, at.Play(c.Context(), s))
				}
			} else {
				j := edge.NewJudge(p)
				if err := j.Build(); err != nil {
					return usage(err)
				}
				results = tuning.Play(j, stages, o.admin)
			}
			return printResults(c.OutOrStdout(), results, o.verbose)
		},
	}
	flags.add(c)
	c.Flags().BoolVar(&o.running, "running", false, "send the requests to the running site")
	c.Flags().BoolVar(&o.admin, "admin", false, "as an administrator: the admin profile, or its door")
	c.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "every stage, not only those that are not as they want to be")
	return c
}

// runningSite is where the running site of a plan is asked.
func runningSite(ctx context.Context, p *plan.Plan, asAdmin bool) (*tuning.Site, error) {
	s := local.StateOf(p.Dir(), p.Site())
	if _, err := local.Connect(s).Status(ctx); err != nil {
		return nil, err
	}
	var roots *x509.CertPool // the system's, for a certificate of the owner's
	if pem, err := os.ReadFile(filepath.Join(s.CA(), "ca.pem")); err == nil && p.Edge.CertFile == "" {
		roots = x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
	}
	return tuning.SiteAt(p, asAdmin, roots, func(id string) (found *proxy.Event) {
		events(s, func(e *proxy.Event) {
			if e.ID == id {
				found = e
			}
		})
		return found
	})
}

func printResults(out io.Writer, results []tuning.Result, verbose bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	right, wrong, unknown := 0, 0, 0
	for _, r := range results {
		state, words := "right", r.Stage.Desc
		switch {
		case r.Err != nil:
			unknown++
			state, words = "unknown", r.Err.Error()
		case len(r.Wrong) > 0:
			wrong++
			state, words = "WRONG", strings.Join(r.Wrong, "; ")
		default:
			right++
		}
		if state != "right" || verbose {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s:%d\t%s\n", state, r.Stage.Name, r.Verdict, r.Stage.File, r.Stage.Line, strings.ReplaceAll(words, "\n", " "))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d stages: %d right, %d wrong, %d unknown\n", len(results), right, wrong, unknown)
	switch {
	case wrong > 0:
		return &exitError{ExitBroken, nil}
	case unknown > 0:
		return &exitError{ExitFailed, nil}
	}
	return nil
}
