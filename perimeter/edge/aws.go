package edge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/plan"
)

// maxBehaviours is how many path patterns a distribution has at most. What is
// beyond is kept out of the cache by the function alone.
const maxBehaviours = 24

// synth adds the edge: a distribution whose web ACL, functions and policies hold on
// every path. It belongs to one Region, whatever the site's own is.
func synth(p *plan.Plan, s *cfn.Stacks) error {
	st := s.Stack(plan.StackCDN)
	e := &edgeStack{p: p, s: s, st: st}
	if err := e.functions(); err != nil {
		return err
	}
	acl, err := addWebACL(p, s, st)
	if err != nil {
		return err
	}
	e.policies()
	key := e.logsKey()
	d := st.Add("Distribution", &res.CloudFrontDistribution{DistributionConfig: &res.CloudFrontDistribution_DistributionConfig{
		Comment: cfn.S("Edge of " + p.Site() + "."), Enabled: cfn.B(true), HttpVersion: cfn.S("http2and3"), IPV6Enabled: cfn.B(true),
		Aliases:  cfn.Strs(e.aliases()...),
		WebACLId: acl.Att("Arn"),
		ViewerCertificate: &res.CloudFrontDistribution_ViewerCertificate{
			AcmCertificateArn: s.Use(plan.RefEdgeCertificate, st), SslSupportMethod: cfn.S("sni-only"), MinimumProtocolVersion: cfn.S("TLSv1.2_2021"),
		},
		Origins:              []*res.CloudFrontDistribution_Origin{e.origin()},
		DefaultCacheBehavior: e.behaviour(p.Edge.Cache.Off || slices.ContainsFunc(p.Edge.Cache.Uncached, everything)),
		CacheBehaviors:       e.behaviours(),
		CustomErrorResponses: neverStored(),
	}})
	s.Provide(plan.RefDistribution, st, d.Ref())
	s.Provide(plan.RefDistributionDomain, st, d.Att("DomainName"))
	st.Output("DistributionId", "distribution of the site", d.Ref())
	e.logs(acl, d, key)
	return nil
}

// An edgeStack is the edge's stack while it is made.
type edgeStack struct {
	p                           *plan.Plan
	s                           *cfn.Stacks
	st                          *cfn.Stack
	request, response           *cfn.Handle
	cached, uncached, all, head *cfn.Handle
}

func (e *edgeStack) aliases() (out []string) {
	for _, h := range e.p.PublicHosts() {
		if e.p.Network.InZone(h) {
			out = append(out, h)
		}
	}
	return out
}

func (e *edgeStack) functions() error {
	f, err := NewFunctions(e.p)
	if err != nil {
		return err
	}
	if !f.KeepsOthers && !e.p.Edge.Allowed.Any {
		e.s.Note(cfn.Note{Key: "allowed", Why: fmt.Sprintf("%d blocks are more than the edge function holds: the web ACL alone refuses others", len(e.p.Edge.Allowed.Prefixes))})
	}
	add := func(id, name, code, about string) *cfn.Handle {
		return e.st.Add(id, &res.CloudFrontFunction{
			Name: cfn.S(e.p.Site() + "-" + name), AutoPublish: cfn.B(true), FunctionCode: cfn.S(code),
			FunctionConfig: &res.CloudFrontFunction_FunctionConfig{Comment: cfn.S(about), Runtime: cfn.S("cloudfront-js-2.0")},
		})
	}
	e.request = add("RequestFunction", "request", f.Request, "Says who asks, and from which tier the answer comes.")
	e.response = add("ResponseFunction", "response", f.Response, "Gives every answer its own id.")
	return nil
}

// policies are three: what is stored, and under which key; what is never stored;
// and what the origin is told.
//
// The key has everything an answer may depend on that tells viewers apart: cookies
// (those that the function lets through), authorization, the tier, and the header
// that the function gives a value of its own to whatever is not for everybody. The
// least time is 0: with more, CloudFront stores even what says no-store.
func (e *edgeStack) policies() {
	p, c := e.p, e.p.Edge.Cache
	if c.MinTTL > 0 {
		e.s.Note(cfn.Note{Key: "cache.minTTL", Was: c.MinTTL.String(), Now: "0s", Why: "CloudFront would store what says no-store or private for that long"})
	}
	if !c.Off && !slices.ContainsFunc(c.Uncached, everything) {
		e.cached = e.st.Add("CachePolicy", &res.CloudFrontCachePolicy{CachePolicyConfig: &res.CloudFrontCachePolicy_CachePolicyConfig{
			Name: cfn.S(p.Site() + "-public"), Comment: cfn.S("Answers for everybody."), MinTTL: cfn.N(0), DefaultTTL: cfn.N(c.DefaultTTL.Seconds()), MaxTTL: cfn.N(max(c.MaxTTL, c.DefaultTTL).Seconds()),
			ParametersInCacheKeyAndForwardedToOrigin: &res.CloudFrontCachePolicy_ParametersInCacheKeyAndForwardedToOrigin{
				EnableAcceptEncodingBrotli: cfn.B(true), EnableAcceptEncodingGzip: cfn.B(true),
				CookiesConfig:      &res.CloudFrontCachePolicy_CookiesConfig{CookieBehavior: cfn.S("all")},
				HeadersConfig:      &res.CloudFrontCachePolicy_HeadersConfig{HeaderBehavior: cfn.S("whitelist"), Headers: cfn.Strs("Authorization", "Host", "Origin", plan.HeaderStore, plan.HeaderTier)},
				QueryStringsConfig: &res.CloudFrontCachePolicy_QueryStringsConfig{QueryStringBehavior: cfn.S("all")},
			},
		}})
	}
	e.uncached = e.st.Add("NoCachePolicy", &res.CloudFrontCachePolicy{CachePolicyConfig: &res.CloudFrontCachePolicy_CachePolicyConfig{
		Name: cfn.S(p.Site() + "-never"), Comment: cfn.S("Answers for one viewer."), MinTTL: cfn.N(0), DefaultTTL: cfn.N(0), MaxTTL: cfn.N(0),
		ParametersInCacheKeyAndForwardedToOrigin: &res.CloudFrontCachePolicy_ParametersInCacheKeyAndForwardedToOrigin{
			EnableAcceptEncodingGzip: cfn.B(false), EnableAcceptEncodingBrotli: cfn.B(false),
			CookiesConfig:      &res.CloudFrontCachePolicy_CookiesConfig{CookieBehavior: cfn.S("none")},
			HeadersConfig:      &res.CloudFrontCachePolicy_HeadersConfig{HeaderBehavior: cfn.S("none")},
			QueryStringsConfig: &res.CloudFrontCachePolicy_QueryStringsConfig{QueryStringBehavior: cfn.S("none")},
		},
	}})
	e.all = e.st.Add("OriginPolicy", &res.CloudFrontOriginRequestPolicy{OriginRequestPolicyConfig: &res.CloudFrontOriginRequestPolicy_OriginRequestPolicyConfig{
		Name: cfn.S(p.Site() + "-all"), Comment: cfn.S("What the function lets through."),
		CookiesConfig:      &res.CloudFrontOriginRequestPolicy_CookiesConfig{CookieBehavior: cfn.S("all")},
		HeadersConfig:      &res.CloudFrontOriginRequestPolicy_HeadersConfig{HeaderBehavior: cfn.S("allViewer")},
		QueryStringsConfig: &res.CloudFrontOriginRequestPolicy_QueryStringsConfig{QueryStringBehavior: cfn.S("all")},
	}})
	security := &res.CloudFrontResponseHeadersPolicy_SecurityHeadersConfig{
		StrictTransportSecurity: &res.CloudFrontResponseHeadersPolicy_StrictTransportSecurity{AccessControlMaxAgeSec: cfn.I(31536000), IncludeSubdomains: cfn.B(false), Override: cfn.B(true)},
		ContentTypeOptions:      &res.CloudFrontResponseHeadersPolicy_ContentTypeOptions{Override: cfn.B(true)},
		FrameOptions:            &res.CloudFrontResponseHeadersPolicy_FrameOptions{FrameOption: cfn.S(sameOrigin[0]), Override: cfn.B(false)},
		ReferrerPolicy:          &res.CloudFrontResponseHeadersPolicy_ReferrerPolicy{ReferrerPolicy: cfn.S(referrer[0]), Override: cfn.B(false)},
	}
	headers := &res.CloudFrontResponseHeadersPolicy_ResponseHeadersPolicyConfig{
		Name: cfn.S(p.Site() + "-security"), Comment: cfn.S("Tells browsers how to defend the site."), SecurityHeadersConfig: security,
		CustomHeadersConfig: &res.CloudFrontResponseHeadersPolicy_CustomHeadersConfig{Items: []*res.CloudFrontResponseHeadersPolicy_CustomHeader{
			{Header: cfn.S("Permissions-Policy"), Value: cfn.S(permissions[0]), Override: cfn.B(false)}}},
		RemoveHeadersConfig: &res.CloudFrontResponseHeadersPolicy_RemoveHeadersConfig{},
	}
	for _, h := range []string{"Server", "X-Powered-By", "X-AspNet-Version", "X-AspNetMvc-Version", "X-Generator"} {
		headers.RemoveHeadersConfig.Items = append(headers.RemoveHeadersConfig.Items, &res.CloudFrontResponseHeadersPolicy_RemoveHeader{Header: cfn.S(h)})
	}
	e.head = e.st.Add("HeadersPolicy", &res.CloudFrontResponseHeadersPolicy{ResponseHeadersPolicyConfig: headers})
}

const originID = "balancer"

// origin is the balancer: inside the VPC, where CloudFront has an interface of its
// own, or at a public address. Either way it is shown the origin secret.
func (e *edgeStack) origin() *res.CloudFrontDistribution_Origin {
	o := &res.CloudFrontDistribution_Origin{
		Id: cfn.S(originID), DomainName: e.s.Use(plan.RefBalancerDNS, e.st), ConnectionAttempts: cfn.I(3), ConnectionTimeout: cfn.I(5),
		OriginCustomHeaders: []*res.CloudFrontDistribution_OriginCustomHeader{{HeaderName: cfn.S(plan.HeaderSecret),
			HeaderValue: cfn.S(plan.OriginSecretValue(e.p.Site()))}},
	}
	if e.p.AWS.Balancer == plan.BalancerPublic {
		o.CustomOriginConfig = &res.CloudFrontDistribution_CustomOriginConfig{
			OriginProtocolPolicy: cfn.S("https-only"), HTTPSPort: cfn.I(443), OriginSSLProtocols: cfn.Strs("TLSv1.2"), OriginReadTimeout: cfn.I(60), OriginKeepaliveTimeout: cfn.I(30),
		}
		return o
	}
	inside := e.st.Add("VpcOrigin", &res.CloudFrontVpcOrigin{VpcOriginEndpointConfig: &res.CloudFrontVpcOrigin_VpcOriginEndpointConfig{
		Name: cfn.S(e.p.Site()), Arn: e.s.Use(plan.RefBalancer, e.st), OriginProtocolPolicy: cfn.S("https-only"), HTTPPort: cfn.I(80), HTTPSPort: cfn.I(443), OriginSSLProtocols: cfn.Strs("TLSv1.2"),
	}})
	o.VpcOriginConfig = &res.CloudFrontDistribution_VpcOriginConfig{VpcOriginId: inside.Ref(), OriginReadTimeout: cfn.I(60), OriginKeepaliveTimeout: cfn.I(30)}
	return o
}

// everything says whether a pattern keeps every path out of the cache.
func everything(pattern string) bool { return strings.Trim(pattern, "*") == "" || pattern == "/*" }

// behaviours are those of the paths that are never stored. CloudFront matches the
// path as it was sent, and no query: other spellings, and patterns of queries, are
// the function's, which gives them a key of their own.
func (e *edgeStack) behaviours() (out []*res.CloudFrontDistribution_CacheBehavior) {
	if e.cached == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, pattern := range e.p.Edge.Cache.Uncached {
		if !pathPattern().MatchString(pattern) || seen[pattern] {
			continue
		}
		seen[pattern] = true
		if len(out) == maxBehaviours {
			e.s.Note(cfn.Note{Key: "cache.uncached", Why: fmt.Sprintf("more than %d patterns: the rest is kept out of the cache by the edge function alone", maxBehaviours)})
			break
		}
		d := e.behaviour(true)
		out = append(out, &res.CloudFrontDistribution_CacheBehavior{
			PathPattern: cfn.S(pattern), TargetOriginId: d.TargetOriginId, ViewerProtocolPolicy: d.ViewerProtocolPolicy, AllowedMethods: d.AllowedMethods, CachedMethods: d.CachedMethods,
			Compress: d.Compress, CachePolicyId: d.CachePolicyId, OriginRequestPolicyId: d.OriginRequestPolicyId, ResponseHeadersPolicyId: d.ResponseHeadersPolicyId, FunctionAssociations: d.FunctionAssociations,
		})
	}
	return out
}

// pathPattern is what CloudFront takes for one, without ?, which stands for a
// character there and for a query in a plan.
var pathPattern = lazy.Regexp(`^[A-Za-z0-9_.*$/~"'@:+&-]{1,255}$`)

func (e *edgeStack) behaviour(never bool) *res.CloudFrontDistribution_DefaultCacheBehavior {
	policy := e.cached
	if never || policy == nil {
		policy = e.uncached
	}
	function := func(event string, h *cfn.Handle) *res.CloudFrontDistribution_FunctionAssociation {
		return &res.CloudFrontDistribution_FunctionAssociation{EventType: cfn.S(event), FunctionARN: h.Att("FunctionARN")}
	}
	return &res.CloudFrontDistribution_DefaultCacheBehavior{
		TargetOriginId: cfn.S(originID), ViewerProtocolPolicy: cfn.S("redirect-to-https"), Compress: cfn.B(true),
		AllowedMethods: cfn.Strs("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"), CachedMethods: cfn.Strs("GET", "HEAD"),
		CachePolicyId: policy.Ref(), OriginRequestPolicyId: e.all.Ref(), ResponseHeadersPolicyId: e.head.Ref(),
		FunctionAssociations: []*res.CloudFrontDistribution_FunctionAssociation{function("viewer-request", e.request), function("viewer-response", e.response)},
	}
}

// neverStored keeps errors out of the cache, which CloudFront stores for ten
// seconds otherwise, whatever they say.
func neverStored() (out []*res.CloudFrontDistribution_CustomErrorResponse) {
	for _, code := range []int{400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504} {
		out = append(out, &res.CloudFrontDistribution_CustomErrorResponse{ErrorCode: cfn.I(code), ErrorCachingMinTTL: cfn.N(0)})
	}
	return out
}
