package edge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

const (
	probePath = "/ringwall-probe" // no app has it
	formBody  = "Content-Type: application/x-www-form-urlencoded"
	jsonBody  = "Content-Type: application/json"
	partsBody = "Content-Type: multipart/form-data; boundary=ringwallprobe"
)

// A place is a part of a request that can carry an attack.
type place struct {
	name string
	with func(payload string) perimeter.Request
}

func query(v string) perimeter.Request {
	return perimeter.Request{URI: probePath + "?q=" + url.QueryEscape(v)}
}

func parts(v string) perimeter.Request {
	return perimeter.Request{Method: "POST", URI: probePath, Header: []string{partsBody},
		Body: "--ringwallprobe\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n" + v + "\r\n--ringwallprobe--\r\n"}
}

// places are where every attack is tried; headers are where some are.
var places = []place{
	{"a query", query},
	{"a parameter's name", func(v string) perimeter.Request {
		return perimeter.Request{URI: probePath + "?" + url.QueryEscape(v) + "=1"}
	}},
	{"a form", func(v string) perimeter.Request {
		return perimeter.Request{Method: "POST", URI: probePath, Header: []string{formBody}, Body: "a=1&q=" + url.QueryEscape(v)}
	}},
	{"a chunked form", func(v string) perimeter.Request {
		return perimeter.Request{Method: "POST", URI: probePath, Header: []string{formBody}, Body: "a=1&q=" + url.QueryEscape(v), Chunked: true}
	}},
	{"a JSON body", func(v string) perimeter.Request {
		return perimeter.Request{Method: "POST", URI: probePath, Header: []string{jsonBody}, Body: `{"a":{"q":["` + v + `"]}}`}
	}},
	{"a form with parts", parts},
}

var headers = []place{
	{"a cookie", func(v string) perimeter.Request {
		return perimeter.Request{URI: probePath, Header: []string{"Cookie: q=" + url.QueryEscape(v)}}
	}},
	{"the browser's name", func(v string) perimeter.Request {
		return perimeter.Request{URI: probePath, Header: []string{"User-Agent: " + v}}
	}},
	{"the referrer", func(v string) perimeter.Request {
		return perimeter.Request{URI: probePath, Header: []string{"Referer: " + v}}
	}},
}

// A wafProbe is one class of attack: a payload for every place, and requests of
// their own. Each trips rules of its own class only, so that the class is what
// refuses it.
type wafProbe struct {
	id, doc, why string
	payload      string
	headers      bool // the payload is tried in every place, headers too
	more         []string
	requests     []perimeter.Request
}

var wafProbes = []wafProbe{
	{id: "edge/waf-sqli", doc: "SQL injections are refused, wherever in a request they are.", why: "A search field would read or change the whole database.",
		payload: "1 UNION SELECT password FROM users--", headers: true, more: []string{"1' OR '1'='1", "1; DROP TABLE users--", "1 AND SLEEP(5)"}},
	{id: "edge/waf-xss", doc: "Script injections are refused, wherever in a request they are.", why: "A comment would act in the name of everyone who reads it.",
		payload: "<script>alert(1)</script>", headers: true, more: []string{"<img src=x onerror=alert(1)>", "javascript:alert(1)", "<svg/onload=alert(1)>"}},
	{id: "edge/waf-traversal", doc: "Attempts to read the server's files are refused.", why: "A parameter that names a file would name any file.",
		payload: "../../../../ringwall-probe", more: []string{"..%2f..%2f..%2fringwall-probe", `..\..\ringwall-probe`},
		requests: []perimeter.Request{{URI: probePath + "/../../etc/x"}, {URI: probePath + "/..%2f..%2fx"}, {URI: "/.git/config"}}},
	{id: "edge/waf-command", doc: "Command injections are refused.", why: "A parameter that reaches a shell would run anything.",
		payload: "$(uname -a)", more: []string{";whoami", "; curl -s 192.0.2.1", "&& ping -c 1 192.0.2.1"}},
	{id: "edge/waf-php", doc: "PHP injections are refused.", why: "A parameter that reaches an interpreter would run anything.",
		payload: "<?php phpinfo(); ?>", more: []string{"php://filter/convert.base64-encode/resource=index", "system('id');"}},
	{id: "edge/waf-rfi", doc: "Addresses of foreign programs in parameters are refused.", why: "The app would fetch and run another server's code.",
		more: []string{"http://192.0.2.1/x.txt?", "ftp://ringwall-probe.invalid/a.php?"}},
	{id: "edge/waf-generic", doc: "Code injections for other runtimes, and requests to metadata addresses, are refused.", why: "The app would run foreign code, or hand out its cloud account's keys.",
		payload: "process.mainModule", more: []string{"__proto__[x]=1"}},
	{id: "edge/waf-java", doc: "Java injections are refused.", why: "A library that is known for it would load foreign code.",
		payload: "java.lang.Runtime"},
	{id: "edge/waf-session", doc: "Sessions that come from outside are refused.", why: "A visitor would log into a session that the attacker has the key to.",
		requests: []perimeter.Request{{URI: probePath + "?PHPSESSID=ringwallprobe"}, {URI: probePath + "?jsessionid=ringwallprobe", Header: []string{"Referer: https://ringwall-probe.invalid/"}}}},
	{id: "edge/waf-scanner", doc: "Scanners that name themselves are refused.", why: "A free list of the site's weak spots.",
		requests: []perimeter.Request{{URI: probePath, Header: []string{"User-Agent: sqlmap/1.8"}}, {URI: probePath, Header: []string{"User-Agent: Mozilla/5.00 (Nikto/2.5.0)"}}}},
	{id: "edge/waf-multipart", doc: "Forms with parts in odd encodings are refused.", why: "The rules would read another text than the app.",
		requests: []perimeter.Request{
			{Method: "POST", URI: probePath, Header: []string{partsBody}, Body: "--ringwallprobe\r\nContent-Disposition: form-data; name=\"f\"\r\nContent-Type: text/plain; charset=utf-7\r\n\r\nhello\r\n--ringwallprobe--\r\n"},
			{Method: "POST", URI: probePath, Header: []string{partsBody}, Body: "--ringwallprobe\r\nContent-Disposition: form-data; name=\"f\"\r\nContent-Transfer-Encoding: base64\r\n\r\nhello\r\n--ringwallprobe--\r\n"}}},
	{id: "edge/waf-protocol", doc: "Requests that break the rules of HTTP are refused.", why: "A line break in a parameter would add headers to the answer.",
		requests: []perimeter.Request{{URI: probePath + "?q=x%0d%0aSet-Cookie:%20a=b"}, {URI: probePath + "?q=a%00b"},
			{Method: "POST", URI: probePath, Header: []string{"Content-Type: application/x-ringwall-probe"}, Body: "x"}}},
	{id: "edge/waf-method", doc: "Visitors may read and send forms; other methods are refused.", why: "Visitors would delete or replace what the app lets them.",
		requests: []perimeter.Request{{Method: "PROPFIND", URI: probePath}, {Method: "PATCH", URI: probePath}, {Method: "DELETE", URI: probePath}}},
}

var wafControls = func() (out []*perimeter.Control) {
	for _, w := range wafProbes {
		out = append(out, &perimeter.Control{ID: w.id, Doc: w.doc, Why: w.why, Vantage: perimeter.Internet, AWS: groupsOnAWS(w.id),
			Probe: func(ctx context.Context, t *perimeter.Target) error { return probeClass(ctx, t, w) }})
	}
	return append(out,
		&perimeter.Control{
			ID: "edge/waf", Doc: "Every visitor's request is judged by the rules.",
			Why:     "No attack would be seen at all.",
			Vantage: perimeter.Internet, AWS: &perimeter.AWS{Probe: probeWAFOnAWS}, Probe: probeWAF,
		},
		&perimeter.Control{
			ID: "edge/waf-profile", Doc: "What the rules allow administrators they do not allow visitors.",
			Why:     "The exceptions that editors need would be open to every attacker.",
			Vantage: perimeter.Internet, Office: true, AWS: twoPlaces, Probe: probeProfile,
		},
		&perimeter.Control{
			ID: "edge/waf-body", Doc: "A body that cannot be judged as a whole, or that two readers take apart differently, is refused.",
			Why:     "An attack would hide behind what the rules do not read.",
			Vantage: perimeter.Internet, AWS: noGroup, Probe: probeWAFBody,
		},
		&perimeter.Control{
			ID: "edge/waf-args", Doc: "A request has a bounded number of parameters.",
			Why:     "Every parameter costs the rules time; thousands would stop the site.",
			Vantage: perimeter.Internet, Probe: probeWAFArgs,
		},
	)
}()

// harmless has the same shape as the attacks.
func harmless() []perimeter.Request {
	out := []perimeter.Request{{}}
	for _, p := range places {
		out = append(out, p.with("notice"))
	}
	return out
}

func wafIsOn(t *perimeter.Target) error {
	if t.Plan.Edge.WAF.Off {
		return errors.New("the plan switches the rules off")
	}
	return nil
}

func reason(id string) string {
	i := slices.IndexFunc(classes, func(c class) bool { return c.control == id })
	return classes[i].reason
}

func probeClass(ctx context.Context, t *perimeter.Target, w wafProbe) error {
	if err := wafIsOn(t); err != nil {
		return err
	}
	return t.Refuses(ctx, t.Asker(plan.Internet), []perimeter.Request{{}, query("notice")}, w.attacks())
}

// attacks are what a class's probe sends.
func (w *wafProbe) attacks() []perimeter.Attack {
	var attacks []perimeter.Attack
	add := func(name string, r perimeter.Request) {
		attacks = append(attacks, perimeter.Attack{Name: name, Request: r, Status: http.StatusForbidden, Class: reason(w.id)})
	}
	if w.payload != "" {
		in := []place{places[0], places[2], places[4]} // a query, a form, JSON
		if w.headers {
			in = slices.Concat(places, headers)
		}
		for _, p := range in {
			add(fmt.Sprintf("%s in %s", w.payload, p.name), p.with(w.payload))
		}
	}
	for _, v := range w.more {
		add(v+" in a query", query(v))
	}
	for _, r := range w.requests {
		add(fmt.Sprintf("%s %s %s", orElse(r.Method, "GET"), r.URI, strings.Join(r.Header, " ")), r)
	}
	return attacks
}

func probeWAF(ctx context.Context, t *perimeter.Target) error {
	if err := wafIsOn(t); err != nil {
		return err
	}
	// All classes in one request: whichever is in force refuses it.
	all := "1 UNION SELECT password FROM users-- <script>alert(1)</script> ../../../../etc/passwd $(uname -a) <?php phpinfo(); ?>"
	var attacks []perimeter.Attack
	for _, p := range places {
		attacks = append(attacks, perimeter.Attack{Name: "every kind of attack at once in " + p.name, Request: p.with(all), Status: http.StatusForbidden})
	}
	return t.Refuses(ctx, t.Asker(plan.Internet), harmless(), attacks)
}

// probeProfile sends what only the administrators' profile lets pass: a method
// that visitors may not use, and what editors send. None of it names anything
// that exists.
func probeProfile(ctx context.Context, t *perimeter.Target) error {
	if err := wafIsOn(t); err != nil {
		return err
	}
	edits := []perimeter.Request{{Method: "PATCH", URI: probePath, Header: []string{jsonBody}, Body: `{}`}}
	if slices.Contains(t.Plan.Edge.WAF.AdminPlugins, "wordpress") {
		edits = append(edits, perimeter.Request{Method: "POST", URI: "/wp-json/wp/v2/posts/0", Header: []string{jsonBody},
			Body: `{"content":"<figure><img src=\"/x.jpg\" onload=\"x()\"/></figure>"}`})
	}
	for _, prefix := range t.Plan.Edge.WAF.AdminBodySkips {
		edits = append(edits, perimeter.Request{Method: "POST", URI: strings.TrimSuffix(strings.TrimSuffix(prefix, "*"), "/") + "/ringwall-probe", Header: []string{jsonBody},
			Body: `{"func":"require('child_process').exec('id')"}`})
		break
	}
	office := t.Asker(plan.Office)
	defer office.Close()
	for _, r := range edits {
		ans, err := office.Ask(ctx, r)
		if err != nil {
			return fmt.Errorf("sending as an administrator what editors send: %w", err)
		}
		if ans.Wall {
			return fmt.Errorf("an administrator's %s %s was answered with %s, so that a visitor's refusal would prove nothing", r.Method, r.URI, ans)
		}
		t.Saw("an administrator's %s %s → %s", r.Method, r.URI, ans)
	}
	var attacks []perimeter.Attack
	for i, r := range edits {
		// The rules must refuse it, not the routes behind them.
		class := ""
		if i == 0 {
			class = reason("edge/waf-method")
		}
		attacks = append(attacks, perimeter.Attack{Name: fmt.Sprintf("a visitor's %s %s %s", r.Method, r.URI, r.Body), Request: r, Status: http.StatusForbidden, Class: class})
	}
	return t.Refuses(ctx, t.Asker(plan.Internet), []perimeter.Request{query("notice")}, attacks)
}

func probeWAFBody(ctx context.Context, t *perimeter.Target) error {
	if err := wafIsOn(t); err != nil {
		return err
	}
	var attacks []perimeter.Attack
	add := func(name string, status int, class string, r perimeter.Request) {
		r.Method, r.URI = "POST", probePath
		attacks = append(attacks, perimeter.Attack{Name: name, Request: r, Status: status, Class: class})
	}
	const malformed, large = "the request's body is malformed", "the request's body is larger than can be inspected"
	field := func(delim string) string {
		return delim + "\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nx\r\n"
	}
	add("a boundary after a bare line feed", http.StatusBadRequest, malformed, perimeter.Request{Header: []string{partsBody},
		Body: field("--ringwallprobe") + "x\n" + field("--ringwallprobe") + "--ringwallprobe--\r\n"})
	add("two boundaries", http.StatusBadRequest, malformed, perimeter.Request{Header: []string{"Content-Type: multipart/form-data; boundary=a; boundary=b"},
		Body: field("--a") + "--a--\r\n"})
	add("JSON that is nested a hundred deep", http.StatusBadRequest, "the request's JSON is nested too deeply", perimeter.Request{Header: []string{jsonBody},
		Body: strings.Repeat("[", 100) + strings.Repeat("]", 100)})
	if t.Plan.Edge.MaxBody > publicInspect+2048 {
		text := `{"q":"` + strings.Repeat("notice ", (publicInspect+1024)/7) + `"}`
		add("more text than the rules read", http.StatusRequestEntityTooLarge, large, perimeter.Request{Header: []string{jsonBody}, Body: text})
		add("the same in chunks", http.StatusRequestEntityTooLarge, large, perimeter.Request{Header: []string{jsonBody}, Body: text, Chunked: true})
	}
	return t.Refuses(ctx, t.Asker(plan.Internet), []perimeter.Request{parts("notice")}, attacks)
}

func probeWAFArgs(ctx context.Context, t *perimeter.Target) error {
	if err := wafIsOn(t); err != nil {
		return err
	}
	const class = "the request has too many parameters"
	return t.Refuses(ctx, t.Asker(plan.Internet), []perimeter.Request{query("notice")}, []perimeter.Attack{
		{Name: "a query of 600 parameters", Request: perimeter.Request{URI: probePath + "?" + strings.Repeat("a=1&", 600)}, Status: http.StatusRequestEntityTooLarge, Class: class},
	})
}
