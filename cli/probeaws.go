package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/deploy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/report"
	"github.com/ringwall/ringwall/verify"
)

// probeAWS judges a deployed site: from this machine as the internet sees it, and
// from inside by an instance of each tier, which Systems Manager has run a script.
// Nobody need prove that it is theirs: their credentials reach into it.
func probeAWS(ctx context.Context, c *cobra.Command, p *plan.Plan, client *deploy.Client, site deploy.Site, o probeOptions, jobs []verify.Job) (*report.Report, error) {
	roots, err := authorities(o.ca)
	if err != nil {
		return nil, usage(err)
	}
	u := &url.URL{Scheme: "https", Host: p.Network.Host}
	head := report.Report{Tool: "ringwall " + version(), Site: p.Site(), URL: u.String(), Started: time.Now()}
	cloud, lookErr := client.Look(ctx, site, p.AWS.Region)
	if lookErr != nil {
		cloud = &perimeter.Cloud{Region: p.AWS.Region}
		head.Notes = append(head.Notes, "where the site's parts are could not be read: "+lookErr.Error())
	}
	outer, inner, left := verify.ForAWS(p, cloud, jobs, o.intrusive)
	head.Notes = append(head.Notes, left...)
	target := outside(p, u, "", roots)
	target.Cloud = cloud

	total := len(outer)
	for _, j := range inner {
		total += max(1, len(j.Control.TiersOnAWS(p)))
	}
	progress := newProgress(c, total)
	var results []perimeter.Result
	emit := func(r perimeter.Result) {
		results = append(results, r)
		progress.tick(r)
	}
	inside := make(chan []perimeter.Result, 1)
	go func() {
		var all []perimeter.Result
		if lookErr == nil {
			verify.RunInside(ctx, inner, target, func(ctx context.Context, i perimeter.CloudInstance, script string) (string, error) {
				return client.Run(ctx, p.AWS.Region, i.ID, "ringwall probe of "+p.Site(), script)
			}, func(r perimeter.Result) { all = append(all, r) })
		}
		inside <- all
	}()
	near, why := visitors(p, cloud, outer)
	for _, j := range outer {
		if reason := why[j.Control.ID]; reason != "" {
			emit(verify.Unjudged(j, reason))
		}
	}
	verify.Run(ctx, near, target, true, emit)
	for _, r := range <-inside {
		emit(r)
	}
	progress.end()
	asked := append(outer, inner...)
	for _, j := range inner {
		switch {
		case lookErr != nil:
			results = append(results, verify.Unjudged(j, lookErr.Error()))
		case len(j.Control.TiersOnAWS(p)) == 0:
			results = append(results, verify.Unjudged(j, fmt.Sprintf("nobody can stand at the vantage %q on AWS", j.Control.Vantage)))
		}
	}
	head.Millis = time.Since(head.Started).Milliseconds()
	return report.Build(head, all.Perimeters, inOrder(jobs, asked), results), nil
}

// probeDeployed judges a site that was deployed before.
func probeDeployed(ctx context.Context, c *cobra.Command, flags *planFlags, args []string, o probeOptions, jobs []verify.Job) (*report.Report, error) {
	p, err := flags.load(args)
	if err != nil {
		return nil, err
	}
	site, err := siteOf(io.Discard, p)
	if err != nil {
		return nil, err
	}
	client, err := deploy.Open(ctx, p.AWS.Region)
	if err != nil {
		return nil, err
	}
	return probeAWS(ctx, c, p, client, site, o, jobs)
}

// visitors are the controls that this machine can judge from the internet. Where its
// own address is an administrators', it does not see what a visitor gets, and why
// has the reason for each of the others.
func visitors(p *plan.Plan, cloud *perimeter.Cloud, jobs []verify.Job) (near []verify.Job, why map[string]string) {
	why = map[string]string{}
	for _, j := range jobs {
		if (j.Perimeter == 2 || j.Perimeter == 8) && cloud.Self.IsValid() && p.Balancer.Admins.Has(cloud.Self) {
			why[j.Control.ID] = fmt.Sprintf("this machine asks from %s, which is an administrators' address: what a visitor gets is not to be seen from here; run ringwall probe %s --deployed from another network", cloud.Self, p.Site())
			continue
		}
		near = append(near, j)
	}
	return near, why
}

// inOrder are the jobs of a list that were asked, in the list's order.
func inOrder(list, asked []verify.Job) (out []verify.Job) {
	want := map[string]bool{}
	for _, j := range asked {
		want[j.Control.ID] = true
	}
	for _, j := range list {
		if want[j.Control.ID] {
			out = append(out, j)
		}
	}
	return out
}

// fromHere dials from this machine as the visitor that it is.
func fromHere(node string) (perimeter.Dialer, error) {
	if node != plan.Internet {
		return nil, fmt.Errorf("only the internet is at hand from here")
	}
	var d net.Dialer
	return d.DialContext, nil
}
