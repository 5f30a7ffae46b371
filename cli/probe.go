package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/report"
	"github.com/ringwall/ringwall/verify"
)

func newProbe() *cobra.Command {
	var flags planFlags
	var o probeOptions
	c := &cobra.Command{
		Use:   "probe [site]",
		Short: "Attack every perimeter of a running site, and say which held",
		Long: `Attack every perimeter of a running site, each control from the place where its attacker
would stand: the internet, beside the edge, inside fleet, inside admin, inside the database's
network. A control that could not be judged is unknown, and unknown is never green.

With --url it judges a site elsewhere (name the site too where its configuration is here), from the internet only, and only when the token that
--token prints is served at /.well-known/ringwall-probe.txt there.

With --deployed it judges the site on AWS, as deploy does afterwards: from the internet, and
from inside by an instance of each tier, which Systems Manager has run a script. The credentials
need ec2:DescribeInstances, ssm:SendCommand and ssm:GetCommandInvocation.

Exit codes: 0 every control held, 1 one could not be judged, 3 one is broken.`,
		Example: "  ringwall probe\n  ringwall probe wp-dev --only edge -v\n  ringwall probe -o text -o html=report.html -o json=report.json",
		Args:    atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			if o.token {
				return printToken(c)
			}
			sink, err := report.Open(o.formats, c.OutOrStdout(), o.report())
			if err != nil {
				return usage(err)
			}
			jobs, err := verify.Select(all.Perimeters, o.only)
			if err != nil {
				return usage(err)
			}
			if jobs = verify.Probing(jobs); len(jobs) == 0 {
				return usage(fmt.Errorf("choosing controls: %q are read from templates only; try: ringwall check", o.only))
			}
			ctx, cancel := context.WithTimeout(c.Context(), o.timeout)
			defer cancel()
			var r *report.Report
			switch {
			case o.deployed && o.url != "":
				return usage(errors.New("reading --deployed: got --url as well, want one of them: a deployed site's address is its configuration's"))
			case o.deployed:
				r, err = probeDeployed(ctx, c, &flags, args, o, jobs)
			case o.url != "":
				var p *plan.Plan
				if len(args) > 0 {
					if p, err = flags.load(args); err != nil {
						return err
					}
				}
				r, err = probeURL(ctx, c, o, p, jobs)
			default:
				r, err = probeSite(ctx, c, &flags, args, jobs)
			}
			if err != nil {
				return err
			}
			if err := sink.Write(r); err != nil {
				return err
			}
			switch r.Verdict {
			case perimeter.Held:
				return nil
			case perimeter.Broken:
				return &exitError{ExitBroken, nil}
			}
			return &exitError{ExitFailed, nil}
		},
	}
	flags.add(c)
	f := c.Flags()
	f.StringSliceVar(&o.only, "only", nil, "judge these `perimeters or controls` only: edge, 7, host/no-udp")
	f.StringArrayVarP(&o.formats, "output", "o", nil, "`format[=file]`: text, json, html or sarif (repeatable)")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "every control, with what was tried and what was seen")
	f.BoolVar(&o.deployed, "deployed", false, "judge the site that is deployed to AWS, with the account's credentials")
	f.StringVar(&o.url, "url", "", "judge a site elsewhere, by its `address`")
	f.StringVar(&o.ca, "ca", "", "with --url or --deployed: trust the authorities in this PEM `file`, in place of the system's")
	f.BoolVar(&o.intrusive, "intrusive", false, "with --url or --deployed: floods and slow requests too")
	f.BoolVar(&o.token, "token", false, "print the token that the owner of a site elsewhere serves")
	f.DurationVar(&o.timeout, "timeout", 3*time.Minute, "give up after this time; what is not judged by then is unknown")
	f.StringVar(&o.color, "color", "auto", "auto, always or never")
	return c
}

type probeOptions struct {
	only, formats             []string
	verbose, intrusive, token bool
	deployed                  bool
	url, color, ca            string
	timeout                   time.Duration
}

// report is what formats may ask about the reader.
func (o probeOptions) report() report.Options {
	r := report.Options{Verbose: o.verbose, Color: o.color == "always"}
	fd := int(os.Stdout.Fd())
	if term.IsTerminal(fd) {
		r.Width, _, _ = term.GetSize(fd)
		if o.color == "auto" && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
			r.Color = true
		}
	}
	return r
}

// probeSite asks the running site to attack itself from every vantage.
func probeSite(ctx context.Context, c *cobra.Command, flags *planFlags, args []string, jobs []verify.Job) (*report.Report, error) {
	p, client, err := connectSite(flags, args)
	if err != nil {
		return nil, err
	}
	s, err := client.Status(ctx)
	if err != nil {
		return nil, err
	}
	head := report.Report{Tool: "ringwall " + version(), Site: p.Site(), Enforcement: s.Enforced, Started: time.Now(),
		Notes: []string{"the edge and the balancer share a process: that one flow is in-process, and is proved at the balancer's own listener"}}
	jobs = verify.For(p, jobs)
	if note := s.Changed(p); note != "" {
		head.Notes = append(head.Notes, note)
	}
	var ids []string
	for _, j := range jobs {
		ids = append(ids, j.Control.ID)
	}
	progress := newProgress(c, len(jobs))
	var results []perimeter.Result
	err = client.Probe(ctx, ids, func(r perimeter.Result) {
		results = append(results, r)
		progress.tick(r)
	})
	progress.end()
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	head.Millis = time.Since(head.Started).Milliseconds()
	return report.Build(head, all.Perimeters, jobs, results), nil
}

// A progress counts controls on a terminal, in one line.
type progress struct {
	c           *cobra.Command
	done, total int
	live        bool
}

func newProgress(c *cobra.Command, total int) *progress {
	return &progress{c: c, total: total, live: term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb"}
}

func (p *progress) tick(r perimeter.Result) {
	p.done++
	if p.live {
		fmt.Fprintf(p.c.ErrOrStderr(), "\r\033[K%d of %d  %s", p.done, p.total, r.ID)
	}
}

func (p *progress) end() {
	if p.live {
		fmt.Fprint(p.c.ErrOrStderr(), "\r\033[K")
	}
}
