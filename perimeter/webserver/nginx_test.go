package webserver

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/fcgi"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringwall/ringwall/plan"
)

// nginxBinary is Debian's nginx.
func nginxBinary(t testing.TB) string {
	t.Helper()
	for _, f := range []string{"/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"} {
		if _, err := os.Stat(f); err == nil {
			return f
		}
	}
	t.Fatal("NOT RUN: there is no nginx; scripts/setup test installs it")
	return ""
}

// shortDir is a directory whose sockets have short names.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// An instance is a running nginx and what it said to the app behind it.
type instance struct {
	t      testing.TB
	sock   string
	pid    int // of nginx
	conn   net.Conn
	br     *bufio.Reader
	mu     sync.Mutex
	asked  []*http.Request
	env    []map[string]string
	answer http.HandlerFunc
}

const testHost = "www.example.com"

// serveNginx starts nginx with the configuration of a tier; php and command apps
// are played by a Go handler.
func serveNginx(t testing.TB, p *plan.Plan, tier, tree string, answer http.HandlerFunc) *instance {
	t.Helper()
	return startNginx(t, p, tier, tree, "", answer)
}

// serveNginxFor is serveNginx in front of an app that listens at a socket.
func serveNginxFor(t testing.TB, p *plan.Plan, tier, tree, socket string) *instance {
	t.Helper()
	return startNginx(t, p, tier, tree, socket, nil)
}

func startNginx(t testing.TB, p *plan.Plan, tier, tree, socket string, answer http.HandlerFunc) *instance {
	t.Helper()
	if p.Network.Host == "" {
		p.Network.Host = testHost
	}
	if p.Balancer.HealthPath == "" {
		p.Balancer.HealthPath = "/health.txt"
	}
	if p.Network.Rate.PerMinute == 0 {
		p.Network.Rate, p.Network.MaxConnsPerIP = plan.Rate{PerMinute: 1e6, Burst: 1e6}, 1000
	}
	if p.Edge.MaxBody == 0 {
		p.Edge.MaxBody = 1 << 20
	}
	dir := shortDir(t)
	in := &instance{t: t, sock: dir + "/s", answer: answer}
	l, err := net.Listen("unix", dir+"/app")
	if err != nil {
		t.Fatal(err)
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in.mu.Lock()
		in.asked = append(in.asked, r.Clone(r.Context()))
		in.env = append(in.env, fcgi.ProcessEnv(r))
		in.mu.Unlock()
		if in.answer != nil {
			in.answer(w, r)
			return
		}
		io.WriteString(w, "app")
	})
	switch p.Kind {
	case plan.PHP:
		go fcgi.Serve(l, h)
	default:
		s := &http.Server{Handler: h}
		go s.Serve(l)
		t.Cleanup(func() { s.Close() })
	}
	t.Cleanup(func() { l.Close() })
	o := NginxOptions{Listen: "unix:" + in.sock, Tree: tree, Socket: dir + "/app", App: "unix:" + dir + "/app", Run: dir, Log: dir, User: "root"}
	if socket != "" {
		o.Socket = socket
	}
	if os.Getuid() == 0 {
		o.User = "root" // the directories of a test are its own
	}
	text, err := Nginx(p, tier, o)
	if err != nil {
		t.Fatal(err)
	}
	conf := dir + "/nginx.conf"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	bin := nginxBinary(t)
	if out, err := exec.Command(bin, "-t", "-q", "-e", dir+"/e", "-c", conf).CombinedOutput(); err != nil {
		t.Fatalf("nginx -t: %v\n%s\n%s", err, out, text)
	}
	cmd := exec.Command(bin, "-e", dir+"/e", "-c", conf, "-g", "daemon off;")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.pid = cmd.Process.Pid
	t.Cleanup(func() {
		if in.conn != nil {
			in.conn.Close()
		}
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if t.Failed() {
			b, _ := os.ReadFile(dir + "/error.log")
			t.Logf("nginx said %.3000s", said.String()+string(b))
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("unix", in.sock)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nginx does not answer: %v: %s", err, said.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return in
}

// A got is an answer.
type got struct {
	status int
	class  string // of a page of the server's own
	header http.Header
	body   string
}

// raw sends a request as it is written.
func (in *instance) raw(method, target, body string, header ...string) got {
	in.t.Helper()
	var lines strings.Builder
	fmt.Fprintf(&lines, "%s %s HTTP/1.1\r\nAccept: application/json\r\n", method, target)
	host := testHost
	for _, h := range header {
		if v, ok := strings.CutPrefix(h, "Host: "); ok {
			host = v
			continue
		}
		lines.WriteString(h + "\r\n")
	}
	fmt.Fprintf(&lines, "Host: %s\r\n", host)
	if body != "" {
		fmt.Fprintf(&lines, "Content-Length: %d\r\n", len(body))
	}
	lines.WriteString("\r\n" + body)
	for try := 0; ; try++ {
		if in.conn == nil {
			c, err := net.Dial("unix", in.sock)
			if err != nil {
				in.t.Fatal(err)
			}
			in.conn, in.br = c, bufio.NewReader(c)
		}
		in.conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, err := io.WriteString(in.conn, lines.String())
		var resp *http.Response
		if err == nil {
			resp, err = http.ReadResponse(in.br, &http.Request{Method: method})
		}
		if err != nil {
			in.conn.Close()
			in.conn = nil
			if try == 0 {
				continue
			}
			in.t.Fatalf("%s %q: %v", method, target, err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			in.t.Fatalf("%s %q: %v", method, target, err)
		}
		if resp.Close {
			in.conn.Close()
			in.conn = nil
		}
		g := got{status: resp.StatusCode, header: resp.Header, body: string(b)}
		var page struct {
			Class string `json:"class"`
			ID    string `json:"request_id"`
		}
		if json.Unmarshal(b, &page) == nil && page.ID != "" && page.ID == resp.Header.Get(plan.HeaderRequest) {
			g.class = page.Class
		}
		return g
	}
}

// verdict is the control whose words the answer has, as the local server names it.
func (in *instance) verdict(target string) string {
	g := in.raw("GET", target, "")
	for _, c := range []string{ctlAdmin, ctlUploads, ctlPath, ctlDenied} {
		if ref := refuse(c); g.status == ref.Status && g.class == ref.Reason {
			return c
		}
	}
	switch {
	case g.status == 400:
		return ctlPath // nginx's own reading: an address that is none
	case g.status == 200 || g.status == 301:
		return ""
	}
	return fmt.Sprintf("%d %s", g.status, g.body)
}

// siteTree is a tree with the files that the lists of spellings speak of.
func siteTree(t testing.TB) string {
	return tree(t.(*testing.T), map[string]string{"index.php": "<?php", "wp-login.php": "<?php", "wp-admin/index.php": "<?php", "wp-admin/admin-ajax.php": "<?php", "wp-admin/css/login.css": "css",
		"wp-content/themes/x/style.css": "css", "wp-content/uploads/2026/01/a.jpg": "jpg", "wp-content/uploads/x.html": "<script>", "health.txt": "ok", "empty/x": "", "link.txt": "-> index.php",
		"wp-content/uploads/x.php": "<?php", "sub/index.html": "index of sub", ".env": "secret", "x.PHP": "<?php"})
}

func TestNginxTable(t *testing.T) {
	root := siteTree(t)
	fleet := serveNginx(t, wordpress(), plan.Fleet, root, nil)
	for _, s := range adminSpellings {
		if !sendable(s) {
			continue
		}
		if v := fleet.verdict(s); v != ctlAdmin && !(v == ctlPath && unreadable(s)) {
			t.Errorf("fleet %s: got %q, want %s", s, v, ctlAdmin)
		}
	}
	for _, s := range let {
		if v := fleet.verdict(s); v != "" {
			t.Errorf("fleet %s: got %q, want it let through", s, v)
		}
	}
	admin := serveNginx(t, wordpress(), plan.Admin, root, nil)
	for _, s := range adminSpellings {
		if v := admin.verdict(s); sendable(s) && v == ctlAdmin {
			t.Errorf("admin %s: got %q", s, v)
		}
	}
	for _, s := range []string{"/wp-login.php", "/wp-admin/", "/xmlrpc.php", "/?rest_route=/wp/v2/users"} {
		if v := admin.verdict(s); v != "" {
			t.Errorf("admin %s: got %q, want it let through", s, v)
		}
	}
	for name, in := range map[string]*instance{plan.Fleet: fleet, plan.Admin: admin} {
		for want, targets := range fileSpellings {
			for _, s := range targets {
				if v := in.verdict(s); v != want && !(v == ctlPath && unreadable(s)) {
					t.Errorf("%s %.60s: got %q, want %s", name, s, v, want)
				}
			}
		}
	}
}

// fileSpellings are what no tier serves, by the control that refuses it.
var fileSpellings = map[string][]string{
	ctlDenied: {"/wp-config.php", "/WP-config.php", "/wp-config.php/", "/wp-config.php~", "/wp-config.php.bak", "/wp-config%2ephp", "/dump.sql", "/a/dump.SQL", "/dump.sql/x",
		"/.git/config", "/.env", "/a/.htaccess", "/%2egit/config", "/a/.well-known/x", "/x/.DS_Store", "/.user.ini", "/a.phtml", "/a.phps", "/lib/a.inc", "/a.php5", "/x/.%2e/.git/HEAD", "/.;/.env", "/wp-config.p;xhp~%ef%bc%8fx", "/x;y/;/../wp-config.php.bak"},
	ctlUploads: {"/wp-content/uploads/x.php", "/wp-content/uploads/x.PHP", "/wp-content/uploads/2026/x.phtml", "/wp-content/uploads/x.phar", "/wp-content/uploads/x.php5", "/wp-content/uploads/x.php/y.jpg",
		"/wp-content/uploads/x.php%20", "/wp-content/uploads/x.php.", "/wp-content/uploads//x.php", "/wp-content//uploads/x.php", "/wp-content/uploads/x.php;a.jpg", "/wp-content/uploads/x.php%00.jpg",
		"/wp-content/uploads/x%2ephp", "/WP-Content/Uploads/x.php", "/wp-content/uploads/x.php.jpg", "/wp-content/uploads/y/../x.php", "/wp-content/uploads/x.pgif", "/wp-content/uploads/x.php~"},
	ctlPath: {"/a%2fb", "/a%5cb", "/a\\b", "/a%00b", "/a%0ab", "/%c0%80", "/%ff", "/a%252fb", "/a/%252e%252e/b", "/%25252525252525252561"},
}

// unreadable says whether a path is one that nginx, or no reader of UTF-8, takes.
func unreadable(s string) bool {
	for _, x := range []string{"%00", "%c0", "%c1", "%e0%80"} {
		if strings.Contains(s, x) {
			return true
		}
	}
	return strings.HasPrefix(s, "/..")
}

// sendable says whether a target can stand in a request line.
func sendable(s string) bool {
	return !strings.ContainsAny(s, " \t\r\n\x00") && strings.HasPrefix(s, "/")
}

// steps that a reader takes, written into a path before it is sent.
var disguises = []func(*rand.Rand, string) string{
	func(r *rand.Rand, s string) string {
		i := r.IntN(len(s))
		return s[:i] + fmt.Sprintf("%%%02x", s[i]) + s[i+1:]
	},
	func(r *rand.Rand, s string) string {
		i := r.IntN(len(s))
		return s[:i] + fmt.Sprintf("%%%02X", s[i]) + s[i+1:]
	},
	func(r *rand.Rand, s string) string { return strings.Replace(s, "%", "%25", 1) },
	func(r *rand.Rand, s string) string {
		return insert(r, s, "/", []string{"/", "./", "x/../", ".;/", ";/", "./x/..;/", "../", "%2e/", "x;y/../", ";/../", " /", "%20/", "+/"})
	},
	func(r *rand.Rand, s string) string {
		return insert(r, s, "", []string{";", ";x", "%20", "+", ".", "%c2%a0", "%e2%80%8b", "%c2%ad", "%ef%bb%bf", "%09", "%01", "%7f", "%3f", "%23", "%00", "?", "&"})
	},
	func(r *rand.Rand, s string) string {
		return strings.Replace(s, "/", []string{"%2f", "%5c", `\`, "%ef%bc%8f", "%e2%88%95", "%e2%81%84", "%ef%bc%bc", "//"}[r.IntN(8)], 1)
	},
	func(r *rand.Rand, s string) string {
		return replaceLast(s, "/", []string{"%2f", "%5c", `\`, "%ef%bc%8f", "%e2%88%95", "%e2%81%84", "/;a=b/", "/. /"}[r.IntN(8)])
	},
	func(r *rand.Rand, s string) string {
		return strings.Replace(s, ".", []string{"%2e", "%ef%bc%8e", "%e2%80%a4", "%u002e"}[r.IntN(4)], 1)
	},
	func(r *rand.Rand, s string) string {
		i := r.IntN(len(s))
		return s[:i] + strings.ToUpper(s[i:min(i+1+r.IntN(8), len(s))]) + s[min(i+1+r.IntN(8), len(s)):]
	},
	func(r *rand.Rand, s string) string {
		return s + []string{"/", "/x", ".", "%20", ";x", "%00", "/..", "/x/..", "%2f..", "?x", "%3fx", "/index.php", ".bak", "~", ".php/", "%c2%a0", "/."}[r.IntN(17)]
	},
	func(r *rand.Rand, s string) string {
		return []string{"/index.php", "/x.php", "/a", "//", "/.", "/%2e", "/x/..", "/x/..;", "/;", "/%e2%80%8b", "/a/b.PHP"}[r.IntN(11)] + s
	},
	func(r *rand.Rand, s string) string {
		return strings.NewReplacer("s", "%c5%bf", "k", "%e2%84%aa", "i", "%c4%b1").Replace(s)
	},
}

func insert(r *rand.Rand, s, after string, what []string) string {
	w := what[r.IntN(len(what))]
	if after == "" {
		i := 1 + r.IntN(len(s))
		return s[:i] + w + s[i:]
	}
	at := []int{}
	for i := range s {
		if s[i] == after[0] {
			at = append(at, i+1)
		}
	}
	if len(at) == 0 {
		return s
	}
	i := at[r.IntN(len(at))]
	return s[:i] + w + s[i:]
}

func replaceLast(s, old, with string) string {
	if i := strings.LastIndex(s, old); i > 0 {
		return s[:i] + with + s[i+len(old):]
	}
	return s
}

// Whatever the local server refuses, nginx refuses: paths from the lists, in
// random disguises.
func TestNginxRefusesWhatLocalRefuses(t *testing.T) {
	n := 20000
	if testing.Short() {
		n = 4000
	}
	root := siteTree(t)
	for _, tier := range []string{plan.Fleet, plan.Admin} {
		in := serveNginx(t, wordpress(), tier, root, nil)
		local := table(t, tier)
		seed := uint64(time.Now().UnixNano())
		r := rand.New(rand.NewPCG(seed, 1))
		from := slices.Concat(adminSpellings, let, fileSpellings[ctlDenied], fileSpellings[ctlUploads], []string{"/wp-login.php", "/wp-admin/options.php", "/wp-json/wp/v2/users/1", "/xmlrpc.php", "/.git/HEAD"})
		refused, stricter, bad := 0, 0, 0
		for range n {
			s := from[r.IntN(len(from))]
			for range 1 + r.IntN(4) {
				s = disguises[r.IntN(len(disguises))](r, s)
			}
			u, err := url.ParseRequestURI(s)
			if err != nil || !sendable(s) || len(s) > 4000 || strings.HasPrefix(s, "//") && u.Host != "" {
				continue
			}
			rd := read(u)
			want := local.judge(&rd)
			if want == "" {
				req, _ := http.NewRequest("GET", "/", nil)
				req.URL = u
				if local.judgeQuery(&rd, req) != nil {
					want = ctlAdmin
				}
			}
			got := in.verdict(s)
			switch {
			case want != "":
				refused++
				if got == "" || !strings.HasPrefix(got, "webserver/") {
					if bad++; bad < 20 {
						t.Errorf("seed %d, %s %q: nginx says %q, the local server %s", seed, tier, s, got, want)
					}
				}
			case got != "":
				stricter++
			}
		}
		t.Logf("%s: of %d paths the local server refused %d; nginx refused these and %d more", tier, n, refused, stricter)
		if refused < n/10 {
			t.Errorf("only %d of %d paths were refused: want a test that tries something", refused, n)
		}
	}
}

func TestNginxPHP(t *testing.T) {
	root := siteTree(t)
	p := wordpress()
	p.Network.Host = testHost
	in := serveNginx(t, p, plan.Fleet, root, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Powered-By", "PHP/8.2")
		w.Header().Set("X-Accel-Redirect", "/wp-config.php")
		if r.URL.Path == "/cookie/" {
			w.Header().Set("Set-Cookie", "a=b")
		}
		io.WriteString(w, "app")
	})
	last := func() map[string]string { in.mu.Lock(); defer in.mu.Unlock(); return in.env[len(in.env)-1] }
	for _, tt := range []struct{ target, script, uri string }{
		{"/", "/index.php", "/"}, {"/index.php", "/index.php", "/index.php"}, {"/2026/hello/?p=1", "/index.php", "/2026/hello/?p=1"}, {"/index.php/2020/x/", "/index.php", "/index.php/2020/x/"},
		{"/wp-admin/admin-ajax.php?x=1", "/wp-admin/admin-ajax.php", "/wp-admin/admin-ajax.php?x=1"}, {"/a//b/../c?q=1", "/index.php", "/a/c?q=1"}, {"/tag/%e3%81%82/", "/index.php", "/tag/%e3%81%82/"},
		{"/missing.php", "/index.php", "/missing.php"}, {"/wp-content/uploads/none.jpg", "/index.php", "/wp-content/uploads/none.jpg"}, {"/link.txt", "/index.php", "/link.txt"}, {"/empty/", "/index.php", "/empty/"},
	} {
		g := in.raw("GET", tt.target, "", "X-Ringwall-Viewer: 203.0.113.9", "X-Forwarded-For: 6.6.6.6", "X_Forwarded_For: 6.6.6.6", "Proxy: http://evil", plan.HeaderSecret+": s3cret", "X-Original-Url: /wp-admin/", "X-Request-Id: 0123456789abcdef")
		if g.status != 200 || g.body != "app" {
			t.Errorf("%s: got %+v", tt.target, g)
			continue
		}
		e := last()
		for k, want := range map[string]string{"SCRIPT_NAME": tt.script, "SCRIPT_FILENAME": root + tt.script, "REQUEST_URI": tt.uri, "REMOTE_ADDR": "203.0.113.9", "HTTP_X_FORWARDED_FOR": "203.0.113.9", "HTTPS": "on",
			"HTTP_PROXY": "", "HTTP_X_RINGWALL_ORIGIN_SECRET": "", "HTTP_X_ORIGINAL_URL": "", "HTTP_HOST": testHost} {
			// net/http/fcgi keeps some variables for itself.
			if got, ok := e[k]; ok && got != want {
				t.Errorf("%s: %s is %q, want %q", tt.target, k, got, want)
			}
		}
		for k, v := range e {
			if strings.Contains(v, "6.6.6.6") || strings.Contains(v, "s3cret") || strings.Contains(v, "evil") {
				t.Errorf("%s: the app saw %s=%s", tt.target, k, v)
			}
		}
		in.mu.Lock()
		r := in.asked[len(in.asked)-1]
		in.mu.Unlock()
		if r.RequestURI != tt.uri && r.URL.RequestURI() != tt.uri {
			t.Errorf("%s: the app was asked for %s, want %s", tt.target, r.URL.RequestURI(), tt.uri)
		}
		if ip, _, _ := net.SplitHostPort(r.RemoteAddr); ip != "203.0.113.9" {
			t.Errorf("%s: the app saw the visitor %s", tt.target, r.RemoteAddr)
		}
		if g.header.Get("X-Powered-By") != "" || g.header.Get("X-Accel-Redirect") != "" || g.header.Get("Server") != "nginx" || g.header.Get(plan.HeaderRequest) != "0123456789abcdef" {
			t.Errorf("%s: got header %v", tt.target, g.header)
		}
	}
	// Escapes and untidy segments at once have no tidy spelling that FastCGI could be told.
	if g := in.raw("GET", "//tag/./%e3%81%82/?x=1", ""); g.status != 301 || g.header.Get("Location") != "/tag/%E3%81%82/?x=1" {
		t.Errorf("untidy: got %d to %s", g.status, g.header.Get("Location"))
	}
	if g := in.raw("GET", "/cookie/", ""); g.header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("an answer with a cookie: got %v", g.header)
	}
	if g := in.raw("GET", "/x", "", "Authorization: Basic eDp5"); g.header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("an answer to credentials: got %v", g.header)
	}
	if g := in.raw("GET", "/x", ""); g.header.Get("Cache-Control") != "" {
		t.Errorf("an answer to everybody: got %v", g.header)
	}
	for target, want := range map[string]struct {
		status     int
		body, kind string
	}{
		"/wp-content/themes/x/style.css": {200, "css", "text/css; charset=utf-8"}, "/sub": {301, "", ""}, "/sub/": {200, "index of sub", "text/html; charset=utf-8"},
		"/wp-content/uploads/2026/01/a.jpg": {200, "jpg", "image/jpeg"}, "/x.PHP": {403, "", ""}, "/wp-content/uploads/x.html": {200, "<script>", "text/html; charset=utf-8"},
	} {
		g := in.raw("GET", target, "")
		if g.status != want.status || want.body != "" && g.body != want.body || want.kind != "" && g.header.Get("Content-Type") != want.kind {
			t.Errorf("%s: got %+v", target, g)
		}
		if g.header.Get("X-Content-Type-Options") != "nosniff" && g.status == 200 {
			t.Errorf("%s: got header %v", target, g.header)
		}
	}
	if g := in.raw("GET", "/wp-content/uploads/x.html", ""); !strings.HasPrefix(g.header.Get("Content-Security-Policy"), "sandbox;") {
		t.Errorf("an uploaded page: got %v", g.header)
	}
	for _, m := range []string{"TRACE", "CONNECT", "TRACK", "DEBUG", "PROPFIND"} {
		if g := in.raw(m, "/", ""); g.status != 405 && g.status != 400 {
			t.Errorf("%s: got %d", m, g.status)
		}
	}
	if g := in.raw("POST", "/x", strings.Repeat("a", 2<<20)); g.status != 413 || g.class == "" {
		t.Errorf("a large body: got %d %+v", g.status, g)
	}
	if g := in.raw("GET", "/", "", "Host: other.test"); g.status != 421 || g.class != "this site does not answer to that name" {
		t.Errorf("another name: got %+v", g)
	}
	if g := in.raw("GET", p.Balancer.HealthPath, "", "Host: 10.0.1.10:8080"); g.status != 200 || g.body != "ok" {
		t.Errorf("health: got %+v", g)
	}
	if g := in.raw("GET", "/"+strings.Repeat("a", 60000), ""); g.status != 414 || strings.Contains(g.body, "nginx") {
		t.Errorf("a long address: got %d %.80s", g.status, g.body)
	}
	for _, accept := range []string{"text/html", "text/plain"} {
		g := in.raw("GET", "/.env", "", "Accept: "+accept)
		if strings.Contains(g.body, "nginx") || g.status != 403 {
			t.Errorf("%s: got %d %s", accept, g.status, g.body)
		}
	}
}

func TestNginxCommand(t *testing.T) {
	p := commandPlan()
	p.Webserver.AdminRoutes = append(p.Webserver.AdminRoutes, "/tools?dump")
	in := serveNginx(t, p, plan.Fleet, t.TempDir(), func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/uploads/x.svg" {
			w.Header().Set("Content-Type", "image/svg+xml")
		}
		fmt.Fprintf(w, "%s %s %s\n", r.Method, r.RequestURI, r.Host)
		r.Header.Write(w)
		io.Copy(w, r.Body)
	})
	g := in.raw("POST", "/a/./b%20c/?q=1&p=%41", "the body", plan.HeaderSecret+": s3cret", plan.HeaderViewer+": 203.0.113.9", plan.HeaderTier+": fleet",
		"X-Forwarded-For: 6.6.6.6", "X-Original-Url: /admin", "X_Evil: 1", "Proxy: http://evil", "Cookie: a=b", "X-Request-Id: 0123456789abcdef", "True-Client-Ip: 6.6.6.6", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAM")
	if !strings.HasPrefix(g.body, "POST /a/b%20c/?q=1&p=%41 "+testHost+"\n") || !strings.HasSuffix(g.body, "the body") {
		t.Errorf("got %+v", g)
	}
	for _, want := range []string{"X-Forwarded-For: 203.0.113.9\r\n", "X-Forwarded-Proto: https\r\n", "Cookie: a=b\r\n", "X-Request-Id: 0123456789abcdef\r\n"} {
		if !strings.Contains(g.body, want) {
			t.Errorf("the app did not see %q in %s", want, g.body)
		}
	}
	for _, bad := range []string{"s3cret", "6.6.6.6", "X-Original-Url", "evil", "Ringwall", "Upgrade:", "h2c"} {
		if strings.Contains(g.body, bad) {
			t.Errorf("the app saw %q in %s", bad, g.body)
		}
	}
	for _, s := range []string{"/admin/x", "/ADMIN", "/%61dmin/", "/a/..%2fadmin/x", "/admin;x/y", "/x/..;/admin/y", "/ws-admin", "/tools?dump", "/tools/?a=b&dump=1", "/%74ools?%64ump"} {
		if g := in.raw("GET", s, ""); g.status != 403 || g.class != refuse(ctlAdmin).Reason {
			t.Errorf("%s: got %+v", s, g)
		}
	}
	for _, s := range []string{"/tools", "/other?dump", "/a%20b", "/x;y"} {
		if g := in.raw("GET", s, ""); g.status != 200 {
			t.Errorf("%s: got %+v", s, g)
		}
	}
	for _, kind := range []string{"application/x-www-form-urlencoded", "multipart/form-data; boundary=x", " APPLICATION/X-WWW-FORM-URLENCODED"} {
		if g := in.raw("POST", "/tools", "dump=1", "Content-Type: "+kind); g.status != 403 {
			t.Errorf("a form at /tools: got %+v", g)
		}
	}
	if g := in.raw("POST", "/other", "dump=1", "Content-Type: application/x-www-form-urlencoded"); g.status != 200 {
		t.Errorf("a form elsewhere: got %+v", g)
	}
	if g := in.raw("GET", "/uploads/x.svg", ""); g.status != 200 {
		t.Errorf("an upload that the app serves: got %+v", g)
	}
	if g := in.raw("GET", "/a%2fb", ""); g.status != 400 || g.class != refuse(ctlPath).Reason {
		t.Errorf("an ambiguous path: got %+v", g)
	}
	p = commandPlan()
	p.Webserver.AdminRoutes = []string{"?do=admin*"}
	in = serveNginx(t, p, plan.Fleet, t.TempDir(), nil)
	if g := in.raw("POST", "/any", "do=x", "Content-Type: application/x-www-form-urlencoded"); g.status != 403 {
		t.Errorf("a form where any may name a route: got %+v", g)
	}
	if g := in.raw("POST", "/any", "{}", "Content-Type: application/json"); g.status != 200 {
		t.Errorf("what is no form: got %+v", g)
	}
}

func TestNginxStatic(t *testing.T) {
	dir := tree(t, map[string]string{"secret.txt": "outside", "www/index.html": "home", "www/a/b.css": "css", "www/a/index.html": "index of a", "www/up/x.html": "<script>", "www/up/x.php": "<?php", "www/out": "-> ../secret.txt", "www/x.php": "<?php"})
	p := &plan.Plan{Kind: plan.Static, Tiers: []plan.Tier{{Name: plan.Admin}, {Name: plan.Fleet}}, Files: plan.Files{Uploads: []string{"www/up"}},
		Webserver: plan.Webserver{Docroot: "www", AdminRoutes: []string{"/admin/*"}}}
	in := serveNginx(t, p, plan.Fleet, dir, nil)
	for target, want := range map[string]int{"/": 200, "/a/b.css": 200, "//a/./b.css": 200, "/a": 301, "/a/": 200, "/nothing": 404, "/out": 404, "/../secret.txt": 400, "/up/x.php": 403, "/x.php": 403, "/admin/": 403, "/up/x.html": 200} {
		if g := in.raw("GET", target, ""); g.status != want || g.status != 301 && strings.Contains(g.body, "nginx") {
			t.Errorf("%s: got %d, want %d: %s", target, g.status, want, g.body)
		}
	}
	if g := in.raw("POST", "/a/b.css", "x"); g.status != 405 {
		t.Errorf("POST to a file: got %d", g.status)
	}
}

// Every preset's table makes a configuration that nginx takes.
func TestNginxPresets(t *testing.T) {
	bin := nginxBinary(t)
	for _, preset := range plan.Presets() {
		dir := shortDir(t)
		file := filepath.Join(dir, "ringwall.yaml")
		text := "app: x\npreset: " + preset + "\nenvironments:\n  dev: {}\n"
		if preset != plan.PresetWordPress {
			text += "command: [/bin/true]\nfiles: {source: .}\n"
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := plan.Load(plan.Options{File: file, Getenv: func(string) string { return "" }})
		if err != nil {
			t.Fatal(err)
		}
		for _, tier := range p.Tiers {
			conf, err := Nginx(p, tier.Name, NginxOptions{Listen: "unix:" + dir + "/s", Run: dir, Log: dir, User: "root"})
			if err != nil {
				t.Fatal(err)
			}
			os.WriteFile(dir+"/nginx.conf", []byte(conf), 0o600)
			if out, err := exec.Command(bin, "-t", "-q", "-e", dir+"/e", "-c", dir+"/nginx.conf").CombinedOutput(); err != nil {
				t.Errorf("%s %s: %v: %s", preset, tier.Name, err, out)
			}
			if again, _ := Nginx(p, tier.Name, NginxOptions{Listen: "unix:" + dir + "/s", Run: dir, Log: dir, User: "root"}); again != conf {
				t.Errorf("%s %s: two runs differ", preset, tier.Name)
			}
			var z bytes.Buffer
			w, _ := gzip.NewWriterLevel(&z, 9)
			io.WriteString(w, conf)
			w.Close()
			t.Logf("%s %s: %d bytes, %d packed", preset, tier.Name, len(conf), z.Len())
		}
	}
}

// A hostile address costs no more than its length.
func TestNginxPatternsAreQuick(t *testing.T) {
	in := serveNginx(t, wordpress(), plan.Fleet, siteTree(t), nil)
	in.raw("GET", "/", "") // its workers are there
	for _, unit := range []string{";", "/;", "%3b/", `\`, ";%5c", "%25", "%e2%80%8b", "%ef%bc%8f", "a/.;", "/wp-json;", ".php/", ".php.", "/wp-admin%20", "rest_route=", "&rest_route=/wp", "?rest_route=/w%2", "%2e/"} {
		s := "/x;" + strings.Repeat(unit, 7000/len(unit))
		if strings.Contains(unit, "rest") {
			s = "/?" + strings.Repeat(unit, 7000/len(unit))
		}
		start := in.worked()
		in.raw("GET", s, "")
		if d := in.worked() - start; d > time.Second {
			t.Errorf("%d times %q took %v of a processor, want less than 1 s", 7000/len(unit), unit, d)
		}
	}
}

// worked is the processor time that nginx's workers have used, to a hundredth of a
// second: what else the machine does is not in it.
func (in *instance) worked() time.Duration {
	in.t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		in.t.Fatal(err)
	}
	var ticks, workers int
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // from the state on, proc(5)
		if parent, err := strconv.Atoi(f[1]); err != nil || parent != in.pid {
			continue
		}
		user, err1 := strconv.Atoi(f[11])
		system, err2 := strconv.Atoi(f[12])
		if err1 != nil || err2 != nil {
			in.t.Fatalf("reading %s: %s", file, b)
		}
		ticks, workers = ticks+user+system, workers+1
	}
	if workers == 0 {
		in.t.Fatal("nginx has no worker")
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
