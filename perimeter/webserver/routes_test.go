package webserver

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// wordpress is a plan with a route table as the preset has it.
func wordpress() *plan.Plan {
	return &plan.Plan{
		Kind: plan.PHP,
		Tiers: []plan.Tier{
			{Name: plan.Admin, Min: 1, Max: 1, Write: true},
			{Name: plan.Fleet, Min: 1, Max: 2, Env: map[string]string{"GREETING": "hello ${HOME} \"x\""}},
		},
		Files: plan.Files{Mount: "/srv/site", Uploads: []string{"wp-content/uploads"}},
		Webserver: plan.Webserver{
			Front:       "index.php",
			AdminRoutes: []string{"/wp-login.php", "/wp-admin/*", "/xmlrpc.php", "/wp-json/wp/v2/users*", "?rest_route=/wp/v2/users*", "/index.php?secret", "/tools.php?dump"},
			Public:      []string{"/wp-admin/admin-ajax.php", "/wp-admin/css/*"},
			Denied:      []string{"/wp-config.php", "*.sql", "/wp-content/debug.log"},
		},
	}
}

func table(t testing.TB, tier string) *routes {
	t.Helper()
	r, err := newRoutes(wordpress(), tier)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// adminSpellings are ways to ask for an admin route. None may be let through.
var adminSpellings = []string{
	"/wp-login.php", "/wp-login.php/", "/wp-login.php/x", "/wp-login.php/x.css", "//wp-login.php", "///wp-login.php", "/./wp-login.php", "/x/../wp-login.php",
	"/x/./../wp-login.php", "/%77p-login.php", "/wp%2dlogin.php", "/wp-login%2ephp", "/wp-login.%70hp", "/%2577p-login.php", "/%252577p-login.php",
	"/wp-login.php%00", "/wp-login.php%00.css", "/wp-login.php%20", "/wp-login.php%2e", "/wp-login.php.", "/wp-login.php...", "/wp-login.php%2f", "/wp-login.php%2fx",
	"/wp-login.php;x", "/wp-login.php;x=1/y", "/;/wp-login.php", "/x;/../wp-login.php", "/wp-login.php%3b", "/wp-login.php%3fx", "/wp-login.php%23x",
	"/WP-LOGIN.PHP", "/Wp-Login.Php", "/wp-login.PHP", "/%5cwp-login.php", "/x%5c..%5cwp-login.php", "/%2e/wp-login.php", "/x/%2e%2e/wp-login.php",
	"/x/%252e%252e/wp-login.php", "/x%2f..%2fwp-login.php", "/%2fwp-login.php", "/%2f%2fwp-login.php", "/..%2fwp-login.php", "/../wp-login.php", "/%c0%afwp-login.php",
	"/x/%c0%ae%c0%ae/wp-login.php", "/%c1%b7p-login.php", "/%e0%80%afwp-login.php", "/%ef%bc%8fwp-login.php", "/wp-login%ef%bc%8ephp", "/wp-%e2%80%8blogin.php",
	"/wp-%09login.php", "/wp-login.php%0a", "/wp-login.php%0d%0a", "/index.php/wp-login.php", "/x.php/wp-login.php", "/x.PHP/wp-login.php", "/a/b.php/wp-login.php/c",
	"/wp-admin", "/wp-admin/", "/wp-admin/index.php", "/wp-admin//options.php", "/wp-admin/./options.php", "/wp-admin/x/../options.php", "/wp-admin%2foptions.php",
	"/wp-admin/admin-ajax.php/x", "/wp-admin/admin-ajax.php/../options.php", "/wp-admin/admin-ajax.php;x", "/wp-admin/css/../options.php", "/wp-admin/css/%2e%2e/options.php",
	"/wp-admin/css/..%2foptions.php", "/wp-admin/css/%252e%252e/options.php", "/wp-admin/css\\..\\options.php", "/wp-admin\\options.php", "/wp-admin.", "/wp-admin%20/", "/wp-admin;/options.php",
	"/WP-ADMIN/options.php", "/index.php/wp-admin/", "/wp-content/../wp-admin/", "/wp-content/..;/wp-admin/", "/%25u0077p-login.php", "/xmlrpc.php", "/xmlrpc.php//", "/xmlrpc%252ephp",
	"/wp-json/wp/v2/users", "/wp-json/WP/v2/Users/1", "/index.php/wp-json/wp/v2/users/", "/wp-json//wp/v2/users", "/wp-json/wp/v2/%75sers",
	"/?rest_route=/wp/v2/users", "/?rest_route=%2fwp%2fv2%2fusers%2f1", "/index.php?rest_route=/WP/V2/users", "/?x=1&rest_route=/wp/v2/users", "/?rest.route=/wp/v2/users",
	"/?rest%5froute=/wp/v2/users", "/?rest[route=/wp/v2/users", "/?%20rest_route=/wp/v2/users", "/?rest_route[]=/wp/v2/users", "/any/page?rest_route=//wp//v2/users",
	"/?rest_route=/wp/v2/./users", "/index.php?secret", "/index.php?secret=1", "//index.php/?a&secret=", "/?secret", "/any?secret=1", "/tools.php?dump", "//tools.php/?a&dump=",
}

// let are requests that the table of fleet lets through.
var let = []string{
	"/", "/index.php", "/2026/01/hello-world/", "/wp-admin/admin-ajax.php", "/wp-admin/css/login.css", "/wp-content/themes/x/style.css?ver=6.1.9", "/wp-includes/js/jquery/jquery.min.js",
	"/?p=1", "/?s=rest_route", "/?rest_route=/wp/v2/posts", "/wp-json/wp/v2/posts", "/wp-json/", "/tag/%e3%81%82/", "/a%20b.html", "/100%25", "/index.php/2020/01/x/", "/wp-content/uploads/2026/01/a.jpg",
	"/.well-known/acme-challenge/x", "/category/c++/", "/x;y", "/a//b", "/a/./b", "/wp-content/uploads/php.jpg", "/wp-administrator", "/wp-login.phpx", "/author/@me,you/", "/?x=wp-login.php", "/x?dump=1",
}

func request(t testing.TB, target string) *http.Request {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatalf("%q: %v", target, err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.URL = u
	return r
}

func verdict(t testing.TB, r *routes, target string) string {
	req := request(t, target)
	rd := read(req.URL)
	if c := r.judge(&rd); c != "" {
		return c
	}
	if r.judgeQuery(&rd, req) != nil {
		return ctlAdmin
	}
	return ""
}

func TestAdminRoutes(t *testing.T) {
	fleet, admin := table(t, plan.Fleet), table(t, plan.Admin)
	if len(adminSpellings) < 60 {
		t.Fatalf("got %d spellings, want 60", len(adminSpellings))
	}
	for _, s := range adminSpellings {
		if got := verdict(t, fleet, s); got != ctlAdmin {
			t.Errorf("fleet %s: got %q, want %s", s, got, ctlAdmin)
		}
		if got := verdict(t, admin, s); got == ctlAdmin {
			t.Errorf("admin %s: got %q, want anything else", s, got)
		}
	}
	for _, s := range []string{"/wp-login.php", "/wp-admin/", "/xmlrpc.php", "/?rest_route=/wp/v2/users"} {
		if got := verdict(t, admin, s); got != "" {
			t.Errorf("admin %s: got %q, want it let through", s, got)
		}
	}
	for _, s := range let {
		if got := verdict(t, fleet, s); got != "" {
			t.Errorf("fleet %s: got %q, want it let through", s, got)
		}
	}
	if perimeter.CanTakeDown {
		perimeter.SetDown([]string{ctlAdmin})
		defer perimeter.SetDown(nil)
		for _, s := range []string{"/wp-login.php", "/wp-admin/", "/?rest_route=/wp/v2/users", "/WP-LOGIN.PHP"} {
			if got := verdict(t, fleet, s); got != "" {
				t.Errorf("wall down, fleet %s: got %q, want it let through", s, got)
			}
		}
	}
}

// The preset's own table, as a user gets it.
func TestPreset(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ringwall.yaml")
	if err := os.WriteFile(file, []byte("app: wp\npreset: wordpress\ndefault: dev\nenvironments:\n  dev: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := plan.Load(plan.Options{File: file, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := newRoutes(p, plan.Fleet)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range adminSpellings {
		if strings.Contains(s, "secret") || strings.Contains(s, "dump") {
			continue // of the other table
		}
		if got := verdict(t, fleet, s); got != ctlAdmin {
			t.Errorf("%s: got %q, want %s", s, got, ctlAdmin)
		}
	}
	for _, s := range let {
		if got := verdict(t, fleet, s); got != "" && s != "/wp-admin/css/login.css" {
			t.Errorf("%s: got %q, want it let through", s, got)
		}
	}
	admin, err := newRoutes(p, plan.Admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"/wp-login.php", "/wp-admin/post.php?post=1&action=edit", "/wp-admin/load-styles.php?c=1&load%5Bchunk_0%5D=dashicons,admin-bar", "/wp-json/wp/v2/users/me", "/?rest_route=/wp/v2/users", "/xmlrpc.php"} {
		if got := verdict(t, admin, s); got != "" {
			t.Errorf("admin %s: got %q, want it let through", s, got)
		}
	}
}

func TestEveryTier(t *testing.T) {
	for _, tier := range []string{plan.Admin, plan.Fleet} {
		r := table(t, tier)
		for want, targets := range map[string][]string{
			ctlDenied: {"/wp-config.php", "/WP-config.php", "/wp-config.php/", "/wp-config.php~", "/wp-config.php.bak", "/wp-config%2ephp", "/dump.sql", "/a/dump.SQL", "/dump.sql/x",
				"/.git/config", "/.env", "/a/.htaccess", "/%2egit/config", "/a/.well-known/x", "/x/.DS_Store", "/.user.ini", "/a.phtml", "/a.phps", "/lib/a.inc", "/a.php5", "/x/.%2e/.git/HEAD", "/.;/.env"},
			ctlUploads: {"/wp-content/uploads/x.php", "/wp-content/uploads/x.PHP", "/wp-content/uploads/2026/x.phtml", "/wp-content/uploads/x.phar", "/wp-content/uploads/x.php5", "/wp-content/uploads/x.php/y.jpg",
				"/wp-content/uploads/x.php%20", "/wp-content/uploads/x.php.", "/wp-content/uploads//x.php", "/wp-content//uploads/x.php", "/wp-content/uploads/x.php;a.jpg", "/wp-content/uploads/x.php%00.jpg",
				"/wp-content/uploads/x%2ephp", "/WP-Content/Uploads/x.php", "/wp-content/uploads/x.php.jpg", "/wp-content/uploads/y/../x.php", "/wp-content/uploads/x.pgif", "/wp-content/uploads/x.php~"},
			ctlPath: {"/a%2fb", "/a%5cb", "/a\\b", "/a%00b", "/a%0ab", "/%c0%80", "/%ff", "/a%252fb", "/a/%252e%252e/b", "/%25252525252525252561", "/" + strings.Repeat("a", 9000)},
		} {
			for _, s := range targets {
				if got := verdict(t, r, s); got != want {
					t.Errorf("%s %.60s: got %q, want %s", tier, s, got, want)
				}
			}
			if perimeter.CanTakeDown {
				perimeter.SetDown([]string{want})
				if got := verdict(t, r, targets[0]); got != "" {
					t.Errorf("wall %s down, %s %s: got %q, want it let through", want, tier, targets[0], got)
				}
				perimeter.SetDown(nil)
			}
		}
	}
}

func TestForms(t *testing.T) {
	r := table(t, plan.Fleet)
	multi := func(name string) string {
		return "--b\r\nContent-Disposition: form-data; name=" + name + "\r\n\r\n/wp/v2/users\r\n--b--\r\n"
	}
	for _, tt := range []struct {
		kind, body string
		want       int
	}{
		{"application/x-www-form-urlencoded", "a=b&c=d", 0},
		{"application/x-www-form-urlencoded", "rest_route=/wp/v2/posts", 0},
		{"application/x-www-form-urlencoded", "a=b&rest_route=%2Fwp/v2/users", 403},
		{"application/x-www-form-urlencoded; charset=utf-8", "rest.route=/wp/v2/users/1", 403},
		{"APPLICATION/X-WWW-FORM-URLENCODED;;", "rest_route=/wp/v2/users/1", 403},
		{"application/x-www-form-urlencoded", strings.Repeat("a=b&", maxForm/4+1), 413},
		{"multipart/form-data; boundary=b", multi(`"comment"`), 0},
		{"multipart/form-data; boundary=b", multi(`"rest_route"`), 403},
		{"multipart/form-data; boundary=b", multi(`rest_route`), 403},
		{"multipart/form-data; boundary=b", multi(`"rest.route"; x=y`), 403},
		{"multipart/form-data; boundary=b", multi(`"rest\_route"`), 403},
		{"application/json", `{"rest_route":"/wp/v2/users"}`, 0},
	} {
		req := httptest.NewRequest("POST", "/", strings.NewReader(tt.body))
		req.Header.Set("Content-Type", tt.kind)
		rd := read(req.URL)
		err := r.judgeQuery(&rd, req)
		if got := status(err); got != tt.want {
			t.Errorf("%s %.60q: got %d, want %d", tt.kind, tt.body, got, tt.want)
		}
		if err == nil {
			b := new(strings.Builder)
			if _, err := copyTo(b, req.Body); err != nil || b.String() != tt.body {
				t.Errorf("%.60q: the body came back as %.60q, %v", tt.body, b, err)
			}
		}
	}
}

func TestBadPatterns(t *testing.T) {
	for _, s := range []string{"", "wp-admin", "/a%20b", "/a;b", `\a`, "?", "?=x", "?a*=x", "/x?"} {
		p := wordpress()
		p.Webserver.AdminRoutes = []string{s}
		if _, err := newRoutes(p, plan.Fleet); err == nil {
			t.Errorf("%q: got no error", s)
		}
	}
	p := wordpress()
	p.Webserver.Public = []string{"?a=b"}
	if _, err := newRoutes(p, plan.Fleet); err == nil {
		t.Error("an exception with a query: got no error")
	}
	if _, err := newRoutes(p, "nobody"); err == nil {
		t.Error("an unknown tier: got no error")
	}
}

func TestExceptionsAndCase(t *testing.T) {
	p := wordpress()
	r, _ := newRoutes(p, plan.Fleet)
	if got := verdict(t, r, "/WP-Admin/admin-ajax.php"); got != ctlAdmin {
		t.Errorf("another case of an exception: got %q, want %s", got, ctlAdmin)
	}
	p.Webserver.FoldCase = true
	r, _ = newRoutes(p, plan.Fleet)
	if got := verdict(t, r, "/WP-Admin/admin-ajax.php"); got != "" {
		t.Errorf("where case does not matter: got %q, want it let through", got)
	}
	// The Kelvin sign and the long s fold onto letters.
	p.Webserver.AdminRoutes = []string{"/kiosk"}
	r, _ = newRoutes(p, plan.Fleet)
	if got := verdict(t, r, "/%e2%84%aaio%c5%bfk"); got != ctlAdmin {
		t.Errorf("letters that fold: got %q", got)
	}
}

func TestNoAllocs(t *testing.T) {
	r := table(t, plan.Fleet)
	u := &url.URL{Path: "/wp-content/themes/twentytwentyone/style.css"}
	if n := testing.AllocsPerRun(100, func() {
		rd := read(u)
		if r.judge(&rd) != "" {
			t.Fatal("refused")
		}
	}); n > 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkJudge(b *testing.B) {
	r := table(b, plan.Fleet)
	for _, s := range []string{"/wp-content/themes/twentytwentyone/style.css", "/tag/%e3%81%82/", "/x%252f..%252fwp-login.php"} {
		u, _ := url.ParseRequestURI(s)
		b.Run(strings.ReplaceAll(s[1:], "/", "_"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rd := read(u)
				r.judge(&rd)
			}
		})
	}
}

// FuzzRoutes takes a path through steps that readers are known to take, in an
// order of the fuzzer's choice, and asks an oracle that knows no tricks whether
// the result is an admin route. If it is, the table must have refused the path.
func FuzzRoutes(f *testing.F) {
	for _, s := range adminSpellings {
		f.Add(s, []byte{0, 1, 2, 3, 4, 5})
		f.Add(s, []byte{0, 0, 1})
	}
	for _, s := range let {
		f.Add(s, []byte{0, 1})
	}
	r, err := newRoutes(wordpress(), plan.Fleet)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, target string, order []byte) {
		u, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(u.Path, "/") {
			return
		}
		rd := read(u)
		refused := r.judge(&rd) != ""
		if !refused && (rd.path != clean(rd.path) || strings.Contains(rd.path, "/../") || strings.ContainsAny(rd.path, "\x00\\")) {
			t.Errorf("%q is let through as %q", target, rd.path)
		}
		p := u.EscapedPath()
		for _, o := range order[:min(len(order), 12)] {
			switch o % 7 {
			case 0:
				if q, err := url.PathUnescape(p); err == nil {
					p = q
				}
			case 1:
				p = path.Clean("/" + p)
			case 2:
				p = strings.ReplaceAll(p, `\`, "/")
			case 3:
				if i := strings.IndexByte(p, ';'); i > 0 && !strings.Contains(p[i:], "/") {
					p = p[:i]
				}
			case 4:
				p, _, _ = strings.Cut(p, "\x00")
			case 5:
				p = strings.TrimRight(p, " .")
			case 6:
				p = strings.ToLower(p)
			}
		}
		admin := p == "/wp-login.php" || strings.HasPrefix(p, "/wp-login.php/") || p == "/xmlrpc.php" ||
			p == "/wp-admin" || strings.HasPrefix(p, "/wp-admin/") && p != "/wp-admin/admin-ajax.php" && p != "/wp-admin/css" && !strings.HasPrefix(p, "/wp-admin/css/")
		if admin && !refused {
			t.Errorf("%q can be read as %q and is let through as %q", target, p, rd.path)
		}
	})
}
