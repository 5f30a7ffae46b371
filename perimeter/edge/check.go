package edge

import (
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
)

// checks are the promises that templates keep or break.
var checks = []*perimeter.Control{
	{
		ID:      "edge/waf-complete",
		Doc:     "Every distribution has a web ACL with the mandatory rules, none of them only counting, and keeps a log without credentials in it.",
		Why:     "Attacks pass uninspected, or leave no trace.",
		Vantage: perimeter.Template,
		Check:   checkACL,
		Meets:   []string{"INV-03"},
	},
	{
		ID:      "edge/cache-boundary",
		Doc:     "What depends on who asks is never kept in the cache, or is kept apart for each of them.",
		Why:     "A page made for an administrator is handed to a visitor.",
		Vantage: perimeter.Template,
		Check:   checkCache,
		Meets:   []string{"INV-09"},
	},
}

// capacity is what AWS's managed rule groups cost in web ACL capacity units (WAF
// guide, list of managed rule groups, 2026-11-22).
var capacity = map[string]int{
	"AWSManagedRulesCommonRuleSet": 700, "AWSManagedRulesAdminProtectionRuleSet": 100, "AWSManagedRulesKnownBadInputsRuleSet": 200,
	"AWSManagedRulesSQLiRuleSet": 200, "AWSManagedRulesLinuxRuleSet": 200, "AWSManagedRulesUnixRuleSet": 100,
	"AWSManagedRulesWindowsRuleSet": 200, "AWSManagedRulesPHPRuleSet": 100, "AWSManagedRulesWordPressRuleSet": 100,
	"AWSManagedRulesAmazonIpReputationList": 25, "AWSManagedRulesAnonymousIpList": 50, "AWSManagedRulesBotControlRuleSet": 50,
	"AWSManagedRulesATPRuleSet": 50, "AWSManagedRulesACFPRuleSet": 50, "AWSManagedRulesAntiDDoSRuleSet": 50,
}

// mostCapacity is the most units that a web ACL may have.
const mostCapacity = 5000

func distributions(p *perimeter.Pass) []*template.Resource {
	return p.World.OfType("AWS::CloudFront::Distribution")
}

func checkACL(p *perimeter.Pass) error {
	if len(distributions(p)) == 0 {
		p.Absent("a distribution")
		return nil
	}
	seen := map[*template.Resource]bool{}
	for _, d := range distributions(p) {
		p.Tried("which web ACL inspects what %s takes", d.ID)
		id := d.Get("DistributionConfig", "WebACLId")
		acl := p.World.Of(id)
		switch {
		case id.Absent() || id.Is(""):
			p.Broken(d, d.Place("DistributionConfig"), "distribution %s has no web ACL: nothing inspects its requests", d.ID)
		case acl == nil:
			p.Unknown(d, id.Place(d.Pos), "the web ACL of %s is not in these templates: %s", d.ID, id.Show())
		case !seen[acl]:
			seen[acl] = true
			judgeACL(p, acl)
			judgeLog(p, acl)
		}
	}
	return nil
}

// A cachePolicy is what decides about keeping an answer, and under which key.
type cachePolicy struct {
	name             string
	min, usual, most int
	known            bool
	cookies          names
	headers          names
	pos              template.Pos
}

// names are the parts of a request that are forwarded, or are in the key.
type names struct {
	all  bool
	list []string
}

func (n names) has(s string) bool {
	for _, x := range n.list {
		if strings.EqualFold(x, s) {
			return true
		}
	}
	return n.all
}

// AWS's own cache policies (CloudFront guide, managed cache policies).
var managedCache = map[string]cachePolicy{
	"4135ea2d-6df8-44a3-9df3-4b5a84be39ad": {name: "CachingDisabled", known: true},
	"658327ea-f89d-4fab-a63d-7e88639e58f6": {name: "CachingOptimized", min: 1, usual: 86400, most: 31536000, known: true},
	"b2884449-e4de-46a7-ac36-70bc7f1ddd6d": {name: "CachingOptimizedForUncompressedObjects", min: 1, usual: 86400, most: 31536000, known: true},
	"83da9c7e-98b4-4e11-a168-04f0df8e2c65": {name: "UseOriginCacheControlHeaders", most: 31536000, known: true, cookies: names{all: true}, headers: names{list: []string{"host", "origin", "x-http-method-override", "x-http-method", "x-method-override"}}},
	"4cc15a8a-d715-48a4-82b8-cc0b614638fe": {name: "UseOriginCacheControlHeaders-QueryStrings", most: 31536000, known: true, cookies: names{all: true}, headers: names{list: []string{"host", "origin", "x-http-method-override", "x-http-method", "x-method-override"}}},
}

// AWS's own origin request policies (CloudFront guide).
var managedOrigin = map[string]struct{ cookies, headers names }{
	"216adef6-5c7f-47e4-b989-5492eafa07d3": {names{all: true}, names{all: true}}, // AllViewer
	"b689b0a8-53d0-40ab-baf2-68738e2966ac": {names{all: true}, names{all: true}}, // AllViewerExceptHostHeader
	"33f36d7e-f396-46d9-90e0-52428a34d9dc": {names{all: true}, names{all: true}}, // AllViewerAndCloudFrontHeaders-2022-06
	"acba4595-bd28-49b8-b9fe-13317c0390fa": {},                                   // UserAgentRefererHeaders
	"59781a5b-3903-41f3-afcb-af62929ccde1": {},                                   // CORS-CustomOrigin
	"88a5eaf4-2fd4-4709-b370-b4c650ea3fcf": {},                                   // CORS-S3Origin
}

func checkCache(p *perimeter.Pass) error {
	if len(distributions(p)) == 0 {
		p.Absent("a distribution")
		return nil
	}
	identity := identityHeaders(p)
	for _, d := range distributions(p) {
		for _, b := range perimeter.Behaviours(d) {
			if perimeter.AsksBucket(d, b.Value) {
				p.Tried("behaviour %s of %s, which asks a bucket: its answers are the same for everybody", b.Path, d.ID)
				continue
			}
			p.Tried("what behaviour %s of %s keeps, and under which key", b.Path, d.ID)
			judgeBehaviour(p, d, b, identity)
		}
	}
	return nil
}

// identityHeaders say who asks: those that always do, and those by which a
// balancer's rules choose.
func identityHeaders(p *perimeter.Pass) []string {
	secrets := map[string]bool{}
	for _, d := range distributions(p) {
		for _, o := range d.Get("DistributionConfig", "Origins").List() {
			for _, h := range o.Get("OriginCustomHeaders").List() {
				secrets[strings.ToLower(h.Get("HeaderName").String())] = true
			}
		}
	}
	out := []string{"authorization", "true-client-ip", "x-forwarded-for", "cloudfront-viewer-address"}
	for _, r := range p.World.OfType("AWS::ElasticLoadBalancingV2::ListenerRule") {
		for _, c := range r.Get("Conditions").List() {
			if h := strings.ToLower(c.Get("HttpHeaderConfig", "HttpHeaderName").String()); h != "" && !secrets[h] && !slices.Contains(out, h) {
				out = append(out, h)
			}
		}
	}
	return out
}

func judgeBehaviour(p *perimeter.Pass, d *template.Resource, b perimeter.Behaviour, identity []string) {
	policy, cookies, headers, why := policies(p, b.Value)
	at := b.Value.Place(d.Pos)
	switch {
	case why != "":
		p.Unknown(d, at, "what behaviour %s keeps is not known: %s", b.Path, why)
		return
	case policy.most == 0 && policy.min == 0:
		return
	}
	path := []string{}
	if cookies.all || len(cookies.list) > 0 {
		if !policy.cookies.all && !within(cookies, policy.cookies) {
			path = append(path, "cookies")
		}
	}
	for _, h := range identity {
		if headers.has(h) && !policy.headers.has(h) {
			path = append(path, h)
		}
	}
	if policy.min > 0 && (len(path) > 0 || cookies.all || len(cookies.list) > 0) {
		p.Broken(d, policy.pos, "behaviour %s keeps every answer for %d s at least (MinTTL of %s), even one that the app marks no-store or private", b.Path, policy.min, policy.name)
	}
	if len(path) == 0 {
		return
	}
	if keptApart(p, b, policy) {
		p.Tried("that behaviour %s keeps what is not for everybody under a key of its own", b.Path)
		return
	}
	p.Broken(d, at, "behaviour %s keeps answers for up to %d s and asks the origin with %s, which are not in the cache's key (%s): one viewer's answer is handed to another", b.Path, policy.most, strings.Join(path, ", "), policy.name)
}

// keptApart says whether a function puts every request that is not for everybody
// under a key that no other has: a header of the key that it sets to the request's
// own id, for cookies and for credentials.
func keptApart(p *perimeter.Pass, b perimeter.Behaviour, policy cachePolicy) bool {
	f, _ := perimeter.ViewerRequest(p.World, b.Value)
	if f == nil {
		return false
	}
	code := f.Get("FunctionCode").String()
	for _, h := range policy.headers.list {
		sets, with := perimeter.FunctionSets(code, h)
		if sets == template.Yes && strings.Contains(with, "requestId") && strings.Contains(with, "authorization") && strings.Contains(code, ".cookies") {
			return true
		}
	}
	return false
}

func within(a, b names) bool {
	if a.all {
		return b.all
	}
	for _, x := range a.list {
		if !b.has(x) {
			return false
		}
	}
	return true
}

// policies reads what a behaviour keeps and forwards.
func policies(p *perimeter.Pass, b *template.Value) (c cachePolicy, cookies, headers names, why string) {
	if old := b.Get("ForwardedValues"); !old.Absent() {
		c = cachePolicy{name: "ForwardedValues", known: true, usual: 86400, most: 31536000, pos: old.Pos}
		c.min, c.usual, c.most, why = ttls(b, c)
		switch f := old.Get("Cookies", "Forward"); {
		case f.Is("all"):
			cookies = names{all: true}
		case f.Is("whitelist"):
			cookies = texts(old.Get("Cookies", "WhitelistedNames"))
		}
		headers = texts(old.Get("Headers"))
		if headers.has("*") {
			headers = names{all: true}
		}
		c.cookies, c.headers = cookies, headers
		return c, cookies, headers, why
	}
	id := b.Get("CachePolicyId")
	if r := p.World.Of(id); r != nil {
		c, why = ownCache(r)
	} else if s, ok := id.Literal(); ok {
		if c, ok = managedCache[s]; !ok {
			why = "cache policy " + s + " is not in these templates"
		}
		c.pos = id.Pos
	} else {
		why = "the cache policy is " + id.Show()
	}
	cookies, headers = c.cookies, c.headers
	req := b.Get("OriginRequestPolicyId")
	if req.Absent() || why != "" {
		return c, cookies, headers, why
	}
	if r := p.World.Of(req); r != nil {
		cfg := r.Get("OriginRequestPolicyConfig")
		cookies = cookies.and(behaviour(cfg.Get("CookiesConfig"), "CookieBehavior", "Cookies"))
		headers = headers.and(behaviour(cfg.Get("HeadersConfig"), "HeaderBehavior", "Headers"))
		return c, cookies, headers, cfg.Deep()
	}
	s, _ := req.Literal()
	m, ok := managedOrigin[s]
	if !ok {
		return c, cookies, headers, "the origin request policy is " + req.Show()
	}
	return c, cookies.and(m.cookies), headers.and(m.headers), ""
}

func ownCache(r *template.Resource) (cachePolicy, string) {
	cfg := r.Get("CachePolicyConfig")
	key := cfg.Get("ParametersInCacheKeyAndForwardedToOrigin")
	c := cachePolicy{name: "cache policy " + r.ID, known: true, pos: cfg.Get("MinTTL").Place(r.Pos), usual: 86400, most: 31536000}
	var why string
	c.min, c.usual, c.most, why = ttls(cfg, c)
	c.cookies = behaviour(key.Get("CookiesConfig"), "CookieBehavior", "Cookies")
	c.headers = behaviour(key.Get("HeadersConfig"), "HeaderBehavior", "Headers")
	if why == "" {
		why = key.Deep()
	}
	return c, why
}

// ttls are seconds; what is absent has CloudFront's own default.
func ttls(v *template.Value, c cachePolicy) (min, usual, most int, why string) {
	get := func(name string, or int) int {
		x := v.Get(name)
		if x.Absent() {
			return or
		}
		n, ok := x.Int()
		if !ok {
			why = name + " is " + x.Show()
		}
		return n
	}
	return get("MinTTL", 0), get("DefaultTTL", c.usual), get("MaxTTL", c.most), why
}

func behaviour(v *template.Value, kind, list string) names {
	switch k := v.Get(kind); {
	case k.Is("all"), k.Is("allViewer"), k.Is("allViewerAndWhitelistCloudFront"):
		return names{all: true}
	case k.Is("allExcept"):
		return names{all: true}
	case k.Is("whitelist"):
		return texts(v.Get(list))
	}
	return names{}
}

func texts(v *template.Value) names {
	var n names
	for _, x := range v.List() {
		n.list = append(n.list, x.String())
	}
	return n
}

func (n names) and(m names) names {
	return names{n.all || m.all, append(append([]string{}, n.list...), m.list...)}
}
