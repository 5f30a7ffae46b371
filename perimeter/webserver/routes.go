package webserver

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// The controls of this wall, as refusals name them.
const (
	ctlAdmin   = "webserver/admin-routes"
	ctlDenied  = "webserver/denied-files"
	ctlUploads = "webserver/uploads-not-executed"
	ctlPath    = "webserver/one-reading"
	ctlHeaders = "webserver/clean-headers"
	ctlApp     = "webserver/app"
)

// routes is one tier's table of what a request may reach. It is read-only.
type routes struct {
	php     bool      // PHP-FPM runs .php
	static  bool      // nothing runs scripts, so that each would be served as text
	admin   []pattern // refused; none on a tier that serves them
	denied  []pattern
	public  []pattern // exceptions to admin
	queries []query   // refused, by what the query or a form says
	exact   bool      // exceptions need the exact letter case
	uploads []string  // folded URL paths with a slash at the end
}

func newRoutes(p *plan.Plan, tier string) (*routes, error) {
	t := p.Tier(tier)
	if t == nil {
		return nil, fmt.Errorf("building the route table: no tier %q in the plan", tier)
	}
	w := p.Webserver
	r := &routes{php: p.Kind == plan.PHP, static: p.Kind == plan.Static, exact: !w.FoldCase}
	if err := r.add("denied", &r.denied, w.Denied, w.Front, false); err != nil {
		return nil, err
	}
	if tier != plan.Admin {
		admin := w.AdminRoutes
		if p.Preset == plan.PresetWordPress {
			admin = append(slices.Clip(admin), restRoutes(admin)...)
		}
		if err := r.add("admin", &r.admin, admin, w.Front, false); err != nil {
			return nil, err
		}
		if err := r.add("public", &r.public, w.Public, w.Front, r.exact); err != nil {
			return nil, err
		}
	}
	docroot := strings.Trim(path.Clean("/"+strings.TrimPrefix(w.Docroot, "-")), "/")
	for _, u := range p.Files.Uploads {
		u = strings.Trim(path.Clean("/"+u), "/")
		if rest, ok := strings.CutPrefix(u+"/", docroot+"/"); ok || docroot == "" {
			if docroot == "" {
				rest = u + "/"
			}
			r.uploads = append(r.uploads, fold("/"+strings.TrimPrefix(rest, "/")))
		}
	}
	return r, nil
}

// add puts the entries of one of the plan's lists into the table.
func (r *routes) add(list string, dst *[]pattern, entries []string, front string, keepCase bool) error {
	for _, s := range entries {
		var err error
		switch {
		case !strings.Contains(s, "?"):
			var q pattern
			q, err = newPattern(s, keepCase)
			*dst = append(*dst, q)
		case list == "public":
			err = errors.New("an exception cannot have a query; name the path alone")
		default:
			var q query
			q, err = newQuery(s)
			if front != "" && q.path != nil && q.path.covers(fold(path.Clean("/"+front))) {
				q.path = nil // the front script answers for every path
			}
			r.queries = append(r.queries, q)
		}
		if err != nil {
			return fmt.Errorf("building the route table: %s route %q: %w", list, s, err)
		}
	}
	return nil
}

// restRoutes are the second addresses of WordPress' REST routes, which work
// under every path.
func restRoutes(admin []string) (out []string) {
	for _, s := range admin {
		rest, ok := strings.CutPrefix(s, "/wp-json/")
		if !ok {
			continue
		}
		out = append(out, "?rest_route=/"+rest)
		if dir, ok := strings.CutSuffix(rest, "/*"); ok {
			out = append(out, "?rest_route=/"+dir)
		}
	}
	return out
}

// judge returns the control that refuses a path, or "".
func (r *routes) judge(rd *reading) string {
	if len(r.admin) > 0 && !perimeter.Down(ctlAdmin) {
		if r.reachesAdmin(rd.path) || slices.ContainsFunc(rd.others, r.reachesAdmin) {
			return ctlAdmin
		}
	}
	c := r.judgeFile(rd.path)
	for i := 0; c == "" && i < len(rd.others); i++ {
		c = r.judgeFile(rd.others[i])
	}
	if c == "" && rd.odd != "" && !perimeter.Down(ctlPath) {
		return ctlPath
	}
	return c
}

// judgeFile is the part of the table that is the same for every tier.
func (r *routes) judgeFile(p string) string {
	f := fold(p)
	if r.scriptInUploads(f) && !perimeter.Down(ctlUploads) {
		return ctlUploads
	}
	if r.isDenied(f) && !perimeter.Down(ctlDenied) {
		if perimeter.Down(ctlUploads) && r.inUploads(f) {
			return "" // a plan may list uploads here as well
		}
		return ctlDenied
	}
	return ""
}

// reachesAdmin says whether a path names an admin route: by itself, or behind a
// script's name, which is a path of its own to many front scripts.
func (r *routes) reachesAdmin(p string) bool {
	f := fold(p)
	if r.isAdmin(p, f) {
		return true
	}
	for rest := f; ; {
		i := strings.Index(rest, ".php/")
		if i < 0 {
			return false
		}
		if rest = rest[i+len(".php"):]; r.isAdmin(rest, rest) {
			return true
		}
	}
}

func (r *routes) isAdmin(p, folded string) bool {
	for i := range r.admin {
		if r.admin[i].covers(folded) {
			if !r.exact {
				p = folded
			}
			for j := range r.public {
				if r.public[j].is(p) {
					return false
				}
			}
			return true
		}
	}
	return false
}

// isDenied says whether a folded path names what no tier serves: hidden files,
// sources of scripts, and what the plan lists.
func (r *routes) isDenied(f string) bool {
	for i := range r.denied {
		if r.denied[i].covers(f) {
			return true
		}
	}
	if strings.Contains(f, "/.") && hidden(f) {
		return true
	}
	return r.php && sourceOfScript(f, true) || r.static && sourceOfScript(f, false)
}

// hidden says whether a segment starts with a dot. /.well-known is the one exception.
func hidden(f string) bool {
	first := true
	for s := range strings.SplitSeq(strings.TrimPrefix(f, "/"), "/") {
		if len(s) > 1 && s[0] == '.' && s != ".." && !(first && s == ".well-known") {
			return true
		}
		first = false
	}
	return false
}

// sourceOfScript says whether a file holds a script under a name that nothing runs,
// so that it would be served as text: copies and editors' leftovers, and .php too
// where no PHP-FPM runs it.
func sourceOfScript(f string, fpm bool) bool {
	if !strings.Contains(f, ".ph") && !strings.Contains(f, ".inc") && !strings.Contains(f, "~") {
		return false
	}
	for s := range strings.SplitSeq(f, "/") {
		ext := path.Ext(s)
		if scripts[ext] && (!fpm || ext != ".php") || ext == ".inc" || strings.HasSuffix(s, "~") || strings.Contains(s, ".php.") {
			return true
		}
	}
	return false
}

// scripts are the extensions that PHP's own packages make a web server run.
var scripts = map[string]bool{
	".php": true, ".php3": true, ".php4": true, ".php5": true, ".php7": true, ".php8": true,
	".phtml": true, ".pht": true, ".phar": true, ".phps": true, ".phpt": true, ".pgif": true,
}

// inUploads says whether a path lies where users put their files.
func (r *routes) inUploads(p string) bool {
	if len(r.uploads) == 0 {
		return false
	}
	f := fold(p)
	for _, u := range r.uploads {
		if strings.HasPrefix(f, u) {
			return true
		}
	}
	return false
}

func (r *routes) scriptInUploads(f string) bool {
	for _, u := range r.uploads {
		rest, ok := strings.CutPrefix(f, u)
		if !ok || !strings.Contains(rest, ".p") {
			continue
		}
		for s := range strings.SplitSeq(rest, "/") {
			if scripts[path.Ext(s)] || strings.Contains(s, ".php.") || strings.HasSuffix(s, ".php~") {
				return true
			}
		}
	}
	return false
}

// A pattern is one entry of the table: /a/path, /dir/*, *.ext, or any other text
// with * for any characters.
type pattern struct {
	kind patternKind
	text string
}

type patternKind int

const (
	exactly patternKind = iota
	within              // a directory and everything in it
	ending              // *.ext
	globbed
)

func newPattern(s string, keepCase bool) (pattern, error) {
	if !keepCase {
		s = fold(s)
	}
	switch {
	case s == "":
		return pattern{}, fmt.Errorf("it is empty: want /a/path, /dir/*, *.ext or ?key=value")
	case strings.ContainsAny(s, "%\\;\x00"):
		return pattern{}, fmt.Errorf("it holds one of %%, \\ and ;: write the path as it is after decoding")
	case s[0] != '/' && s[0] != '*':
		return pattern{}, fmt.Errorf("want a slash or * first: /%s", s)
	case s[0] == '/' && strings.HasSuffix(s, "/*") && !strings.Contains(s[:len(s)-1], "*"):
		return pattern{within, clean(s[:len(s)-1])}, nil
	case s[0] == '*' && !strings.ContainsAny(s[1:], "*/") && len(s) > 1:
		return pattern{ending, s[1:]}, nil
	case strings.Contains(s, "*"):
		return pattern{globbed, s}, nil
	}
	return pattern{exactly, strings.TrimSuffix(clean(s), "/")}, nil
}

// covers says whether a folded path may reach what the pattern names: also with
// more behind it, since scripts take the rest as an argument.
func (q *pattern) covers(p string) bool {
	switch q.kind {
	case exactly:
		rest, ok := strings.CutPrefix(p, q.text)
		if q.text == "" {
			return p == "/"
		}
		return ok && (rest == "" || rest[0] == '/')
	case within:
		return strings.HasPrefix(p, q.text) || p == q.text[:len(q.text)-1]
	case ending:
		for {
			i := strings.Index(p, q.text)
			if i < 0 {
				return false
			}
			p = p[i+len(q.text):]
			if p == "" || p[0] == '/' {
				return true
			}
		}
	}
	if glob(q.text, p) {
		return true
	}
	for i := 1; i < len(p); i++ {
		if p[i] == '/' && glob(q.text, p[:i]) {
			return true
		}
	}
	return false
}

// is says whether a path is what the pattern names, and no more than that.
func (q *pattern) is(p string) bool {
	switch q.kind {
	case exactly:
		return p == q.text || q.text == "" && p == "/"
	case within: // the directory and everything in it
		return strings.HasPrefix(p, q.text) || p == q.text[:len(q.text)-1]
	case ending:
		return strings.HasSuffix(p, q.text)
	}
	return glob(q.text, p)
}

// glob matches * with any characters, none included.
func glob(pat, s string) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(pat) && pat[i] == '*':
			star, mark = i, j
			i++
		case i < len(pat) && pat[i] == s[j]:
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pat[i:], "*") == ""
}
