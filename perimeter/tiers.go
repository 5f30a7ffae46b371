package perimeter

import (
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/access"
	"github.com/ringwall/ringwall/internal/reach"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/plan"
)

// A Tier is a group of instances in templates, as far as they can be told.
type Tier struct {
	Name    string // admin or fleet
	Node    *reach.Node
	Role    *access.Principal    // nil: none, or not known
	Targets []*template.Resource // target groups
	Rules   []*template.Resource // listener rules that forward to them
	Profile *template.Value      // the instance profile's reference
}

// Tiers are the templates' instances. Those are admin's whose name, or whose
// target group's name, says admin; all others are the fleet's.
func (p *Pass) Tiers() []*Tier {
	if p.tiers != nil {
		return p.tiers
	}
	for _, n := range p.Reach.Nodes {
		if n.Kind != reach.Instances && n.Kind != reach.Instance && n.Kind != reach.Service {
			continue
		}
		t := &Tier{Name: plan.Fleet, Node: n}
		refs := n.Res.Get("TargetGroupARNs").List()
		for _, lb := range n.Res.Get("LoadBalancers").List() {
			refs = append(refs, lb.Get("TargetGroupArn"))
		}
		for _, v := range refs {
			if r := p.World.Of(v); r != nil {
				t.Targets = append(t.Targets, r)
			}
		}
		for _, g := range p.World.OfType("AWS::ElasticLoadBalancingV2::TargetGroup") {
			for _, x := range g.Get("Targets").List() {
				if p.World.Of(x.Get("Id")) == n.Res && !slices.Contains(t.Targets, g) {
					t.Targets = append(t.Targets, g)
				}
			}
		}
		for _, r := range p.World.OfType("AWS::ElasticLoadBalancingV2::ListenerRule") {
			for _, g := range Forwards(p.World, r.Get("Actions")) {
				if slices.Contains(t.Targets, g) && !slices.Contains(t.Rules, r) {
					t.Rules = append(t.Rules, r)
				}
			}
		}
		names := n.Res.ID
		for _, g := range t.Targets {
			names += " " + g.ID
		}
		if n.Template != nil {
			names += " " + n.Template.ID
			data := n.Template.Get("LaunchTemplateData", "IamInstanceProfile")
			if data.Absent() {
				data = n.Template.Get("IamInstanceProfile")
			}
			t.Profile = data
			for _, v := range []*template.Value{data.Get("Arn"), data.Get("Name"), data} {
				if t.Role = p.Access.Profile(v); t.Role != nil {
					break
				}
			}
		}
		if td := p.World.Of(n.Res.Get("TaskDefinition")); td != nil {
			t.Profile = td.Get("TaskRoleArn")
			t.Role = p.Access.Of(t.Profile)
			names += " " + td.ID
		}
		if strings.Contains(strings.ToLower(names), plan.Admin) {
			t.Name = plan.Admin
		}
		p.tiers = append(p.tiers, t)
	}
	if p.tiers == nil {
		p.tiers = []*Tier{}
	}
	return p.tiers
}

// Named are the tiers of a name.
func Named(ts []*Tier, name string) []*Tier {
	return slices.DeleteFunc(slices.Clone(ts), func(t *Tier) bool { return t.Name != name })
}

// Forwards are the target groups that a list of a listener's actions forwards to.
// The result has a nil where one is not in the templates.
func Forwards(w *template.World, actions *template.Value) []*template.Resource {
	var out []*template.Resource
	for _, a := range actions.List() {
		if v := a.Get("TargetGroupArn"); !v.Absent() {
			out = append(out, w.Of(v))
		}
		for _, g := range a.Get("ForwardConfig", "TargetGroups").List() {
			out = append(out, w.Of(g.Get("TargetGroupArn")))
		}
	}
	return out
}
