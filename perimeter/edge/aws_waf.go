package edge

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/plan"
)

// inspected is how much of a body the web ACL reads, of 16, 32, 48 and 64 KiB. What
// is longer would pass unread (oversize handling CONTINUE), so it is refused for
// visitors.
const inspected = 64 << 10

// A webACL is the web ACL while it is made.
type webACL struct {
	p         *plan.Plan
	s         *cfn.Stacks
	st        *cfn.Stack
	rules     []*res.WAFv2WebACL_Rule
	wcu       int
	adminSets int // how many address sets the administrators have: one per family
}

// example says whether a block is for documentation (RFC 5737, RFC 3849).
func example(b netip.Prefix) bool {
	for _, s := range []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"} {
		if in := netip.MustParsePrefix(s); in.Bits() <= b.Bits() && in.Contains(b.Addr()) {
			return true
		}
	}
	return false
}

// addWebACL adds the web ACL. Its rules, in order: who may ask at all, how often, how much;
// AWS's groups; and what those counted of a visitor's body. Every rule refuses; none
// only counts as a whole.
func addWebACL(p *plan.Plan, s *cfn.Stacks, st *cfn.Stack) (*cfn.Handle, error) {
	w := &webACL{p: p, s: s, st: st}
	if p.Edge.WAF.Off || p.Edge.WAF.DetectOnly {
		s.Note(cfn.Note{Key: "waf", Why: "disabled and detectOnly are for this machine: on AWS the rules refuse"})
	}
	if len(p.Edge.WAF.Exclusions) > 0 {
		s.Note(cfn.Note{Key: "waf.exclusions", Why: "they name rules of the local engine; AWS's groups have others"})
	}
	if a := p.Balancer.Admins; !a.Any && !slices.ContainsFunc(a.Prefixes, func(b netip.Prefix) bool { return !example(b) }) {
		s.Note(cfn.Note{Key: "admins", Why: fmt.Sprint(a.Prefixes) + " are addresses for examples, which nobody has: nobody is an administrator"})
	}
	w.adminSets = len(w.sets("Admins", p.Balancer.Admins))
	if !p.Edge.Allowed.Any {
		allowed := w.sets("Allowed", p.Edge.Allowed)
		w.add("AllowedAddresses", len(allowed), not(anyOf(allowed)), block("address"))
	}
	// A viewer's address is the aggregation key: CloudFront's web ACL sees viewers.
	limit := min(max(p.Network.Rate.PerMinute, 10), 2_000_000_000)
	w.add("Rate", 2, &res.WAFv2WebACL_Statement{RateBasedStatement: &res.WAFv2WebACL_RateBasedStatement{
		AggregateKeyType: cfn.S("IP"), Limit: cfn.I(limit), EvaluationWindowSec: cfn.I(60)}}, block("rate"))
	size := min(p.Edge.MaxBody, inspected)
	if p.Edge.MaxBody > inspected {
		s.Note(cfn.Note{Key: "edge.maxBody", Was: fmt.Sprint(p.Edge.MaxBody), Now: fmt.Sprint(size), Why: "for visitors: the web ACL reads no more of a body, and what it has not read does not pass; reading more than 16 KiB costs extra"})
	}
	w.add("BodySize", 1+w.adminSets, and(&res.WAFv2WebACL_Statement{SizeConstraintStatement: &res.WAFv2WebACL_SizeConstraintStatement{
		FieldToMatch: body(), ComparisonOperator: cfn.S("GT"), Size: cfn.N(float64(size)), TextTransformations: noTransformation()}}, not(w.admins())), block("size"))
	list, notes, err := ruleGroups(p)
	if err != nil {
		return nil, err
	}
	for _, n := range notes {
		s.Note(n)
	}
	for _, name := range list {
		g := managedGroups[name]
		w.wcu += g.wcu
		w.rules = append(w.rules, &res.WAFv2WebACL_Rule{Name: cfn.S(name), Priority: cfn.I(len(w.rules)), VisibilityConfig: visible(name),
			OverrideAction: &res.WAFv2WebACL_OverrideAction{None: cfn.M{}},
			Statement:      &res.WAFv2WebACL_Statement{ManagedRuleGroupStatement: w.group(name)}})
		if g.fee {
			s.Note(cfn.Note{Key: "edge.managedRules", Now: name, Why: "it costs extra"})
		}
	}
	if found := labels(list); len(found) > 0 {
		var each []*res.WAFv2WebACL_Statement
		for _, l := range found {
			each = append(each, &res.WAFv2WebACL_Statement{LabelMatchStatement: &res.WAFv2WebACL_LabelMatchStatement{Scope: cfn.S("LABEL"), Key: cfn.S(l)}})
		}
		w.add("BodiesOfVisitors", len(each)+w.adminSets, and(anyOf(each), not(w.admins())), block("content"))
	}
	if w.wcu > maxWCU {
		return nil, fmt.Errorf("edge.managedRules: got groups of %d capacity units together with our own rules, want %d at most; leave some out", w.wcu, maxWCU)
	}
	why := fmt.Sprintf("%d capacity units of %d; above %d every request costs more", w.wcu, maxWCU, stepWCU)
	if w.wcu > stepWCU {
		why = fmt.Sprintf("%d capacity units are above %d: every request costs more (docs: AWS WAF pricing)", w.wcu, stepWCU)
	}
	s.Note(cfn.Note{Key: "edge.managedRules", Now: fmt.Sprintf("%d rules", len(w.rules)), Why: why})
	bodies := map[string]*res.WAFv2WebACL_CustomResponseBody{}
	for name, pg := range pages {
		bodies[name] = &res.WAFv2WebACL_CustomResponseBody{ContentType: cfn.S("APPLICATION_JSON"), Content: cfn.S(fmt.Sprintf(`{"class":%q,"status":%d}`, pg.class, pg.status))}
	}
	acl := st.Add("WebACL", &res.WAFv2WebACL{
		Name: cfn.S(p.Site()), Scope: cfn.S("CLOUDFRONT"), Description: cfn.S("What the edge of " + p.Site() + " refuses."),
		DefaultAction: &res.WAFv2WebACL_DefaultAction{Allow: &res.WAFv2WebACL_AllowAction{}},
		Rules:         w.rules, VisibilityConfig: visible(p.Site()),
		CustomResponseBodies: bodies,
		AssociationConfig: &res.WAFv2WebACL_AssociationConfig{RequestBody: map[string]*res.WAFv2WebACL_RequestBodyAssociatedResourceTypeConfig{
			"CLOUDFRONT": {DefaultSizeInspectionLimit: cfn.S("KB_64")}}},
	}, cfn.Metadata("Ringwall", cfn.M{"WCU": w.wcu}))
	s.Provide(plan.RefWebACL, st, acl.Att("Arn"))
	return acl, nil
}

func (w *webACL) add(name string, wcu int, s *res.WAFv2WebACL_Statement, action *res.WAFv2WebACL_BlockAction) {
	w.wcu += wcu
	w.rules = append(w.rules, &res.WAFv2WebACL_Rule{Name: cfn.S(name), Priority: cfn.I(len(w.rules)), VisibilityConfig: visible(name), Statement: s, Action: &res.WAFv2WebACL_RuleAction{Block: action}})
}

// sets adds the address sets of a list, one for each family that it has, and gives
// a statement for each.
func (w *webACL) sets(name string, m plan.Match) (out []*res.WAFv2WebACL_Statement) {
	for _, f := range []struct {
		suffix, version string
		four            bool
	}{{"4", "IPV4", true}, {"6", "IPV6", false}} {
		var list []string
		for _, p := range m.Prefixes {
			if p.Addr().Unmap().Is4() == f.four {
				for _, q := range blocksOf(p) {
					list = append(list, q.String())
				}
			}
		}
		if len(list) == 0 {
			continue
		}
		slices.Sort(list)
		id := name + f.suffix
		h := w.st.Find(id)
		if h == nil {
			h = w.st.Add(id, &res.WAFv2IPSet{Name: cfn.S(w.p.Site() + "-" + name + f.suffix), Scope: cfn.S("CLOUDFRONT"), IPAddressVersion: cfn.S(f.version), Addresses: cfn.Strs(slices.Compact(list)...)})
		}
		out = append(out, &res.WAFv2WebACL_Statement{IPSetReferenceStatement: &res.WAFv2WebACL_IPSetReferenceStatement{Arn: h.Att("Arn")}})
	}
	return out
}

// blocksOf writes a block as address sets take it: /1 to /32 and /1 to /128, IPv4
// in its own family.
func blocksOf(p netip.Prefix) []netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	if p.Bits() > 0 {
		return []netip.Prefix{p}
	}
	high := p.Addr().AsSlice()
	high[0] = 0x80
	other, _ := netip.AddrFromSlice(high)
	return []netip.Prefix{netip.PrefixFrom(p.Addr(), 1), netip.PrefixFrom(other, 1)}
}

// admins matches viewers from the administrators' addresses.
func (w *webACL) admins() *res.WAFv2WebACL_Statement {
	return anyOf(w.sets("Admins", w.p.Balancer.Admins))
}

func not(s *res.WAFv2WebACL_Statement) *res.WAFv2WebACL_Statement {
	return &res.WAFv2WebACL_Statement{NotStatement: &res.WAFv2WebACL_NotStatement{Statement: s}}
}

func and(list ...*res.WAFv2WebACL_Statement) *res.WAFv2WebACL_Statement {
	return &res.WAFv2WebACL_Statement{AndStatement: &res.WAFv2WebACL_AndStatement{Statements: list}}
}

func anyOf(list []*res.WAFv2WebACL_Statement) *res.WAFv2WebACL_Statement {
	if len(list) == 1 {
		return list[0]
	}
	return &res.WAFv2WebACL_Statement{OrStatement: &res.WAFv2WebACL_OrStatement{Statements: list}}
}

func body() *res.WAFv2WebACL_FieldToMatch {
	return &res.WAFv2WebACL_FieldToMatch{Body: &res.WAFv2WebACL_Body{OversizeHandling: cfn.S("MATCH")}}
}

func noTransformation() []*res.WAFv2WebACL_TextTransformation {
	return []*res.WAFv2WebACL_TextTransformation{{Priority: cfn.I(0), Type: cfn.S("NONE")}}
}

// pages are what the rules of ours answer: the words are the edge's own on this
// machine. A page of a web ACL cannot name its request, so a header says whose it is.
var pages = map[string]struct {
	status int
	class  string
}{
	"address": {403, classAllow}, "rate": {429, "too many requests from your address"},
	"size": {413, "the request's body is too large"}, "content": {403, "the request looks like an attack"},
}

func block(name string) *res.WAFv2WebACL_BlockAction {
	page := pages[name]
	r := &res.WAFv2WebACL_CustomResponse{ResponseCode: cfn.I(page.status), CustomResponseBodyKey: cfn.S(name),
		ResponseHeaders: []*res.WAFv2WebACL_CustomHTTPHeader{{Name: cfn.S("Cache-Control"), Value: cfn.S("no-store")}, {Name: cfn.S(plan.HeaderRefused), Value: cfn.S(page.class)}}}
	if page.status == 429 {
		r.ResponseHeaders = append(r.ResponseHeaders, &res.WAFv2WebACL_CustomHTTPHeader{Name: cfn.S("Retry-After"), Value: cfn.S("60")})
	}
	return &res.WAFv2WebACL_BlockAction{CustomResponse: r}
}

func visible(name string) *res.WAFv2WebACL_VisibilityConfig {
	// Samples hold headers in clear, cookies and authorization with them.
	return &res.WAFv2WebACL_VisibilityConfig{CloudWatchMetricsEnabled: cfn.B(true), MetricName: cfn.S(name), SampledRequestsEnabled: cfn.B(false)}
}
