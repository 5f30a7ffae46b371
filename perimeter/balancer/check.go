package balancer

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// checks are the promises that templates keep or break.
var checks = []*perimeter.Control{
	{
		ID:      "balancer/only-our-distribution",
		Doc:     "The balancer forwards a request only with the secret that our own distribution adds, and answers all others itself.",
		Why:     "CloudFront's addresses are everybody's: any customer's distribution could ask our balancer past our edge.",
		Vantage: perimeter.Template,
		Check:   checkSecret,
		Meets:   []string{"INV-02"},
	},
	{
		ID:      "balancer/admin-selection",
		Doc:     "The admin tier is chosen only for the declared addresses, before any other rule, by a header that the edge overwrites on every path.",
		Why:     "A visitor who writes the header himself, or a range that was cut to one address, decides who is an administrator.",
		Vantage: perimeter.Template,
		Check:   checkAdmin,
		Meets:   []string{"INV-08"},
	},
}

// application balancers, which have rules.
func balancers(p *perimeter.Pass) []*template.Resource {
	return slices.DeleteFunc(slices.Clone(p.World.OfType("AWS::ElasticLoadBalancingV2::LoadBalancer")), func(r *template.Resource) bool {
		return !r.Get("Type").Absent() && !r.Get("Type").Is("application")
	})
}

// A header that distributions add to what they ask of an origin.
type originHeader struct {
	name, value string
	pos         template.Pos
}

func originHeaders(p *perimeter.Pass) (out []originHeader, unsure string) {
	for _, d := range p.World.OfType("AWS::CloudFront::Distribution") {
		for _, o := range d.Get("DistributionConfig", "Origins").List() {
			hs := o.Get("OriginCustomHeaders")
			if hs.Unknown() {
				unsure = hs.Why()
			}
			for _, h := range hs.List() {
				v := h.Get("HeaderValue")
				if v.Unknown() {
					unsure = v.Why()
				}
				out = append(out, originHeader{strings.ToLower(h.Get("HeaderName").String()), secretOf(p, v.String()), v.Place(d.Pos)})
			}
		}
	}
	return out, unsure
}

// secretOf writes a reference to a secret in a form that is the same for the
// secret and for its copy in another Region: the secret's own name, and the key.
func secretOf(p *perimeter.Pass, s string) string {
	ref, ok := strings.CutPrefix(s, "{{resolve:secretsmanager:")
	if !ok {
		return s
	}
	ref = p.Access.Text(strings.TrimSuffix(ref, "}}"))
	if i := strings.Index(ref, ":secret:"); i >= 0 {
		ref = ref[i+len(":secret:"):]
	}
	name, rest, _ := strings.Cut(ref, ":SecretString:")
	if i := strings.Index(name, "-\x02"); i > 0 && strings.Contains(name[i:], "suffix") {
		name = name[:i]
	}
	return "secret " + name + " " + strings.Trim(rest, ":")
}

// condition is one header condition of a rule.
func headers(r *template.Resource) map[string]*template.Value {
	out := map[string]*template.Value{}
	for _, c := range r.Get("Conditions").List() {
		if c.Get("Field").Is("http-header") {
			out[strings.ToLower(c.Get("HttpHeaderConfig", "HttpHeaderName").String())] = c.Get("HttpHeaderConfig", "Values")
		}
	}
	return out
}

func forwards(actions *template.Value) bool {
	return slices.ContainsFunc(actions.List(), func(a *template.Value) bool { return a.Get("Type").Is("forward") || a.Unknown() })
}

func checkSecret(p *perimeter.Pass) error {
	if len(balancers(p)) == 0 {
		p.Absent("a load balancer with rules")
		return nil
	}
	added, unsure := originHeaders(p)
	for _, l := range p.World.OfType("AWS::ElasticLoadBalancingV2::Listener") {
		if lb := p.World.Of(l.Get("LoadBalancerArn")); lb != nil && !slices.Contains(balancers(p), lb) {
			continue
		}
		p.Tried("what listener %s does with a request that no rule takes", l.ID)
		if a := l.Get("DefaultActions"); a.Unknown() {
			p.Unknown(l, a.Place(l.Pos), "what listener %s does with a request that no rule takes is not known: %s", l.ID, a.Why())
		} else if forwards(a) {
			p.Broken(l, a.Place(l.Pos), "listener %s forwards a request that no rule takes; want a fixed answer", l.ID)
		}
	}
	for _, r := range p.World.OfType("AWS::ElasticLoadBalancingV2::ListenerRule") {
		if !forwards(r.Get("Actions")) {
			continue
		}
		p.Tried("whether rule %s forwards only what carries the distribution's secret", r.ID)
		judgeRule(p, r, added, unsure)
	}
	return nil
}

// judgeRule: of the values that a rule takes, one is what the distribution sends,
// and every other is a secret too (the next one, while the two take turns).
func judgeRule(p *perimeter.Pass, r *template.Resource, added []originHeader, unsure string) {
	hs := headers(r)
	for _, a := range added {
		values := hs[a.name]
		if len(values.List()) == 0 {
			continue
		}
		sent := false
		for _, v := range values.List() {
			got := secretOf(p, v.String())
			sent = sent || got == a.value && !v.Unknown()
			switch {
			case v.Unknown():
				p.Unknown(r, v.Place(r.Pos), "rule %s wants header %s with a value that is not known: %s", r.ID, a.name, v.Why())
			case strings.HasPrefix(got, "secret "), got == a.value && !strings.ContainsAny(got, "*?"):
			case strings.ContainsAny(got, "*?"):
				p.Broken(r, v.Place(r.Pos), "rule %s takes header %s with anything that matches %s, want the secret alone", r.ID, a.name, v.Show())
			default:
				p.Broken(r, v.Place(r.Pos), "rule %s takes header %s with a value that the distribution does not send, and that is no secret", r.ID, a.name)
			}
		}
		switch {
		case sent:
		case unsure != "":
			p.Unknown(r, values.Place(r.Pos), "whether the distribution sends what rule %s wants in %s is not known: %s", r.ID, a.name, unsure)
		default:
			p.Broken(r, values.Place(r.Pos), "rule %s wants another value in header %s than the distribution sends (%s)", r.ID, a.name, a.pos)
		}
		return
	}
	switch {
	case len(p.World.OfType("AWS::CloudFront::Distribution")) == 0:
		p.Unknown(r, r.Pos, "rule %s forwards, and no template here has the distribution whose secret it could want", r.ID)
	case unsure != "":
		p.Unknown(r, r.Pos, "rule %s forwards, and what the distribution sends is not known: %s", r.ID, unsure)
	default:
		p.Broken(r, r.Place("Conditions"), "rule %s forwards without the secret that the distribution sends: whoever reaches the balancer through any distribution passes", r.ID)
	}
}

// checkAdmin judges how a request comes to the admin tier.
func checkAdmin(p *perimeter.Pass) error {
	admins := perimeter.Named(p.Tiers(), plan.Admin)
	fleets := perimeter.Named(p.Tiers(), plan.Fleet)
	if len(admins) == 0 || len(p.World.OfType("AWS::ElasticLoadBalancingV2::ListenerRule")) == 0 {
		p.Absent("an admin tier behind a balancer")
		return nil
	}
	added, _ := originHeaders(p)
	for _, t := range admins {
		if len(t.Rules) == 0 {
			p.Unknown(t.Node.Res, t.Node.Res.Pos, "no rule of a listener forwards to %s", t.Node)
		}
		for _, r := range t.Rules {
			p.Tried("who is forwarded to %s by rule %s", t.Node, r.ID)
			judgeClients(p, r, added)
			judgeOrder(p, r, fleets)
		}
	}
	return nil
}

func judgeClients(p *perimeter.Pass, r *template.Resource, added []originHeader) {
	hs := headers(r)
	for _, a := range added {
		delete(hs, a.name)
	}
	for _, c := range r.Get("Conditions").List() {
		if c.Get("Field").Is("source-ip") && len(p.World.OfType("AWS::CloudFront::Distribution")) > 0 {
			p.Broken(r, c.Place(r.Pos), "rule %s compares the sender's address, which behind CloudFront is one of CloudFront's servers and never the viewer's", r.ID)
			return
		}
	}
	if len(hs) == 0 {
		p.Broken(r, r.Place("Conditions"), "rule %s forwards to the admin tier whoever asks: it has no condition on the client's address", r.ID)
		return
	}
	for name, values := range hs {
		for _, v := range values.List() {
			judgeClient(p, r, name, v)
		}
		judgeOverwritten(p, r, name)
	}
}

func judgeClient(p *perimeter.Pass, r *template.Resource, name string, v *template.Value) {
	s, ok := v.Literal()
	switch {
	case !ok:
		p.Unknown(r, v.Place(r.Pos), "rule %s forwards to the admin tier for a %s that is not known: %s", r.ID, name, v.Show())
	case s == "*" || strings.HasPrefix(s, "0.0.0.0/") || s == "::/0":
		p.Broken(r, v.Place(r.Pos), "rule %s forwards to the admin tier for every %s", r.ID, name)
	case strings.ContainsAny(s, "*?") && !octets().MatchString(s):
		p.Unknown(r, v.Place(r.Pos), "rule %s forwards to the admin tier for every %s that matches %s; whether that is administrators alone is not known", r.ID, name, s)
	case strings.Contains(s, "/"):
		p.Broken(r, v.Place(r.Pos), "rule %s compares %s with the text %q: a header condition knows no ranges, so nobody matches", r.ID, name, s)
	default:
		a, err := netip.ParseAddr(s)
		if err != nil {
			return // a mark that the edge sets for the declared addresses
		}
		if a.Is4() && a.As4()[3] == 0 || a.Is6() && a.As16()[15] == 0 {
			p.Broken(r, v.Place(r.Pos), "rule %s compares %s with %s, the first address of a range whose mask is gone: the range's other addresses are not administrators, and that one is", r.ID, name, s)
		}
	}
}

// octets is a pattern that stands for a range of addresses, as far as a text can.
var octets = lazy.Regexp(`^([0-9]{1,3}\.){1,3}\*$`)

// judgeOrder: the admin rule is tried before the fleet's.
func judgeOrder(p *perimeter.Pass, r *template.Resource, fleets []*perimeter.Tier) {
	mine, ok := r.Get("Priority").Int()
	if !ok {
		p.Unknown(r, r.Place("Priority"), "the priority of rule %s is not known: %s", r.ID, r.Get("Priority").Show())
		return
	}
	for _, f := range fleets {
		for _, other := range f.Rules {
			if n, ok := other.Get("Priority").Int(); ok && n < mine && other.Get("ListenerArn").String() == r.Get("ListenerArn").String() {
				p.Broken(r, r.Place("Priority"), "rule %s (priority %d) comes after %s (priority %d), which takes the administrators' requests first", r.ID, mine, other.ID, n)
			}
		}
	}
}

// judgeOverwritten: on every behaviour that asks the balancer, a function at the
// edge sets the header whatever the viewer sent.
func judgeOverwritten(p *perimeter.Pass, r *template.Resource, name string) {
	if strings.HasPrefix(name, "cloudfront-viewer-") {
		return // CloudFront itself sets these, and drops what a viewer sends under their names
	}
	for _, d := range p.World.OfType("AWS::CloudFront::Distribution") {
		for _, b := range perimeter.Behaviours(d) {
			if perimeter.AsksBucket(d, b.Value) {
				continue
			}
			p.Tried("whether behaviour %s of %s overwrites header %s", b.Path, d.ID, name)
			judgeFunctions(p, r, d, b, name)
		}
	}
}

func judgeFunctions(p *perimeter.Pass, r, d *template.Resource, b perimeter.Behaviour, name string) {
	f, why := perimeter.ViewerRequest(p.World, b.Value)
	switch {
	case why != "":
		p.Unknown(d, b.Value.Place(d.Pos), "what behaviour %s does to the viewer's header %s is not known: %s", b.Path, name, why)
		return
	case f == nil:
		p.Broken(d, b.Value.Place(d.Pos), "behaviour %s sends the viewer's own %s on, by which rule %s chooses the admin tier: no function overwrites it there", b.Path, name, r.ID)
		return
	}
	switch sets, _ := perimeter.FunctionSets(f.Get("FunctionCode").String(), name); sets {
	case template.Maybe:
		p.Unknown(f, f.Place("FunctionCode"), "function %s sets header %s only on some of its ways: whether a viewer's own value can pass is not known", f.ID, name)
	case template.No:
		p.Broken(f, f.Place("FunctionCode"), "function %s does not set header %s, by which rule %s chooses the admin tier", f.ID, name, r.ID)
	}
}
