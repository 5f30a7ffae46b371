package webserver

import (
	"fmt"
	"html"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/plan"
)

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// rxAlike finds, in the path as it was sent, what readers do not all read alike.
const rxAlike = `//|%(?:[46][1-9a-f]|[57][0-9a]|3[0-9]|2[de]|5f|7e)|;|%3b|\x5c|%5c|%2f|%25|%3f|%23|#|%[01][0-9a-f]|%7f|[\x01-\x20\x7f-\xff]|%c[012]|%e0%[89]|%e2%8|%ef%b[bc]|%f0%8|(?:[. ]|%2e|%20)(?:/|%2f|\?|$)`

// rxDotSegment is a segment that some reader takes for . or .., and nginx does not.
const rxDotSegment = rxSlash + rxInvisible + rxDot + rxInvisible + `(?:` + rxDot + rxInvisible + `)?(?:;[^/]*)?(?:` + rxSlash + `|[?#]|$)`

const rxUTF8 = `(?:[\x01-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]` +
	`|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})`

// used says whether a verdict has anything to look for in this table.
func (g *nginx) used(name string) bool {
	switch name {
	case "admin", "admin_loose":
		return len(g.r.admin) > 0
	case "query":
		return slices.ContainsFunc(g.r.queries, func(q query) bool { return q.path == nil })
	case "query_path", "query_loose":
		return slices.ContainsFunc(g.r.queries, func(q query) bool { return q.path != nil })
	case "form":
		return g.p.Kind == plan.Command && len(g.r.queries) > 0
	case "form_loose":
		return g.p.Kind == plan.Command && g.used("query_path")
	case "uploads", "uploads_loose":
		return len(g.r.uploads) > 0
	}
	return true
}

// table writes a map that is 1 where one of the patterns matches behind lead. It
// is volatile: a new $uri is judged again.
func (g *nginx) table(source, name, lead string, patterns []string) {
	if !g.used(name) {
		return
	}
	g.line("map %q $rw_%s {", source, name)
	g.line("volatile;")
	// The default stands for a match that was given up, which is no answer.
	g.line("default 1;")
	g.line(`"" 0; # a request line that could not be read`)
	var all []string
	for _, p := range patterns {
		if p != "" && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	for len(all) > 0 {
		n, size := 1, len(all[0])
		for n < len(all) && size+len(all[n]) < maxPattern {
			size += len(all[n]) + 1
			n++
		}
		one := lead + `(?:` + strings.Join(all[:n], "|") + `)`
		define := ""
		if rxCalls().MatchString(one) {
			define = rxDefine
		}
		g.line(`"~*(?s)%s%s" 1;`, define, one)
		all = all[n:]
	}
	g.line(`"~^" 0;`)
	g.line("}")
}

// maxPattern keeps a pattern, with the groups that it calls, under what nginx
// takes of one word.
const maxPattern = 3000

var rxCalls = lazy.Regexp(`\(\?[1-5]\)`)

// both is a path as nginx reads it and as it was sent: what .. takes back is in
// the second only.
const both = "$rw_alike$uri $rw_raw"

// verdicts writes the route table. Each map answers 1 for what it refuses.
func (g *nginx) verdicts() {
	r := g.r
	g.line("# The route table. $uri is decoded once, without empty and dotted segments. Paths")
	g.line("# that some reader takes for another one are matched loosely as well.")
	g.line("map $request_method $rw_method {")
	g.line("default 1;")
	g.line(`"~^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)?$" 0;`)
	g.line("}")
	g.line("map $request_uri $rw_alike {")
	g.line("default 1;")
	g.line(`"" 0;`)
	g.line(`"~*^[^?]*?(?:%s)" 1;`, rxAlike)
	g.line(`"~^" 0;`)
	g.line("}")
	g.line("map $request_uri $rw_raw {")
	g.line(`"~^([^?]*)" $1;`)
	g.line("}")

	public := ""
	for i := range r.public {
		public += "|" + r.public[i].only(r.exact)
	}
	if public != "" {
		public = "(?!" + public[1:] + ")"
	}
	var strict, loose []string
	for i := range r.admin {
		strict = append(strict, r.admin[i].strict())
		loose = append(loose, r.admin[i].loose())
	}
	g.table("$uri", "admin", `^(?:.*\.php(?=/))?`+public, strict)
	g.table(both, "admin_loose", `^1.*?`, loose)
	g.queries()
	g.files()

	g.table("$request_uri", "odd", "", []string{`^[^?]*?(?:%2f|%5c|\x5c|#|%(?:25)+[0-9a-f]{2})`, `^(?=[^?]*[%;\x80-\xff])[^?]*?/(?:\.|%2e){2}(?:/|%2f|\?|$)`})
	g.table("$uri", "odd_uri", "", []string{`[\x01-\x1f\x7f\x5c]`, `%[0-9a-f]{2}`, `%u[0-9a-f]{4}`, `%(?:[0-9a-f]?|u[0-9a-f]{0,3})(?:\xc2\xad|\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf)`, rxDotSegment, `^(?!` + rxUTF8 + `*+$)`})
	if g.p.Kind == plan.PHP {
		g.line("# An untidy path is told to the app in its tidy form, or is sent there.")
		g.line("map $request_uri $rw_untidy {")
		g.line("default 0;")
		g.line(`"~*^(?=[^?]*%%)[^?]*?(?://|/(?:\.|%%2e){1,2}(?:/|\?|$))" 1;`)
		g.line("}")
		g.line("map $request_uri $rw_request_uri {")
		g.line("default $request_uri;")
		g.line(`"~^[^?]*?(?://|/\.{1,2}(?:/|\?|$))" $uri$is_args$args;`)
		g.line("}")
	}
	g.line("")
}

// queries writes what is refused by its query, and for apps whose forms nobody
// reads the forms that may name a route.
func (g *nginx) queries() {
	var anywhere, at, loose, forms, formsLoose []string
	for i := range g.r.queries {
		q := &g.r.queries[i]
		ask := `(?:.*[&;])?` + rxKey(q.key) + q.rx()
		if q.path == nil {
			anywhere = append(anywhere, `^[^?]*\?`+ask)
			forms = append(forms, `^1`)
			continue
		}
		path := strings.TrimSuffix(q.path.strict(), `(?:/|$)`)
		if q.path.kind == exactly && q.path.text == "" {
			path = ""
		}
		at = append(at, `^`+path+`(?:/[^?]*)?\?`+ask)
		loose = append(loose, `^1[^?]*?`+q.path.loose()+`[^?]*\?`+ask)
		forms = append(forms, `^1`+path+`(?:/|$)`)
		formsLoose = append(formsLoose, `^11[^?]*?`+q.path.loose())
	}
	g.table("$request_uri", "query", "", anywhere)
	g.table("$uri?$args", "query_path", "", at)
	g.table("$rw_alike$request_uri", "query_loose", "", loose)
	if g.used("form") {
		g.line("# A form says what a query says, and nobody reads it here.")
		g.line("map $http_content_type $rw_is_form {")
		g.line("default 0;")
		g.line(`"~*urlencoded|multipart" 1;`)
		g.line("}")
	}
	g.table("$rw_is_form$uri", "form", "", forms)
	g.table("$rw_is_form$rw_alike$request_uri", "form_loose", "", formsLoose)
}

// files writes the part of the table that is the same for every tier.
func (g *nginx) files() {
	r := g.r
	exts := []string{"php3", "php4", "php5", "php7", "php8", "phtml", "pht", "phar", "phps", "phpt", "pgif"}
	all := append([]string{"php"}, exts...)
	any := func(list []string) string {
		var out []string
		for _, e := range list {
			out = append(out, rxStrict(e))
		}
		return `\.(?:` + strings.Join(out, "|") + `)`
	}
	php := any([]string{"php"})
	var up, upLoose []string
	for _, u := range r.uploads {
		// A name such as x.php.jpg is run by careless servers.
		up = append(up, `^`+rxStrict(u)+`.*(?:`+any(all)+`(?:/|$)|`+php+`\.|`+php+`~(?:/|$))`)
		for _, e := range all {
			upLoose = append(upLoose, rxLoose(u)+`.*?`+rxLoose("."+e)+rxEnd)
		}
	}
	g.table("$uri", "uploads", "", up)
	g.table(both, "uploads_loose", `^1.*?`, upLoose)

	// The first segment may be .well-known, and no other one may start with a dot.
	denied := []string{`^(?:/(?!\.well-known(?:/|$))|/[^/]*/(?:.*/)?)\.(?:[^/.]|\.[^/])`}
	scripts := exts
	if g.p.Kind == plan.Static {
		scripts = all
	}
	var loose []string
	if r.php || r.static {
		denied = append(denied, any(append(slices.Clone(scripts), "inc"))+`(?:/|$)|~(?:/|$)|`+php+`\.`)
		for _, e := range append(slices.Clone(scripts), "inc") {
			loose = append(loose, rxLoose("."+e)+rxEnd)
		}
		loose = append(loose, `~`+rxTrim+`(?:[?#;]|`+rxSlash+`|%(?:25)*3b|$)`, rxLoose(".php")+rxInvisible+rxDot)
	}
	if r.php { // one in capitals is run by nobody
		denied = append(denied, `(?-i:\.(?!php)[pP][hH][pP])(?:/|$)`)
	}
	// Hidden by a slash or a dot that is one to some reader only.
	const name = `(?:[^/.?#;]|\.[^/?#;])`
	loose = append(loose, `(?:`+rxSlashOdd+`)`+rxInvisible+rxDot+name, `/(?:`+rxUnseen+`)+`+rxDot+name, `/`+rxInvisible+`(?:`+rxDotOdd+`)`+name)
	for i := range r.denied {
		denied = append(denied, `^`+r.denied[i].strict())
		loose = append(loose, r.denied[i].loose())
	}
	g.table("$uri", "denied", "", denied)
	g.table(both, "denied_loose", `^1.*?`, loose)
	// A name that .. takes back is refused as well, as long as some reader does not.
	g.table("$rw_alike$request_uri", "denied_raw", `^1`, []string{`(?:/(?!\.well-known(?:[/?]|$))|/[^/?]*/(?:[^?]*/)?)(?:\.|%2e)(?!(?:\.|%2e)?(?:[/?]|$))`})
}

// texts writes the pages' words, by page and form.
func (g *nginx) texts() {
	for _, p := range g.pages() {
		text := http.StatusText(p.status)
		if p.code == 400 || p.code == 414 {
			g.line("map $rw_want $rw_page%d {", p.code)
			g.line(`default "%d %s\n%s\n";`, p.status, text, p.class)
			g.line("}")
			continue
		}
		g.line("map $rw_want $rw_page%d {", p.code)
		g.line(`default "%d %s\n%s\nrequest $rw_id\n";`, p.status, text, p.class)
		g.line(`json '{"class":"%s","request_id":"$rw_id","status":%d}\n';`, p.class, p.status)
		g.line(`html '%s';`, fmt.Sprintf(nginxHTML, p.status, html.EscapeString(text), html.EscapeString(p.class)))
		g.line("}")
	}
	g.line("")
}

const nginxHTML = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>%[1]d %[2]s</title>` +
	`<style>body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;color:#222}</style></head>` +
	`<body><h1>%[1]d %[2]s</h1><p>%[3]s</p><p>Request <code>$rw_id</code></p></body></html>\n`
