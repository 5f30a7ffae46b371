package edge

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
)

// mandatory are the groups that every web ACL must have; SQL injection where the
// templates have a database.
func mandatory(p *perimeter.Pass) []string {
	out := []string{"AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet"}
	if len(p.World.OfType("AWS::RDS::DBInstance", "AWS::RDS::DBCluster")) > 0 {
		out = append(out, "AWSManagedRulesSQLiRuleSet")
	}
	return out
}

// noLimit is a number of requests in a rate rule's window above which the rule stops
// nobody; WAF itself takes up to two thousand million.
const noLimit = 1_000_000

func judgeACL(p *perimeter.Pass, acl *template.Resource) {
	if s := acl.Get("Scope"); !s.Is("CLOUDFRONT") {
		p.Broken(acl, s.Place(acl.Pos), "web ACL %s has scope %s, and a distribution takes CLOUDFRONT only", acl.ID, s.Show())
	}
	groups := map[string]*template.Value{}
	units, rate, part, last := 0, template.No, "", -1
	rules := acl.Get("Rules").List()
	for _, r := range rules {
		if r.Unknown() {
			p.Unknown(acl, r.Place(acl.Pos), "a rule of web ACL %s is not known: %s", acl.ID, r.Why())
			continue
		}
		g := r.Get("Statement", "ManagedRuleGroupStatement")
		if name := g.Get("Name").String(); !g.Absent() && g.Get("VendorName").Is("AWS") {
			groups[name] = r
			units += capacity[name]
			if n, ok := r.Get("Priority").Int(); ok && slices.Contains(mandatory(p), name) {
				last = max(last, n)
			}
		}
		if !r.Get("Statement", "RateBasedStatement").Absent() {
			units += 2
		}
		t, why := limits(p, r)
		rate, part = rate.Or(t), cmp.Or(part, why)
	}
	for _, name := range mandatory(p) {
		r, ok := groups[name]
		if !ok {
			p.Broken(acl, acl.Place("Rules"), "web ACL %s has no rule group %s%s", acl.ID, name, because(name))
			continue
		}
		judgeGroup(p, acl, name, r, rules)
	}
	for _, r := range rules {
		judgePassing(p, acl, r, last)
	}
	switch rate {
	case template.No:
		p.Broken(acl, acl.Place("Rules"), "web ACL %s has no rate rule that blocks: one client may send without end", acl.ID)
	case template.Maybe:
		p.Unknown(acl, acl.Place("Rules"), "whether web ACL %s stops a client that sends without end is not known: %s", acl.ID, part)
	}
	if units > mostCapacity {
		p.Broken(acl, acl.Place("Rules"), "web ACL %s needs %d capacity units, and WAF takes %d at most", acl.ID, units, mostCapacity)
	}
}

// limits says whether a rule stops whoever sends too much; why is what is not known.
func limits(p *perimeter.Pass, r *template.Value) (t template.Tri, why string) {
	if ref := r.Get("Statement", "RuleGroupReferenceStatement"); !ref.Absent() {
		g := p.World.Of(ref.Get("Arn"))
		if g == nil {
			return template.Maybe, "the rule group " + ref.Get("Arn").Show() + " is not in these templates"
		}
		t = template.No
		for _, x := range g.Get("Rules").List() {
			y, w := limits(p, x)
			t, why = t.Or(y), cmp.Or(why, w)
		}
		return t, why
	}
	rb := r.Get("Statement", "RateBasedStatement")
	if rb.Absent() || r.Get("Action", "Block").Absent() && r.Get("Action", "Challenge").Absent() && r.Get("Action", "Captcha").Absent() {
		return template.No, ""
	}
	n, ok := rb.Get("Limit").Int()
	switch {
	case !ok:
		return template.Maybe, "the limit of rule " + r.Get("Name").Show() + " is " + rb.Get("Limit").Show()
	case n > noLimit:
		return template.No, ""
	case !rb.Get("ScopeDownStatement").Absent():
		return template.Maybe, "rule " + r.Get("Name").Show() + " counts a part of the requests only (ScopeDownStatement)"
	}
	return template.Yes, ""
}

// judgePassing: a rule that allows ends the evaluation, and what it matches is seen by
// no rule behind it.
func judgePassing(p *perimeter.Pass, acl *template.Resource, r *template.Value, last int) {
	if r.Get("Action", "Allow").Absent() {
		return
	}
	if n, ok := r.Get("Priority").Int(); ok && n > last {
		return
	}
	p.Unknown(acl, r.Place(acl.Pos), "rule %s of web ACL %s lets pass what it matches before the mandatory groups see it; whether that may be no template says", r.Get("Name").Show(), acl.ID)
}

func because(group string) string {
	if group == "AWSManagedRulesSQLiRuleSet" {
		return ", and there is a database: injected SQL passes the edge"
	}
	return ""
}

func judgeGroup(p *perimeter.Pass, acl *template.Resource, name string, r *template.Value, rules []*template.Value) {
	if c := r.Get("OverrideAction", "Count"); !c.Absent() {
		p.Broken(acl, c.Place(acl.Pos), "rule group %s of web ACL %s only counts what it should block", name, acl.ID)
	}
	if r.Get("OverrideAction").Unknown() {
		p.Unknown(acl, r.Place(acl.Pos), "whether rule group %s blocks is not known: %s", name, r.Get("OverrideAction").Why())
	}
	g := r.Get("Statement", "ManagedRuleGroupStatement")
	if x := g.Get("ExcludedRules"); len(x.List()) > 0 {
		p.Broken(acl, x.Place(acl.Pos), "%d rules of group %s only count (ExcludedRules)", len(x.List()), name)
	}
	for _, o := range g.Get("RuleActionOverrides").List() {
		judgeOverride(p, acl, name, o, rules)
	}
	if s := g.Get("ScopeDownStatement"); !s.Absent() {
		p.Unknown(acl, s.Place(acl.Pos), "rule group %s looks at a part of the requests only (ScopeDownStatement); whether that is the right part no template says", name)
	}
}

// judgeOverride: a rule of a group may count only where a later rule blocks by its label.
func judgeOverride(p *perimeter.Pass, acl *template.Resource, group string, o *template.Value, rules []*template.Value) {
	rule, at := o.Get("Name").String(), o.Place(acl.Pos)
	switch {
	case o.Unknown() || o.Get("ActionToUse").Unknown():
		p.Unknown(acl, at, "what a rule of group %s does instead of blocking is not known: %s", group, o.Deep())
	case !o.Get("ActionToUse", "Allow").Absent():
		p.Broken(acl, at, "rule %s of group %s lets pass what it should block (RuleActionOverrides)", rule, group)
	case o.Get("ActionToUse", "Count").Absent():
	case slices.ContainsFunc(rules, func(r *template.Value) bool {
		return !r.Get("Action", "Block").Absent() && labelled(r.Get("Statement"), rule)
	}):
		p.Tried("that what rule %s of %s counts is blocked by its label", rule, group)
	case strings.HasPrefix(rule, "SizeRestrictions_"):
		p.Unknown(acl, at, "rule %s of group %s only counts: what is larger than WAF reads passes uninspected, unless something else refuses it", rule, group)
	default:
		p.Broken(acl, at, "rule %s of group %s only counts what it should block (RuleActionOverrides), and no later rule blocks what has its label", rule, group)
	}
}

// labelled says whether a statement looks for the label of a managed rule, whose last
// part is the rule's name in other letters.
func labelled(s *template.Value, rule string) bool {
	if s == nil {
		return false
	}
	key := s.Get("LabelMatchStatement", "Key").String()
	if strings.EqualFold(key[strings.LastIndexByte(key, ':')+1:], rule) {
		return true
	}
	return slices.ContainsFunc(s.Fields, func(f template.Entry) bool { return f.Name != "NotStatement" && labelled(f.Value, rule) }) ||
		slices.ContainsFunc(s.Items, func(v *template.Value) bool { return labelled(v, rule) })
}

func judgeLog(p *perimeter.Pass, acl *template.Resource) {
	for _, l := range p.World.OfType("AWS::WAFv2::LoggingConfiguration") {
		if p.World.Of(l.Get("ResourceArn")) != acl {
			continue
		}
		for _, to := range l.Get("LogDestinationConfigs").List() {
			name := p.Access.Text(to.String())
			if r := p.World.Of(to); r != nil {
				for _, f := range []string{"LogGroupName", "BucketName", "DeliveryStreamName"} {
					if v := r.Get(f); !v.Absent() {
						name = v.String()
					}
				}
			}
			if !strings.Contains(name, "aws-waf-logs-") {
				p.Broken(l, to.Place(l.Pos), "the log of %s goes to %s, whose name does not start with aws-waf-logs-: WAF refuses it", acl.ID, template.Show(name))
			}
		}
		redacted := map[string]bool{}
		for _, f := range l.Get("RedactedFields").List() {
			redacted[strings.ToLower(f.Get("SingleHeader", "Name").String())] = true
		}
		for _, h := range []string{"authorization", "cookie"} {
			if !redacted[h] {
				p.Broken(l, l.Place("RedactedFields"), "the log of %s keeps the %s header: whoever reads the log can be whoever sent it", acl.ID, h)
			}
		}
		judgeFilter(p, acl, l)
		return
	}
	p.Broken(acl, acl.Pos, "web ACL %s has no log: an attack leaves no evidence", acl.ID)
}

// judgeFilter: a filter of the log may leave out what passed, and must keep what was
// blocked.
func judgeFilter(p *perimeter.Pass, acl, l *template.Resource) {
	f := l.Get("LoggingFilter")
	if f.Absent() {
		return
	}
	if why := f.Deep(); why != "" {
		p.Unknown(l, f.Place(l.Pos), "what the log of %s leaves out is not known: %s", acl.ID, why)
		return
	}
	kept := f.Get("DefaultBehavior").Is("KEEP")
	for _, x := range f.Get("Filters").List() {
		conditions := x.Get("Conditions").List()
		blocked := slices.ContainsFunc(conditions, func(c *template.Value) bool { return c.Get("ActionCondition", "Action").Is("BLOCK") })
		if blocked && (len(conditions) == 1 || x.Get("Requirement").Is("MEETS_ANY")) {
			kept = x.Get("Behavior").Is("KEEP")
		}
	}
	if !kept {
		p.Broken(l, f.Place(l.Pos), "the log of %s drops what is blocked: an attack leaves no evidence", acl.ID)
	}
}
