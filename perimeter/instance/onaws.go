package instance

import (
	"fmt"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// On AWS a security group refuses without an answer, so silence is the refusal, and
// an endpoint of the VPC that answers shows that the instance can send.

var noBeside = perimeter.NotOnAWS("the balancer's group admits CloudFront alone: nobody of ours stands beside the edge, and check reads its rules in the templates (balancer/only-our-distribution, balancer/admin-selection)")

func alive(c *perimeter.Cloud, s *perimeter.Script) {
	s.Reaches("Systems Manager's endpoint", c.Endpoint("ssm"), 443)
}

// tiersOnAWS tries the other instances of a tier from one of another, or the same.
func tiersOnAWS(from, to string) *perimeter.AWS {
	return &perimeter.AWS{
		Not: func(_ *plan.Plan, c *perimeter.Cloud) string {
			if from == to && len(c.Of(to)) == 1 {
				return "one instance of " + to + " runs, so there is no other one to dial"
			}
			return ""
		},
		Try: func(p *plan.Plan, c *perimeter.Cloud, s *perimeter.Script) {
			alive(c, s)
			// The script runs on the first instance of its tier.
			for i, x := range c.Of(to) {
				if from == to && i == 0 {
					continue
				}
				for _, place := range on(fmt.Sprintf("%s %s", to, x.ID), x.Addr, p.Balancer.TargetPort, 22, 80, 9000) {
					if !p.MayDial(from, to, place.Addr.Port()) {
						s.Silent(place.Name, place.Addr.Addr().String(), place.Addr.Port())
					}
				}
			}
		},
	}
}

// frontOnAWS tries the balancer, and the edge itself where the tier may ask nobody
// outside.
var frontOnAWS = &perimeter.AWS{Try: func(p *plan.Plan, c *perimeter.Cloud, s *perimeter.Script) {
	alive(c, s)
	s.Silent("the balancer", perimeter.Word(c.Outputs["BalancerHost"]), 443, 80)
	if t := p.Tier(s.Tier); t != nil && perimeter.FetchesOnAWS(p, *t) {
		s.Add("say note 'the edge was not tried' 'this tier may ask the internet over HTTPS, to install and update'")
	} else {
		s.Silent("the edge", perimeter.Word(p.Network.Host), 443, 80)
	}
}}

// portsOnAWS tries other ports of the database's host than its own.
var portsOnAWS = &perimeter.AWS{
	Not: func(p *plan.Plan, _ *perimeter.Cloud) string {
		if !p.Database.Present() {
			return "the site has no database server of its own"
		}
		return ""
	},
	Try: func(p *plan.Plan, _ *perimeter.Cloud, s *perimeter.Script) {
		s.Add("H=$(jq -er .host /run/secrets/database.json) || say unclear 'read the name of the database' 'it is not in /run/secrets/database.json'")
		if p.MayDial(s.Tier, plan.NodeDatabase, p.Database.Port) {
			s.Reaches("the database", `"$H"`, p.Database.Port)
		}
		for _, port := range []uint16{21, 22, 25, 53, 80, 111, 443, 2049, 3306, 5432, 5433, 6379, 8080, 33060} {
			if !p.MayDial(s.Tier, plan.NodeDatabase, port) {
				s.Silent("the database's host", `"$H"`, port)
			}
		}
	},
}
