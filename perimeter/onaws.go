package perimeter

import (
	"context"
	"net/netip"
	"strings"

	"github.com/ringwall/ringwall/plan"
)

// AWS says how a promise is judged on a site that runs on AWS. A control of the
// internet without one is judged by its Probe, as anywhere.
type AWS struct {
	// Not says why the promise is none of a site on AWS, or why nobody can stand
	// there where it would be judged. Such a control is left out, and the report
	// names it with these words. Empty, or nil: it is one.
	Not func(*plan.Plan, *Cloud) string

	// Try writes what an instance does to break the promise: one of the vantage's
	// tier, or for the vantage machine one of each tier.
	Try func(*plan.Plan, *Cloud, *Script)

	Tier string // whose instance it is that tries; empty: the vantage's

	// Rounds lets the control's own Probe ask the database through an instance of the
	// vantage's tier.
	Rounds func(*plan.Plan) Rounds

	// Probe takes the place of the control's own, from the internet.
	Probe func(context.Context, *Target) error
}

// NotOnAWS is for a promise that no site on AWS makes.
func NotOnAWS(why string) *AWS {
	return &AWS{Not: func(*plan.Plan, *Cloud) string { return why }}
}

// A Cloud is what an account says of a deployed site: where its parts are.
type Cloud struct {
	Region    string
	Instances []CloudInstance   // that run
	Names     map[string]string // physical names (ids, ARNs) of resources by logical id
	Outputs   map[string]string // of the stacks, by key
	Self      netip.Addr        // this machine's address as the internet sees it; not valid: not known

	// Resolve looks a name up; nil: as this machine does.
	Resolve func(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// A CloudInstance is one of a tier's instances.
type CloudInstance struct {
	ID, Tier string
	Addr     netip.Addr
	Public   []netip.Addr // addresses that the internet knows
}

// Of are the instances of a tier.
func (c *Cloud) Of(tier string) (out []CloudInstance) {
	for _, i := range c.Instances {
		if i.Tier == tier {
			out = append(out, i)
		}
	}
	return out
}

// OnAWS says whether the control is one of a site's promises on AWS, and why not.
func (c *Control) OnAWS(p *plan.Plan, cloud *Cloud) (ok bool, why string) {
	if c.AWS == nil || c.AWS.Not == nil {
		return true, ""
	}
	why = c.AWS.Not(p, cloud)
	return why == "", why
}

// TiersOnAWS are those whose instances try to break the control's promise on AWS; none
// for a promise that is judged from elsewhere.
func (c *Control) TiersOnAWS(p *plan.Plan) (out []string) {
	if c.AWS == nil || c.AWS.Try == nil && c.AWS.Rounds == nil {
		return nil
	}
	for _, t := range p.Tiers {
		if c.AWS.Tier == t.Name || c.AWS.Tier == "" && (c.Vantage == Machine || c.Vantage == Vantage(t.Name)) {
			out = append(out, t.Name)
		}
	}
	return out
}

// Endpoint is the name of an AWS service in the site's Region, which instances reach
// through an endpoint of the VPC.
func (c *Cloud) Endpoint(service string) string {
	suffix := ".amazonaws.com"
	if strings.HasPrefix(c.Region, "cn-") {
		suffix += ".cn"
	}
	return service + "." + c.Region + suffix
}

// FetchesOnAWS says whether the instances of a tier may open HTTPS connections to the
// internet: the writing tier for updates of the app, the others where they install
// what no golden image holds.
func FetchesOnAWS(p *plan.Plan, t plan.Tier) bool {
	return p.AWS.NATGateways > 0 && (t.Write || p.AWS.Image != plan.ImageBuild)
}
