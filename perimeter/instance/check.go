package instance

import (
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/access"
	"github.com/ringwall/ringwall/internal/reach"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// checks are the promises that templates keep or break.
var checks = []*perimeter.Control{
	{
		ID:      "instance/only-the-balancer",
		Doc:     "Instances take connections from the load balancer only, on the port of their target group, and nobody has a key to log in with.",
		Why:     "Whoever else may connect has neither the edge nor the balancer before him.",
		Vantage: perimeter.Template,
		Check:   checkIngress,
		Meets:   []string{"INV-04"},
	},
	{
		ID:      "instance/compartments",
		Doc:     "Fleet and admin share no security group, role or target group, and neither reaches the other, by the network or by IAM.",
		Why:     "Whoever captures an instance that serves the public is a step from one that may change the site.",
		Vantage: perimeter.Template,
		Check:   checkCompartments,
		Meets:   []string{"INV-07"},
	},
	{
		ID:      "instance/egress-and-metadata",
		Doc:     "What an instance may dial is a list, endpoints answer for named actions only, and its credentials are asked for with a session (IMDSv2, one hop).",
		Why:     "A captured instance sends data anywhere, and a forged request reads its role's credentials.",
		Vantage: perimeter.Template,
		Check:   checkEgress,
		Meets:   []string{"INV-14"},
	},
}

func balancerGroups(p *perimeter.Pass) map[string]bool {
	out := map[string]bool{}
	for _, n := range p.Reach.Nodes {
		if n.Kind == reach.Balancer {
			for _, g := range n.Groups {
				out[g.Key] = true
			}
		}
	}
	return out
}

// targetPorts are the ports on which a tier's target groups reach it.
func targetPorts(t *perimeter.Tier) (ports []int, why string) {
	for _, g := range t.Targets {
		for _, f := range []*template.Value{g.Get("Port"), g.Get("HealthCheckPort")} {
			if f.Absent() || f.Is("traffic-port") {
				continue
			}
			n, ok := f.Int()
			if !ok {
				why = "the port of target group " + g.ID + " is " + f.Show()
			}
			ports = append(ports, n)
		}
	}
	return ports, why
}

func checkIngress(p *perimeter.Pass) error {
	tiers := p.Tiers()
	if len(tiers) == 0 {
		p.Absent("instances")
		return nil
	}
	balancers := balancerGroups(p)
	for _, n := range p.Reach.Nodes {
		for _, g := range n.Groups {
			if n.Kind != reach.Balancer && balancers[g.Key] {
				p.Broken(n.Res, n.Res.Pos, "%s has the load balancer's security group %s too: whoever takes connections from that group takes its", n, g.Name)
			}
		}
	}
	for _, t := range tiers {
		p.Tried("who may connect to %s", t.Node)
		for _, why := range t.Node.Unsure {
			p.Unknown(t.Node.Res, t.Node.Res.Pos, "who may connect to %s is not known: %s", t.Node, why)
		}
		ports, why := targetPorts(t)
		if why != "" {
			p.Unknown(t.Node.Res, t.Node.Res.Pos, "%s", why)
		}
		for _, g := range t.Node.Groups {
			for _, r := range g.In {
				judgeIngress(p, t, g, r, balancers, ports)
			}
		}
		judgeKey(p, t)
	}
	return nil
}

func judgeIngress(p *perimeter.Pass, t *perimeter.Tier, g *reach.Group, r reach.Rule, balancers map[string]bool, ports []int) {
	switch {
	case r.Peer.Unsure != "" || r.Unsure != "":
		p.Unknown(t.Node.Res, r.Pos, "security group %s of %s takes %s from %s", g.Name, t.Node, r.Ports, r.Peer)
	case r.Peer.Group == "" || !balancers[r.Peer.Group]:
		p.Broken(t.Node.Res, r.Pos, "security group %s of %s takes %s from %s, want the load balancer's group only", g.Name, t.Node, r.Ports, r.Peer)
	case len(ports) == 0:
		p.Broken(t.Node.Res, r.Pos, "security group %s of %s takes %s from the load balancer, and no target group has them", g.Name, t.Node, r.Ports)
	case r.Ports.Protocol != reach.TCP || !slices.ContainsFunc(ports, r.Ports.Spans.Only):
		p.Broken(t.Node.Res, r.Pos, "security group %s of %s takes %s from the load balancer, which asks on %v only", g.Name, t.Node, r.Ports, ports)
	}
}

func judgeKey(p *perimeter.Pass, t *perimeter.Tier) {
	if t.Node.Template == nil {
		return
	}
	for _, path := range [][]string{{"LaunchTemplateData", "KeyName"}, {"KeyName"}} {
		if k := t.Node.Template.Get(path...); !k.Absent() {
			which := "the key " + k.Show()
			if k.Unknown() {
				which = "a key: " + k.Why()
			}
			p.Broken(t.Node.Template, k.Place(t.Node.Template.Pos), "%s can be logged in to with %s; sessions of Systems Manager need none", t.Node, which)
		}
	}
}

func checkCompartments(p *perimeter.Pass) error {
	admins, fleets := perimeter.Named(p.Tiers(), plan.Admin), perimeter.Named(p.Tiers(), plan.Fleet)
	if len(admins) == 0 || len(fleets) == 0 {
		p.Absent("an admin tier beside a fleet")
		return nil
	}
	for _, a := range admins {
		for _, f := range fleets {
			p.Tried("what %s and %s share, and whether one reaches the other", f.Node, a.Node)
			judgeShared(p, f, a)
			judgeWays(p, f, a)
			judgeClimb(p, f, a)
		}
	}
	return nil
}

func judgeShared(p *perimeter.Pass, f, a *perimeter.Tier) {
	for _, x := range f.Node.Groups {
		for _, y := range a.Node.Groups {
			if x.Key == y.Key && x.Unsure == "" {
				at := f.Node.Res.Pos
				if x.Res != nil {
					at = x.Res.Pos
				}
				p.Broken(f.Node.Res, at, "%s and %s share the security group %s", f.Node, a.Node, x.Name)
			}
		}
	}
	if f.Role != nil && f.Role == a.Role {
		p.Broken(f.Role.Res, f.Role.Res.Pos, "%s and %s share the role %s", f.Node, a.Node, f.Role.Name)
	}
	for _, x := range f.Targets {
		if slices.Contains(a.Targets, x) {
			p.Broken(x, x.Pos, "%s and %s share the target group %s: a request for one reaches the other", f.Node, a.Node, x.ID)
		}
	}
	for _, t := range []*perimeter.Tier{f, a} {
		if t.Role == nil && !t.Profile.Absent() {
			p.Unknown(t.Node.Res, t.Profile.Place(t.Node.Res.Pos), "which role %s has is not known: %s", t.Node, t.Profile.Show())
		}
	}
}

func judgeWays(p *perimeter.Pass, f, a *perimeter.Tier) {
	for _, pair := range [][2]*perimeter.Tier{{f, a}, {a, f}} {
		for _, o := range p.Reach.Between(pair[0].Node, pair[1].Node) {
			words := "%s can open a connection to %s: %s"
			if o.Sure != template.Yes {
				words += "; not sure, because " + o.Why
			}
			p.Judge(o.Sure, pair[0].Node.Res, pair[0].Node.Res.Pos, o.Path, words, pair[0].Node, pair[1].Node, o.Ports)
		}
	}
}

func judgeClimb(p *perimeter.Pass, f, a *perimeter.Tier) {
	if f.Role == nil || a.Role == nil || f.Role == a.Role {
		return
	}
	for _, sure := range []bool{true, false} {
		if via := p.Access.Climb(f.Role, a.Role, sure); via != nil {
			p.Judge(certain(sure), f.Role.Res, placeOf(via[0]), steps(via), "role %s of the fleet can come by the rights of %s", f.Role.Name, a.Role.Name)
			return
		}
	}
}

func certain(sure bool) template.Tri {
	if sure {
		return template.Yes
	}
	return template.Maybe
}

func placeOf(e access.Edge) template.Pos {
	if e.By != nil {
		return e.By.Pos
	}
	return e.From.Res.Pos
}

// steps writes a chain of edges as a path.
func steps(via []access.Edge) reach.Path {
	var out reach.Path
	for _, e := range via {
		out = append(out, reach.Hop{Words: "role " + e.From.Name + " " + e.How, Pos: placeOf(e)})
	}
	return out
}

func checkEgress(p *perimeter.Pass) error {
	tiers := p.Tiers()
	nodes := map[*reach.Node]bool{}
	for _, t := range tiers {
		nodes[t.Node] = true
	}
	seen := map[string]bool{}
	for _, n := range p.Reach.Nodes {
		if !nodes[n] && n.Kind != reach.Function && n.Kind != reach.Balancer {
			continue
		}
		p.Tried("what %s may dial", n)
		for _, g := range n.Groups {
			if !seen[g.Key] {
				seen[g.Key] = true
				judgeEgress(p, n, g)
			}
		}
	}
	for _, t := range tiers {
		judgeMetadata(p, t)
	}
	for _, e := range p.World.OfType("AWS::EC2::VPCEndpoint") {
		p.Tried("for what endpoint %s answers", e.ID)
		judgeEndpoint(p, e)
	}
	if len(p.Reach.Nodes) == 0 {
		p.Absent("anything that dials")
	}
	return nil
}

// https is the one port on which an instance may reach the internet, through NAT.
const https = 443

func judgeEgress(p *perimeter.Pass, n *reach.Node, g *reach.Group) {
	if g.Unsure != "" {
		p.Unknown(n.Res, n.Res.Pos, "what security group %s of %s lets out is not known: %s", g.Name, n, g.Unsure)
	}
	for _, r := range g.Out {
		switch {
		case r.Default:
			p.Broken(n.Res, r.Pos, "security group %s of %s has no egress rules, so EC2 lets everything out of it", g.Name, n)
			return
		case r.Peer.Unsure != "" || r.Unsure != "":
			p.Unknown(n.Res, r.Pos, "security group %s of %s lets out %s to %s", g.Name, n, r.Ports, r.Peer)
		case !r.Peer.Block.IsValid() || r.Peer.Block.Bits() > 0 && !reach.Public(r.Peer.Block):
			if r.Ports.Protocol == reach.All && r.Peer.Group == "" {
				p.Broken(n.Res, r.Pos, "security group %s of %s lets out everything to %s, want a port", g.Name, n, r.Peer)
			}
		case r.Ports.Protocol == reach.TCP && r.Ports.Spans.Only(https) && n.Kind != reach.Balancer:
		default:
			p.Broken(n.Res, r.Pos, "security group %s of %s lets out %s to %s; want port 443 at most, and named destinations for all else", g.Name, n, r.Ports, r.Peer)
		}
	}
}

func judgeMetadata(p *perimeter.Pass, t *perimeter.Tier) {
	l := t.Node.Template
	if l == nil || t.Node.Kind == reach.Service {
		return
	}
	p.Tried("how %s asks for its credentials", t.Node)
	o := l.Get("LaunchTemplateData", "MetadataOptions")
	if o.Absent() {
		o = l.Get("MetadataOptions")
	}
	at := l.Place("LaunchTemplateData")
	switch v := o.Get("HttpTokens"); {
	case v.Unknown():
		p.Unknown(l, v.Place(at), "whether %s requires IMDSv2 is not known: %s", l.ID, v.Why())
	case !v.Is("required") && !o.Get("HttpEndpoint").Is("disabled"):
		p.Broken(l, v.Place(at), "%s does not require IMDSv2: a request that is forged on the server's side reads the credentials of its role", l.ID)
		return
	}
	switch v := o.Get("HttpPutResponseHopLimit"); {
	case v.Unknown():
		p.Unknown(l, v.Place(at), "the hop limit of %s is not known: %s", l.ID, v.Why())
	case !v.Is("1") && !o.Get("HttpEndpoint").Is("disabled"):
		p.Broken(l, v.Place(at), "the metadata of %s travels %s hops, want 1: a container behind the instance can ask for its credentials", l.ID, strings.Replace(v.Show(), "nothing", "as many as the image's default", 1))
	}
}

func judgeEndpoint(p *perimeter.Pass, e *template.Resource) {
	doc := e.Get("PolicyDocument")
	if doc.Absent() {
		p.Broken(e, e.Pos, "endpoint %s has no policy, so it passes every request of anybody to any account", e.ID)
		return
	}
	statements := p.Access.Policy(doc, "the policy of endpoint "+e.ID, e.Pos)
	for _, s := range statements {
		switch {
		case s.Unsure != "":
			p.Unknown(e, s.Pos, "what endpoint %s passes is not known: %s", e.ID, s.Unsure)
		case s.Allow && (everyAction(s.Actions) || len(s.NotActions) > 0) && (slices.ContainsFunc(s.Resources, anybodys) || len(s.NotResources) > 0) && !slices.ContainsFunc(s.Conditions, own) && !refusesOthers(statements):
			p.Broken(e, s.Pos, "endpoint %s passes every action on everything, in any account", e.ID)
		}
	}
}

// own says whether a condition is on whose the identity or the thing is: nothing else
// keeps a request for another account from passing.
func own(c access.Condition) bool {
	return strings.HasPrefix(c.Key, "aws:resource") || strings.HasPrefix(c.Key, "aws:principal") || strings.HasSuffix(c.Key, ":resourceaccount")
}

// everyAction says whether all that a service does is among the actions.
func everyAction(actions []string) bool {
	return slices.ContainsFunc(actions, func(a string) bool { return a == "*" || strings.HasSuffix(a, ":*") })
}

// anybodys says whether a pattern is about a whole service, whoever's it is: * in the
// place of a name, and no account before it.
func anybodys(resource string) bool {
	parts := strings.SplitN(resource, ":", 6)
	return resource == "*" || len(parts) == 6 && strings.Trim(parts[5], "*/") == "" && strings.Trim(parts[4], "*") == ""
}

// refusesOthers says whether a policy refuses everything under some condition, as one
// does that is for an account's or an organization's own things only.
func refusesOthers(statements []*access.Statement) bool {
	return slices.ContainsFunc(statements, func(s *access.Statement) bool {
		return !s.Allow && slices.Contains(s.Actions, "*") && slices.Contains(s.Resources, "*") && slices.ContainsFunc(s.Conditions, own)
	})
}
