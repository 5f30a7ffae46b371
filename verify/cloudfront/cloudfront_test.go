package cloudfront

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/verify"
)

// judged runs controls from the internet.
func (d *distribution) judged(jobs []verify.Job) map[string]perimeter.Result {
	out := map[string]perimeter.Result{}
	verify.Run(d.t.Context(), jobs, d.target(), true, func(r perimeter.Result) { out[r.ID] = r })
	return out
}

func jobsOf(t *testing.T, p *plan.Plan, ids ...string) []verify.Job {
	t.Helper()
	jobs, err := verify.Select(all.Perimeters, ids)
	if err != nil {
		t.Fatal(err)
	}
	outside, _, _ := verify.ForAWS(p, &perimeter.Cloud{}, jobs, false)
	return outside
}

func TestProbesOfCloudFront(t *testing.T) {
	d := newDistribution(t)
	var jobs []verify.Job
	for _, j := range jobsOf(t, d.plan, "network", "edge", "webserver") {
		switch j.Control.ID {
		case "edge/smuggling": // the stand-in's server is Go's, and no proof of CloudFront's
		default:
			jobs = append(jobs, j)
		}
	}
	for id, r := range d.judged(jobs) {
		if r.Verdict != perimeter.Held {
			t.Errorf("%s with all walls up is %s: %s\n  %s", id, r.Verdict, r.Error, strings.Join(r.Evidence, "\n  "))
		}
	}
	all := []string{"AllowedAddresses", "BodySize", "BodiesOfVisitors", "AWSManagedRulesCommonRuleSet", "AWSManagedRulesSQLiRuleSet"}
	for _, c := range []struct {
		id   string
		down down
	}{
		{"edge/waf", down{rules: all}},
		{"edge/waf-sqli", down{rules: []string{"AWSManagedRulesSQLiRuleSet"}}},
		{"edge/waf-xss", down{rules: []string{"AWSManagedRulesCommonRuleSet"}}},
		{"edge/waf-xss", down{rules: []string{"BodiesOfVisitors"}}},
		{"edge/waf-traversal", down{rules: []string{"AWSManagedRulesCommonRuleSet"}}},
		{"edge/waf-rfi", down{rules: []string{"AWSManagedRulesCommonRuleSet"}}},
		{"edge/waf-method", down{function: `if \(!admin && !/\^\(\?:GET[^;]*;`}},
		{"edge/waf-args", down{rules: all}},
		{"edge/body-limit", down{rules: []string{"BodySize", "BodiesOfVisitors"}}},
		{"edge/uri-length", down{long: true, rules: all}},
		{"edge/methods", down{methods: true, function: `if \(!admin && !/\^\(\?:GET[^;]*;`}},
		{"edge/request-id", down{ids: true}},
		{"edge/security-headers", down{headers: true}},
		{"edge/server-headers", down{headers: true}},
		{"edge/viewer-header", down{trusting: true}},
		{"edge/cache-cookies", down{sharedKey: true}},
		{"edge/uncached-paths", down{sharedKey: true, admin: true}},
		{"network/known-host", down{hosts: true, function: `if \(!h\.host[^;]*;`}},
		{"network/https-only", down{plain: true}},
		{"webserver/admin-routes", down{admin: true}},
	} {
		d.take(c.down)
		if r := d.judged(jobsOf(t, d.plan, c.id))[c.id]; r.Verdict != perimeter.Broken {
			t.Errorf("%s with its wall down (%+v) is %v: %s\n  %s", c.id, c.down, r.Verdict, r.Error, strings.Join(r.Evidence, "\n  "))
		}
	}
}

// A viewer whom the site refuses sees nothing that proves anything: no promise is
// held by that.
func TestRefusedViewer(t *testing.T) {
	d := newDistribution(t)
	d.viewer = netip.MustParseAddr("198.51.100.9")
	for id, r := range d.judged(jobsOf(t, d.plan, "edge/waf-sqli", "edge/waf-xss", "edge/body-limit", "webserver/admin-routes", "webserver/denied-files")) {
		if r.Verdict != perimeter.Unknown {
			t.Errorf("%s for a viewer who is refused: got %v, want unknown", id, r.Verdict)
		}
	}
}
