package edge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

func caches(p *plan.Plan) bool { return !p.Edge.Cache.Off && p.Edge.Cache.MaxBytes > 0 }

var cacheControls = []*perimeter.Control{
	{
		ID:      "edge/cache-privilege",
		Doc:     "What was made for an administrator is never handed to a visitor, nor the other way round.",
		Why:     "The administrators' pages would lie in the cache for everybody.",
		Vantage: perimeter.Internet,
		Office:  true,
		Applies: caches,
		AWS:     twoPlaces,
		Probe:   probeCachePrivilege,
	},
	{
		ID:      "edge/cache-cookies",
		Doc:     "An answer to a request with cookies or credentials is never handed to anybody else.",
		Why:     "One visitor would read another's page, with its name, its basket and its tokens.",
		Vantage: perimeter.Internet,
		Applies: caches,
		Probe:   probeCacheCookies,
	},
	{
		ID:      "edge/cache-poisoning",
		Doc:     "What a request changes in an answer is part of the answer's name in the cache, or is dropped.",
		Why:     "One request would put an attacker's page before every visitor.",
		Vantage: perimeter.Internet,
		Applies: caches,
		Probe:   probeCachePoisoning,
	},
	{
		ID:      "edge/cache-deception",
		Doc:     "What may be stored is the app's word, never the looks of an address.",
		Why:     "A link that ends in .css would put the page of whoever follows it into the cache, for the attacker to read.",
		Vantage: perimeter.Internet,
		Applies: caches,
		Probe:   probeCacheDeception,
	},
	{
		ID:      "edge/uncached-paths",
		Doc:     "What the plan keeps out of the cache stays out of it, however its address is spelled.",
		Why:     "Pages that change with every visitor would be handed to all.",
		Vantage: perimeter.Internet,
		Applies: func(p *plan.Plan) bool { return caches(p) && len(p.Edge.Cache.Uncached) > 0 },
		Probe:   probeUncached,
	},
}

// fresh makes a URI that nobody has asked for yet.
func fresh(uri string) string {
	sep := "?"
	if strings.Contains(uri, "?") {
		sep = "&"
	}
	return uri + sep + "ringwall=" + strings.ToLower(rand.Text())
}

var linked = lazy.Regexp(`(?:href|src)=["'](/[A-Za-z0-9_./-]+\.(?:css|js|png|svg|ico))["'?]`)

// storable finds pages of the app that may be stored: the front page, and static
// files that it names. Each is seen to come from the cache the second time, so
// that a later answer which does not was kept out of it.
func storable(ctx context.Context, t *perimeter.Target, a *perimeter.Asker) ([]string, error) {
	home, err := a.Ask(ctx, perimeter.Request{Header: []string{"Accept: text/html"}})
	if err != nil {
		return nil, err
	}
	try := []string{"/"}
	for _, m := range linked().FindAllStringSubmatch(home.Body, 2) {
		if !slices.Contains(try, m[1]) {
			try = append(try, m[1])
		}
	}
	try = append(try, "/favicon.ico", "/ringwall-probe-missing")
	var out []string
	for _, uri := range try {
		u := fresh(uri)
		first, err := a.Ask(ctx, perimeter.Request{URI: u})
		if err != nil {
			return nil, err
		}
		second, err := a.Ask(ctx, perimeter.Request{URI: u})
		if err != nil {
			return nil, err
		}
		if !first.Cached() && second.Cached() {
			out = append(out, uri)
		}
		if first.Cached() {
			t.Broken("%s, which nobody has asked for before, came from the cache", u)
		}
		if len(out) == 2 {
			break
		}
	}
	if len(out) > 0 {
		t.Saw("the cache works: %s came from it the second time", strings.Join(out, ", "))
	} else {
		t.Saw("the app lets nothing of %s be stored", strings.Join(try, ", "))
		out = try // nothing of it may come from the cache all the same
	}
	return out, nil
}

// mustMiss asks and sees to it that the answer does not come from the cache.
func mustMiss(ctx context.Context, t *perimeter.Target, a *perimeter.Asker, who string, r perimeter.Request, after string) error {
	ans, err := a.Ask(ctx, r)
	if err != nil {
		return err
	}
	if ans.Cached() {
		t.Broken("%s → %s from the cache, %s", who, ans, after)
	} else {
		t.Saw("%s → %s, not from the cache", who, ans)
	}
	return nil
}

func probeCachePrivilege(ctx context.Context, t *perimeter.Target) error {
	visitor, office := t.Asker(plan.Internet), t.Asker(plan.Office)
	defer visitor.Close()
	defer office.Close()
	pages, err := storable(ctx, t, visitor)
	if err != nil {
		return err
	}
	people := []administrator{{name: "an administrator"}}
	if cookies, err := t.Login(ctx, office); err != nil {
		t.Saw("without a session: %v", err)
	} else {
		people = append(people, administrator{"an administrator who is logged in", []string{"Cookie: " + cookies}})
	}
	for _, who := range people {
		for _, uri := range pages {
			if err := who.crosses(ctx, t, office, visitor, uri); err != nil {
				return err
			}
		}
	}
	return nil
}

// An administrator asks with the header of a session, or without one: then the
// address alone keeps the answer out of the cache.
type administrator struct {
	name    string
	session []string
}

// crosses asks for a page as an administrator and as a visitor in turn.
func (who administrator) crosses(ctx context.Context, t *perimeter.Target, office, visitor *perimeter.Asker, uri string) error {
	u := fresh(uri)
	t.Tried("%s as %s, and then as a visitor", uri, who.name)
	if err := mustMiss(ctx, t, office, who.name, perimeter.Request{URI: u, Header: who.session}, "which nobody has asked for before"); err != nil {
		return err
	}
	if err := mustMiss(ctx, t, visitor, "the visitor", perimeter.Request{URI: u}, "where only an administrator had asked for it"); err != nil {
		return err
	}
	t.Tried("%s as %s again, after the visitor", uri, who.name)
	return mustMiss(ctx, t, office, who.name, perimeter.Request{URI: u, Header: who.session}, "where a visitor had asked for it")
}

// forwarded is a cookie's name that the plan forwards to the app; one that it
// drops can change no answer.
func forwarded(p *plan.Plan) string {
	for _, c := range p.Edge.Cache.ForwardedCookies {
		return strings.ReplaceAll(c, "*", "ringwall_probe")
	}
	return "ringwall_probe"
}

func probeCacheCookies(ctx context.Context, t *perimeter.Target) error {
	a := t.Asker(plan.Internet)
	defer a.Close()
	pages, err := storable(ctx, t, a)
	if err != nil {
		return err
	}
	special := []string{"Authorization: Basic cmluZ3dhbGw6cHJvYmU="}
	if len(t.Plan.Edge.Cache.ForwardedCookies) > 0 {
		special = append(special, "Cookie: "+forwarded(t.Plan)+"=1")
	}
	for _, uri := range pages {
		for _, h := range special {
			u := fresh(uri)
			name, _, _ := strings.Cut(h, ":")
			t.Tried("%s with %s, and then without", uri, name)
			if err := mustMiss(ctx, t, a, "with "+name, perimeter.Request{URI: u, Header: []string{h}}, "which nobody has asked for before"); err != nil {
				return err
			}
			if err := mustMiss(ctx, t, a, "without it", perimeter.Request{URI: u}, "where only a request with "+name+" had been answered"); err != nil {
				return err
			}
			t.Tried("%s with %s, after one without", uri, name)
			if err := mustMiss(ctx, t, a, "with "+name, perimeter.Request{URI: u, Header: []string{h}}, "where the answer may depend on it"); err != nil {
				return err
			}
		}
	}
	return nil
}

func probeCachePoisoning(ctx context.Context, t *perimeter.Target) error {
	a := t.Asker(plan.Internet)
	defer a.Close()
	pages, err := storable(ctx, t, a)
	if err != nil {
		return err
	}
	const evil = "ringwall-probe.invalid"
	unkeyed := []string{
		"X-Forwarded-Host: " + evil, "X-Host: " + evil, "X-Forwarded-Server: " + evil, "X-HTTP-Host-Override: " + evil, "Forwarded: host=" + evil,
		"X-Original-URL: /" + evil, "X-Rewrite-URL: /" + evil, "X-Forwarded-Proto: " + evil, "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /" + evil,
		"X-Original-Host: " + evil, "X-Forwarded-Scheme: nothttps", "x_forwarded_host: " + evil,
	}
	for _, uri := range pages {
		u := fresh(uri)
		t.Tried("%s with %d headers that name another host or page, and then without", uri, len(unkeyed))
		if _, err := a.Ask(ctx, perimeter.Request{URI: u, Header: unkeyed}); err != nil {
			return err
		}
		ans, err := a.Ask(ctx, perimeter.Request{URI: u})
		if err != nil {
			return err
		}
		text := ans.Body
		for k, v := range ans.Header {
			text += k + ": " + strings.Join(v, ",") + "\n"
		}
		if strings.Contains(text, evil) {
			t.Broken("%s, asked for without the headers, names %s: %s (from the cache: %v)", uri, evil, ans, ans.Cached())
		} else {
			t.Saw("%s → %s, and nothing of them in it", uri, ans)
		}
		base := fresh(uri)
		if _, err := a.Ask(ctx, perimeter.Request{URI: base}); err != nil {
			return err
		}
		for name, u := range map[string]string{
			"another value": base + "1", "one parameter more": base + "&x=1", "the same in other letters": strings.Replace(base, "ringwall=", "Ringwall=", 1),
			"a semicolon": base + ";x=1", "an empty parameter": base + "&", "an escaped name": strings.Replace(base, "ringwall=", "%72ingwall=", 1),
			"another query before it": strings.Replace(base, "ringwall=", "y=1&ringwall=", 1),
		} {
			t.Tried("%s with %s in the query", uri, name)
			if err := mustMiss(ctx, t, a, name, perimeter.Request{URI: u}, "where only another query had been asked for"); err != nil {
				return err
			}
		}
		for _, h := range t.Plan.Network.Hosts { // each of the site's own names has pages of its own
			if h != t.Host() && strings.Split(h, ":")[0] == strings.Split(t.Host(), ":")[0] {
				t.Tried("%s under the name %s", uri, h)
				if err := mustMiss(ctx, t, a, h, perimeter.Request{URI: base, Host: h}, "where only "+t.Host()+" had been asked"); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func probeCacheDeception(ctx context.Context, t *perimeter.Target) error {
	visitor := t.Asker(plan.Internet)
	defer visitor.Close()
	if _, err := storable(ctx, t, visitor); err != nil {
		return err
	}
	var bases []string
	for _, r := range t.Plan.Webserver.AdminRoutes {
		if strings.HasPrefix(r, "/") && !strings.Contains(r, "?") {
			bases = append(bases, strings.TrimSuffix(strings.TrimSuffix(r, "*"), "/"))
		}
		if len(bases) == 1 {
			break
		}
	}
	bases = append(bases, "/ringwall-probe-private")
	tried := 0
	for _, b := range bases {
		for _, end := range []string{"/x.css", ";x.css", "%2fx.css", "/..%2fx.css", "/%2e%2e/x.js", "%3fx.css", "%23x.png", "%00.css"} {
			// The app forbids storing it where it says so; the front page it may let be stored.
			u := fresh(b + end)
			first, err := visitor.Ask(ctx, perimeter.Request{URI: u})
			if err != nil {
				return err
			}
			if !first.Wall && mayStore(first) {
				continue
			}
			tried++
			t.Tried("%s%s twice, whose answer must not be stored", b, end)
			if err := mustMiss(ctx, t, visitor, b+end, perimeter.Request{URI: u}, "although its answer said that it may not be kept"); err != nil {
				return err
			}
		}
	}
	if tried == 0 {
		return errors.New("the app lets every one of these addresses be stored, so that nothing can be told")
	}
	return nil
}

// mayStore says whether the app itself let an answer be stored.
func mayStore(a *perimeter.Answer) bool {
	cc := strings.ToLower(strings.Join(a.Header.Values("Cache-Control"), ","))
	return len(a.Header.Values("Set-Cookie")) == 0 && !strings.Contains(cc, "no-store") && !strings.Contains(cc, "private") && !strings.Contains(cc, "no-cache")
}

func probeUncached(ctx context.Context, t *perimeter.Target) error {
	a := t.Asker(plan.Internet)
	defer a.Close()
	if _, err := storable(ctx, t, a); err != nil {
		return err
	}
	for i, pattern := range t.Plan.Edge.Cache.Uncached {
		uri := strings.ReplaceAll(pattern, "*", "")
		if !strings.HasPrefix(uri, "/") {
			uri = "/?" + strings.TrimPrefix(uri, "?")
		}
		spellings := []string{uri}
		if path, rest, _ := strings.Cut(uri, "?"); i < 2 && len(path) > 2 && rest == "" {
			spellings = append(spellings, fmt.Sprintf("/%%%02x%s", path[1], path[2:]), "/."+path, "/"+path)
			if strings.HasSuffix(pattern, "/*") {
				spellings = append(spellings, uri+"ringwall-probe.css")
			}
		}
		for _, s := range spellings {
			u := fresh(s)
			if !strings.HasSuffix(pattern, "*") && !strings.Contains(pattern, "?") {
				u = s // the pattern must match to its end
			}
			t.Tried("%s twice, which the plan keeps out as %s", s, pattern)
			for range 2 {
				if err := mustMiss(ctx, t, a, s, perimeter.Request{URI: u}, "which the plan keeps out of it as "+pattern); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
