package webserver

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

var controls = []*perimeter.Control{
	{
		ID:      ctlAdmin,
		Doc:     "Visitors do not reach the administrators' pages, however their address is spelled.",
		Why:     "A guessed password, or a hole in a page that only administrators use, would be enough to own the site.",
		Vantage: perimeter.Internet,
		Applies: func(p *plan.Plan) bool { return len(p.Webserver.AdminRoutes) > 0 },
		Probe:   probeAdminRoutes,
	},
	{
		ID:      ctlDenied,
		Doc:     "Hidden files, leftovers of scripts and what the plan lists are served to nobody.",
		Why:     "Passwords, keys and the app's whole history lie in such files.",
		Vantage: perimeter.Internet,
		Probe:   probeDenied,
	},
	{
		ID:      ctlUploads,
		Doc:     "What users bring is never run.",
		Why:     "An uploaded picture that is a program would run with the app's rights.",
		Vantage: perimeter.Internet,
		Applies: func(p *plan.Plan) bool { return len(uploadPaths(p)) > 0 },
		Probe:   probeUploads,
	},
	{
		ID:      ctlPath,
		Doc:     "An address that two readers could take for different pages is refused.",
		Why:     "The walls would judge one page, and the app would serve another.",
		Vantage: perimeter.Internet,
		Probe:   probeOneReading,
	},
}

// sample is a path that a route of the plan names.
func sample(route string) string {
	p, q, isQuery := strings.Cut(route, "?")
	switch {
	case strings.HasPrefix(p, "*"):
		p = "/ringwall-probe" + p[1:]
	case strings.HasSuffix(p, "/*"):
		p = p[:len(p)-1] + "ringwall-probe"
	}
	p = strings.ReplaceAll(p, "*", "ringwall-probe")
	if p == "" {
		p = "/"
	}
	if !isQuery {
		return p
	}
	return p + "?" + strings.ReplaceAll(q, "*", "/ringwall-probe")
}

// respell writes a path in the ways that some reader takes for the same.
func respell(p string) []string {
	first := fmt.Sprintf("%%%02x", p[1])
	name, rest := p[1:], ""
	if i := strings.IndexByte(name, '/'); i >= 0 {
		name, rest = name[:i], name[i:]
	}
	all := ""
	for _, c := range []byte(name) {
		all += fmt.Sprintf("%%%02X", c)
	}
	out := []string{
		"/" + first + p[2:],                      // one letter encoded
		"/" + all + rest,                         // all letters encoded
		"/%25" + first[1:] + p[2:],               // encoded twice
		"/%2525" + first[1:] + p[2:],             // three times
		"/%u00" + first[1:] + p[2:],              // the encoding of old servers
		"/" + p,                                  // two slashes
		"///." + p,                               // more of them
		"/." + p,                                 // a dot
		"/ringwall-probe/.." + p,                 // up again
		"/ringwall-probe/%2e%2e" + p,             // the same, encoded
		"/ringwall-probe/..;" + p,                // the same, with a parameter
		"/ringwall-probe/..%2f" + p[1:],          // with an encoded slash
		"/%2f" + p[1:],                           // a slash that is encoded
		"/%5c" + p[1:],                           // and a backslash
		"/%2e" + p,                               // an encoded dot
		strings.ToUpper(p),                       // capitals
		"/" + strings.ToUpper(name[:1]) + p[2:],  // one capital
		p + "/",                                  // a slash behind it
		p + "/x.css",                             // more behind it
		p + ";x=1",                               // a parameter
		p + "%3bx=1",                             // the same, encoded
		p + "%20", p + ".", p + "%2f", p + "%00", // what some readers cut off
		p + "%23x", p + "%3fx", p + "?x=/", p + "?", // a query, and what looks like one
		"/" + name + ";x=1" + rest,
		"/" + name + "%20" + rest,
		"/%e2%80%8b" + p[1:], // a letter that nobody sees
		"/" + name[:1] + "%c2%ad" + p[2:],
		"/index.php" + p, // behind a front script
		"https://ringwall-probe.invalid/..//" + p,
	}
	return out
}

func probeAdminRoutes(ctx context.Context, t *perimeter.Target) error {
	refuses := refuse(ctlAdmin).Reason
	visitor, office := t.Asker(plan.Internet), t.Asker(plan.Office)
	defer visitor.Close()
	defer office.Close()
	public, err := visitor.Ask(ctx, perimeter.Request{})
	if err != nil {
		return err
	}
	if public.Wall {
		return fmt.Errorf("a visitor's request for the front page was answered with %s, so that a refusal would prove nothing", public)
	}
	var paths []string
	for _, r := range t.Plan.Webserver.AdminRoutes {
		uri := sample(r)
		if t.Site != nil { // elsewhere nobody stands at the office
			ans, err := office.Ask(ctx, perimeter.Request{URI: uri})
			if err != nil {
				return fmt.Errorf("asking for %s as an administrator: %w", uri, err)
			}
			if ans.Is(http.StatusForbidden, refuses) {
				return fmt.Errorf("an administrator's request for %s was answered with %s, so that a visitor's refusal would prove nothing", uri, ans)
			}
		}
		t.Tried("%s", uri)
		ans, err := visitor.Ask(ctx, perimeter.Request{URI: uri})
		if err != nil {
			return err
		}
		if ans.Edge != "" && ans.Wall && ans.Status < 500 {
			t.Saw("%s → %s: refused at the edge already", uri, ans)
			continue
		}
		if !ans.Is(http.StatusForbidden, refuses) {
			t.Broken("%s → %s, want 403 %q", uri, ans, refuses)
			continue
		}
		t.Saw("%s → %s", uri, ans)
		if !strings.Contains(uri, "?") {
			paths = append(paths, uri)
		}
	}
	slices.SortStableFunc(paths, func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
	for i, p := range paths {
		if i == 1 {
			break // neither methods nor spellings depend on the route
		}
		t.Tried("opening a WebSocket at %s", p)
		ans, err := visitor.Ask(ctx, perimeter.Request{URI: p, Header: []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: cmluZ3dhbGwtcHJvYmUtMQ=="}})
		if err != nil {
			return err
		}
		if !ans.Is(http.StatusForbidden, refuses) && !(ans.Edge != "" && ans.Wall && ans.Status < 500) {
			t.Broken("a WebSocket at %s → %s", p, ans)
		} else {
			t.Saw("a WebSocket at %s → %s", p, ans)
		}
		for _, m := range []string{"HEAD", "POST", "OPTIONS"} {
			t.Tried("%s %s", m, p)
			ans, err := visitor.Ask(ctx, perimeter.Request{Method: m, URI: p})
			if err != nil {
				return err
			}
			if ans.Status != http.StatusForbidden && !(ans.Edge != "" && ans.Wall && ans.Status < 500) {
				t.Broken("%s %s → %s", m, p, ans)
			}
		}
		spellings := respell(p)
		for _, s := range spellings {
			t.Tried("%s", s)
			ans, err := visitor.Ask(ctx, perimeter.Request{URI: s})
			switch {
			case err != nil:
				return fmt.Errorf("asking for %s: %w", s, err)
			case ans.Wall && ans.Status < 500, ans.ID == "" && ans.Status == http.StatusBadRequest:
			default:
				t.Broken("%s → %s, want a refusal", s, ans)
			}
		}
		t.Saw("%s: %d other spellings tried", p, len(spellings))
	}
	return nil
}

func probeDenied(ctx context.Context, t *perimeter.Target) error {
	uris := []string{"/.ringwall-probe", "/ringwall-probe/.hidden/x", "/%2eringwall-probe", "/ringwall-probe/%2ehidden", "/.RINGWALL-probe/x.css", "/.ringwall-probe/", "//.ringwall-probe"}
	var known []string // to the rules before this wall as well, whose refusal will do
	if t.Plan.Kind == plan.PHP {
		uris = append(uris, "/ringwall-probe.phps", "/ringwall-probe.phtml", "/ringwall-probe.PHP5")
		known = append(known, "/ringwall-probe.php~", "/ringwall-probe.php.old", "/ringwall-probe.inc")
	}
	var attacks []perimeter.Attack
	add := func(uri string) {
		attacks = append(attacks, perimeter.Attack{Name: uri, Request: perimeter.Request{URI: uri}, Status: http.StatusForbidden, Class: refuse(ctlDenied).Reason})
	}
	for _, u := range uris {
		add(u)
	}
	for _, d := range t.Plan.Webserver.Denied {
		u := sample(d)
		if underUploads(t.Plan, u) || strings.Contains(u, "?") {
			continue // the refusal has the words of what comes first
		}
		known = append(known, u)
	}
	for _, u := range known {
		attacks = append(attacks, perimeter.Attack{Name: u, Request: perimeter.Request{URI: u}})
	}
	return t.Refuses(ctx, t.Asker(plan.Internet), []perimeter.Request{{}, {URI: "/ringwall-probe"}}, attacks)
}

// uploadPaths are the URL paths under which the site shows what users bring.
func uploadPaths(p *plan.Plan) []string {
	r, err := newRoutes(p, plan.Fleet)
	if err != nil {
		return nil
	}
	return r.uploads
}

func underUploads(p *plan.Plan, uri string) bool {
	for _, u := range uploadPaths(p) {
		if strings.HasPrefix(fold(path.Clean(uri)), u) {
			return true
		}
	}
	return false
}

func probeUploads(ctx context.Context, t *perimeter.Target) error {
	var attacks []perimeter.Attack
	for _, u := range uploadPaths(t.Plan) {
		for _, name := range []string{
			"ringwall-probe.php", "ringwall-probe.phtml", "ringwall-probe.phar", "ringwall-probe.PhP", "ringwall-probe.php/x.jpg", "ringwall-probe.php.jpg",
			"ringwall-probe.ph%70", "ringwall-probe.php7", "%72ingwall-probe.php",
		} {
			attacks = append(attacks, perimeter.Attack{Name: u + name, Request: perimeter.Request{URI: u + name}, Status: http.StatusForbidden, Class: refuse(ctlUploads).Reason})
		}
	}
	clean := []perimeter.Request{{}}
	for _, u := range uploadPaths(t.Plan) {
		clean = append(clean, perimeter.Request{URI: u + "ringwall-probe.jpg"})
	}
	return t.Refuses(ctx, t.Asker(plan.Internet), clean, attacks)
}

func probeOneReading(ctx context.Context, t *perimeter.Target) error {
	var attacks []perimeter.Attack
	for _, uri := range []string{
		"/ringwall%2fprobe", "/ringwall%5cprobe", "/ringwall%252fprobe", "/ringwall%255cprobe", "/ringwall%09probe", "/ringwall%ffprobe", "/ringwall%c0%afprobe",
		"/ringwall%7fprobe", "/ringwall%25252fprobe",
	} {
		attacks = append(attacks, perimeter.Attack{Name: uri, Request: perimeter.Request{URI: uri}, Status: http.StatusBadRequest, Class: refuse(ctlPath).Reason})
	}
	return t.Refuses(ctx, t.Asker(plan.Internet), []perimeter.Request{{}, {URI: "/ringwall-probe"}, {URI: "/ringwall%2Dprobe"}}, attacks)
}
