package perimeter

import (
	"net/http"
	"strings"

	"github.com/ringwall/ringwall/plan"
)

// edgeWall is the number of the outermost wall that stands on CloudFront: up to it,
// what CloudFront or its web ACL refuses is the wall's own refusal.
const edgeWall = 2

// What answered in the place of an instance, on AWS.
const (
	byWebACL     = "the web ACL"
	byCloudFront = "CloudFront"
)

// byCloudFront recognises what CloudFront answered by itself. Every answer of it has
// an id (X-Amz-Cf-Id); those that an instance or the edge function made have ours as
// well, which an app can neither set nor take away. So a page without ours was made
// before: by a rule of the web ACL, which says so in HeaderRefused, by one of AWS's
// rule groups, or by CloudFront, which refuses what is no HTTP for it.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/http-403-permission-denied.html
func (a *Answer) byCloudFront() {
	id := a.Header.Get("X-Amz-Cf-Id")
	if id == "" || a.ID != "" {
		return
	}
	a.ID = id
	switch {
	case a.Header.Get(plan.HeaderRefused) != "":
		a.Edge, a.Class = byWebACL, a.Header.Get(plan.HeaderRefused)
	case a.Status >= 500:
		a.Edge, a.Class = byCloudFront, "CloudFront has no answer of the site"
	case a.Status >= 400 && strings.Contains(a.Body, "Request blocked"):
		a.Edge, a.Class = byWebACL, "refused by one of AWS's rule groups"
	case a.Status >= 400:
		a.Edge, a.Class = byCloudFront, "refused by CloudFront itself"
	case a.Status >= 300 && strings.HasPrefix(a.Header.Get("X-Cache"), "Redirect from cloudfront"):
		a.Edge = byCloudFront
	}
	a.Wall = a.Edge != "" && a.Status >= 400
}

// before says whether the edge refused the request on AWS, so that no wall behind it
// was asked.
func (a *Answer) before() bool {
	return a.Edge != "" && a.Wall && a.Status < http.StatusInternalServerError
}

// Refusal says whether an answer is the refusal of the wall that is judged: with
// this status and class as Answer.Is has them. On AWS the outer walls stand on
// CloudFront, which has statuses and words of its own.
func (t *Target) Refusal(a *Answer, status int, class string) bool {
	return a.Is(status, class) && (a.Edge == "" || t.wall <= edgeWall) || t.wall <= edgeWall && a.before()
}
