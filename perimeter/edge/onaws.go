package edge

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

var (
	twoPlaces = perimeter.NotOnAWS("it compares an administrator's request with a visitor's, and deploy stands at one address; check reads the rules for both in the templates (edge/cache-boundary, edge/waf-complete)")
	noGroup   = perimeter.NotOnAWS("it is a promise of the rules on this machine: AWS documents no rule of its groups for it")
)

// A documented class is an attack that AWS says one of its rule groups refuses, with
// AWS's own examples.
// https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-list.html
type documented struct {
	group    string
	payloads []string
}

var documentedClasses = map[string]documented{
	"edge/waf-sqli":      {groupSQLi, []string{"1 UNION SELECT password FROM users--", "1' OR '1'='1"}},
	"edge/waf-xss":       {groupCommon, []string{`<script>alert("hello")</script>`}},
	"edge/waf-traversal": {groupCommon, []string{"../../../../etc/passwd"}},
	"edge/waf-rfi":       {groupCommon, []string{"http://192.0.2.1/x.txt"}},
	"edge/waf-command":   {"AWSManagedRulesUnixRuleSet", []string{"echo $HOME", "echo $PATH"}},
	"edge/waf-php":       {"AWSManagedRulesPHPRuleSet", []string{"fsockopen('192.0.2.1')", "$_GET[x]"}},
}

// placesOnAWS are those parts of a request that the groups read: values of the
// query, and bodies. They read no parameter's name, and no header that browsers set.
func placesOnAWS() []place {
	return slices.DeleteFunc(slices.Clone(places), func(p place) bool { return p.name == "a parameter's name" })
}

// groupsOnAWS is a class of attacks as AWS's groups refuse it. Which group it was
// cannot be told from outside; that it was one can, and the attack has no other
// reason to be refused.
func groupsOnAWS(id string) *perimeter.AWS {
	if id == "edge/waf-method" {
		return nil // the edge function's, with the same words as here
	}
	d, ok := documentedClasses[id]
	if !ok {
		return noGroup
	}
	return &perimeter.AWS{
		Not: func(p *plan.Plan, _ *perimeter.Cloud) string {
			if list, _, err := ruleGroups(p); err == nil && !slices.Contains(list, d.group) {
				return "the plan's own list of rule groups has none for it, so its web ACL lets such an attack pass; add " + d.group + " to edge.managedRules"
			}
			return ""
		},
		Probe: func(ctx context.Context, t *perimeter.Target) error {
			return t.Refuses(ctx, t.Asker(plan.Internet), []perimeter.Request{{}, query("notice"), parts("notice")}, attacksOnAWS(d.payloads))
		},
	}
}

func attacksOnAWS(payloads []string) (out []perimeter.Attack) {
	for _, v := range payloads {
		for _, p := range placesOnAWS() {
			if p.name == "a JSON body" && strings.Contains(v, `"`) {
				continue // it would be no JSON
			}
			out = append(out, perimeter.Attack{Name: fmt.Sprintf("%s in %s", v, p.name), Request: p.with(v), Status: http.StatusForbidden})
		}
	}
	return out
}

func probeWAFOnAWS(ctx context.Context, t *perimeter.Target) error {
	return t.Refuses(ctx, t.Asker(plan.Internet), harmless(), attacksOnAWS([]string{"<script>alert(1)</script> ../../../../etc/passwd"}))
}

// probeBodyOnAWS sends all of a body that is larger than the web ACL reads: it
// judges what it has read, so that the length alone gets no answer.
func probeBodyOnAWS(ctx context.Context, t *perimeter.Target) error {
	most := min(t.Plan.Edge.MaxBody, inspected)
	form := []string{"Content-Type: application/x-www-form-urlencoded"}
	return t.Refuses(ctx, t.Asker(plan.Internet), []perimeter.Request{{Method: "POST", URI: probePath, Body: "q=hello", Header: form}}, []perimeter.Attack{{
		Name:   fmt.Sprintf("a form of %d bytes", most+1),
		Status: http.StatusRequestEntityTooLarge, Class: "the request's body is too large",
		Request: perimeter.Request{Method: "POST", URI: probePath, Header: form, Body: "q=" + strings.Repeat("a", int(most)-1)}}})
}

// strangerOnAWS asks from an instance: what it sends through NAT has an address that
// is on no list of the site's.
var strangerOnAWS = &perimeter.AWS{Tier: plan.Admin, Try: func(p *plan.Plan, _ *perimeter.Cloud, s *perimeter.Script) {
	t := p.Tier(plan.Admin)
	if t == nil || !perimeter.FetchesOnAWS(p, *t) {
		s.Add("say unclear 'ask from an address that is not on the list' 'no instance may ask the internet, and nobody else of ours has another address'")
		return
	}
	s.Reaches("the site", perimeter.Word(p.Network.Host), 443)
	s.Add(`stranger() { # HEADER: works where the site does not refuse, and fails with its words
  page=$(curl -sS -m 15 -H 'Accept: application/json' -H "$1" -w '\n%%{http_code}\n' %s) || return
  case $page in *%s*403) echo "403: %s" >&2; return 1 ;; esac
  case $page in *[45][0-9][0-9]) echo "$page" | tail -n 1 >&2; return 1 ;; esac
}`, perimeter.Word("https://"+p.Network.Host+"/"), perimeter.Word(classAllow), classAllow)
	s.Denied("403: "+classAllow, "a request from an address that is not on the list", "stranger 'X-Ringwall-Probe: 1'")
	visitor := p.Network.Visitor.String()
	for _, h := range []string{"X-Forwarded-For", plan.HeaderViewer, "True-Client-IP"} {
		s.Denied("403: "+classAllow, "the same, with "+h+" of one that is", "stranger "+perimeter.Word(h+": "+visitor))
	}
}}
