package edge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dop251/goja"

	"github.com/ringwall/ringwall/plan"
)

func functionPlan() *plan.Plan {
	match := func(list ...string) (m plan.Match) {
		for _, s := range list {
			m.Prefixes = append(m.Prefixes, netip.MustParsePrefix(s))
		}
		return m
	}
	return &plan.Plan{
		Network:  plan.Network{Host: "www.example.com", Hosts: []string{"www.example.com", "localhost:8443", "127.0.0.2:8444", "alias.example.com:444"}},
		Balancer: plan.Balancer{Admins: match("192.0.2.1/32", "198.51.100.64/26", "10.0.0.0/9", "2001:db8:7::/48", "2001:db8:8::1/128", "2001:db8:9:8000::/49")},
		Edge: plan.Edge{Allowed: plan.Match{Any: true}, Cache: plan.Cache{
			Uncached:         []string{"/wp-login.php*", "/wp-admin/*", "*rest_route*", "/contact/", "*preview=*"},
			ForwardedCookies: []string{"comment_author_*", "wordpress_test_cookie"},
		}},
	}
}

// A cffValue is a header, a cookie or a parameter of a CloudFront event.
type cffValue struct {
	Value string     `json:"value"`
	Multi []cffValue `json:"multiValue,omitempty"`
}

type cffRequest struct {
	Method  string              `json:"method"`
	URI     string              `json:"uri"`
	Query   map[string]cffValue `json:"querystring"`
	Headers map[string]cffValue `json:"headers"`
	Cookies map[string]cffValue `json:"cookies"`

	StatusCode int `json:"statusCode"` // of a refusal
	Body       struct {
		Data string `json:"data"`
	} `json:"body"`
}

type cffEvent struct {
	Context map[string]string `json:"context"`
	Viewer  map[string]string `json:"viewer"`
	Request cffRequest        `json:"request"`
}

// event is a viewer's request as CloudFront tells the function of it.
func event(ip, target string, header ...string) cffEvent {
	uri, rawQuery, _ := strings.Cut(target, "?")
	e := cffEvent{Context: map[string]string{"requestId": "req-1", "eventType": "viewer-request"}, Viewer: map[string]string{"ip": ip},
		Request: cffRequest{Method: "GET", URI: uri, Query: map[string]cffValue{}, Headers: map[string]cffValue{"host": {Value: "www.example.com"}}, Cookies: map[string]cffValue{}}}
	for part := range strings.SplitSeq(rawQuery, "&") {
		if k, v, _ := strings.Cut(part, "="); k != "" {
			e.Request.Query[k] = cffValue{Value: v}
		}
	}
	for _, h := range header {
		k, v, _ := strings.Cut(h, ": ")
		k = strings.ToLower(k)
		if k == "cookie" {
			for c := range strings.SplitSeq(v, "; ") {
				n, v, _ := strings.Cut(c, "=")
				e.Request.Cookies[n] = cffValue{Value: v}
			}
			continue
		}
		if old, ok := e.Request.Headers[k]; ok && k != "host" {
			if old.Multi == nil {
				old.Multi = []cffValue{{Value: old.Value}}
			}
			old.Multi = append(old.Multi, cffValue{Value: v})
			e.Request.Headers[k] = old
			continue
		}
		e.Request.Headers[k] = cffValue{Value: v}
	}
	return e
}

// A runner runs a function on events.
type runner func(t testing.TB, code string, events []cffEvent) []cffRequest

func inGoja(t testing.TB, code string, events []cffEvent) []cffRequest {
	t.Helper()
	vm := goja.New()
	if _, err := vm.RunString(code); err != nil {
		t.Fatal(err)
	}
	v, err := vm.RunString(`(function (s) { return JSON.stringify(JSON.parse(s).map(function (e) { return handler(e) })) })`)
	if err != nil {
		t.Fatal(err)
	}
	call, _ := goja.AssertFunction(v)
	in, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	got, err := call(goja.Undefined(), vm.ToValue(string(in)))
	if err != nil {
		t.Fatal(err)
	}
	var out []cffRequest
	if err := json.Unmarshal([]byte(got.String()), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func inNode(t testing.TB, code string, events []cffEvent) []cffRequest {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("NOT RUN: %v; scripts/setup test installs it", err)
	}
	in, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.(*testing.T).TempDir(), "f.js")
	code += "\nprocess.stdout.write(JSON.stringify(JSON.parse(require('fs').readFileSync(0, 'utf8')).map(function (e) { return handler(e) })));"
	if err := os.WriteFile(file, []byte("'use strict';\n"+code), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, file)
	cmd.Stdin = bytes.NewReader(in)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v: %s", err, stderr.String())
	}
	var out []cffRequest
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// runners are the two engines; each case runs in both.
var runners = map[string]runner{"goja": inGoja, "node": inNode}

func mustFunctions(t testing.TB, p *plan.Plan) Functions {
	t.Helper()
	f, err := NewFunctions(p)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Request) > maxFunction {
		t.Fatalf("got a function of %d bytes, want %d at most", len(f.Request), maxFunction)
	}
	return f
}

// Who is an administrator: by blocks, whatever the viewer says.
func TestFunctionTier(t *testing.T) {
	p := functionPlan()
	f := mustFunctions(t, p)
	t.Logf("%d bytes", len(f.Request))
	ips := []string{"192.0.2.1", "192.0.2.2", "192.0.2.0", "198.51.100.63", "198.51.100.64", "198.51.100.127", "198.51.100.128", "10.127.255.255", "10.128.0.0", "9.255.255.255", "203.0.113.9",
		"2001:db8:7::", "2001:db8:7:ffff:ffff:ffff:ffff:ffff", "2001:db8:6:ffff::1", "2001:db8:8::", "2001:db8:8::1", "2001:db8:8::2", "2001:db8:8:0:0:0:0:1", "2001:0db8:0008:0000:0000:0000:0000:0001",
		"2001:db8:9:7fff::1", "2001:db8:9:8000::1", "2001:db8:9:ffff::", "2001:db8:a::", "::ffff:192.0.2.1", "::ffff:192.0.2.2", "::ffff:c000:201", "::", "::1", "fe80::1", "2001:DB8:7::A", "1::", "::192.0.2.1"}
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var b [16]byte
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		a := netip.AddrFrom16(b)
		switch r.IntN(4) {
		case 0:
			a = netip.AddrFrom4([4]byte(b[:4]))
		case 1: // next to a block
			pre := p.Balancer.Admins.Prefixes[r.IntN(len(p.Balancer.Admins.Prefixes))]
			x := pre.Addr().AsSlice()
			x[r.IntN(len(x))] ^= 1 << r.IntN(8)
			a, _ = netip.AddrFromSlice(x)
		}
		ips = append(ips, a.String())
	}
	var events []cffEvent
	for _, ip := range ips {
		events = append(events, event(ip, "/"))
	}
	var junk []cffEvent
	for _, ip := range []string{"", "x", "1.2.3", "192.0.2.1.1", "192.0.2.256", "::1::2", "12345::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", ":", "g::"} {
		junk = append(junk, event(ip, "/"))
	}
	for name, run := range runners {
		for i, got := range run(t, f.Request, events) {
			want := "fleet"
			if p.Balancer.Admins.Has(netip.MustParseAddr(ips[i])) {
				want = "admin"
			}
			if got.Headers["x-ringwall-tier"].Value != want || got.Headers["x-ringwall-viewer"].Value != ips[i] {
				t.Errorf("%s %s: got %v, want %s", name, ips[i], got.Headers, want)
			}
		}
		for _, got := range run(t, f.Request, junk) {
			if got.Headers["x-ringwall-tier"].Value != "fleet" {
				t.Errorf("%s %q, which is no address: got %v", name, got.Headers["x-ringwall-viewer"].Value, got.Headers)
			}
		}
	}
}

// The cases of the probe edge/viewer-header and edge/secret-header.
func TestFunctionHeaders(t *testing.T) {
	f := mustFunctions(t, functionPlan())
	office := "192.0.2.1"
	claims := append(viewerHeaders(office), plan.HeaderSecret+": 0", "x_ringwall_origin_secret: 0", plan.HeaderTier+": admin", "X_Ringwall_Tier: admin", plan.HeaderStore+": public", "X-Ringwall-Anything: 1",
		"Proxy: http://evil", "X-Original-URL: /wp-admin/", "X_Original_URL: /wp-admin/", "Content_Type: text/html", "X.Request.Id: mine", "X-Request-Id: mine", "Cookie_: a", "X-Middleware-Subrequest: x")
	for name, run := range runners {
		all := event("203.0.113.9", "/", append(claims, "User-Agent: x", "Accept-Language: en", "Via: 1.1 proxy", "Content-Length: 3")...)
		got := run(t, f.Request, []cffEvent{all})[0]
		for k, v := range got.Headers {
			canonical := textproto.CanonicalMIMEHeaderKey(k)
			ours := strings.HasPrefix(k, "x-ringwall-") || k == "x-request-id"
			if !ours && canonical != "Via" && stripped(canonical) {
				t.Errorf("%s: the header %s: %s went through", name, k, v.Value)
			}
			if v.Value == office || strings.Contains(v.Value, office) && k != "via" && k != "connection" {
				t.Errorf("%s: %s went through with %s", name, k, v.Value)
			}
		}
		for k, want := range map[string]string{"x-ringwall-viewer": "203.0.113.9", "x-ringwall-tier": "fleet", "x-request-id": "req-1", "user-agent": "x", "accept-language": "en", "host": "www.example.com"} {
			if h := got.Headers[k]; h.Value != want || len(h.Multi) > 0 {
				t.Errorf("%s: %s is %q (and %v), want %q", name, k, h.Value, h.Multi, want)
			}
		}
		if _, ok := got.Headers["x-ringwall-origin-secret"]; ok {
			t.Errorf("%s: a viewer's secret went through", name)
		}
		// CloudFront ends a request with 502 when a function changes these.
		for _, k := range []string{"host", "via", "content-length"} {
			if got.Headers[k].Value != all.Request.Headers[k].Value {
				t.Errorf("%s: the function changed %s, which CloudFront keeps for itself", name, k)
			}
		}
		for _, double := range []string{"authorization", "content-type"} {
			if got := run(t, f.Request, []cffEvent{event("203.0.113.9", "/", double+": a", double+": b")})[0]; got.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: two of %s: got %+v", name, double, got)
			}
		}
	}
}

// The cases of edge/cache-privilege, edge/uncached-paths and edge/cache-cookies:
// what is not for everybody has a key of its own.
func TestFunctionStore(t *testing.T) {
	p := functionPlan()
	f := mustFunctions(t, p)
	e := &Edge{p: p, uncached: p.Edge.Cache.Uncached}
	targets := []string{"/", "/2026/hello/", "/wp-login.php", "/wp-login.php?x=1", "/wp-admin/", "/wp-admin/x.css", "/wp-admin", "/contact/", "/contact", "/contact/x", "/%77p-login.php", "/a/../wp-login.php", "/a/./b", "//wp-admin/x",
		"/a/%2e%2e/wp-admin/x", "/?rest_route=/wp/v2/posts", "/x?preview=true", "/x?a=b&preview=1", "/wp-json/", "/%zz", "/%ff", "/contact/.", "/x/../contact/", "/a%20b", "/WP-ADMIN/", "/.", "/wp-admin/..", "/x?y=rest_route"}
	type one struct {
		ip, target string
		header     []string
		public     bool
	}
	var cases []one
	for _, s := range targets {
		u, err := url.ParseRequestURI(s)
		public := err == nil && !e.isUncached(&http.Request{URL: u, RequestURI: s}, cleanPath(u.Path))
		if s == "/%ff" || s == "/contact/." {
			public = false // stricter here
		}
		cases = append(cases, one{"203.0.113.9", s, nil, public})
	}
	cases = append(cases,
		one{"192.0.2.1", "/", nil, false}, one{"203.0.113.9", "/", []string{"Authorization: Basic eDp5"}, false},
		one{"203.0.113.9", "/", []string{"Cookie: comment_author_1=x; PHPSESSID=y"}, false}, one{"203.0.113.9", "/", []string{"Cookie: PHPSESSID=y"}, true},
		one{"203.0.113.9", "/", []string{plan.HeaderStore + ": public", "Cookie: wordpress_test_cookie=1"}, false})
	var events []cffEvent
	for _, c := range cases {
		events = append(events, event(c.ip, c.target, c.header...))
	}
	for name, run := range runners {
		for i, got := range run(t, f.Request, events) {
			want := "req-1"
			if cases[i].public {
				want = "public"
			}
			if s := got.Headers["x-ringwall-store"].Value; s != want {
				t.Errorf("%s %+v: got %q, want %q", name, cases[i], s, want)
			}
			if _, ok := got.Cookies["PHPSESSID"]; ok {
				t.Errorf("%s: a cookie that is not forwarded went through", name)
			}
		}
		got := run(t, f.Request, []cffEvent{event("192.0.2.1", "/", "Cookie: PHPSESSID=y; a=b")})[0]
		if len(got.Cookies) != 2 {
			t.Errorf("%s: an administrator's cookies: got %v", name, got.Cookies)
		}
	}
}

// The cases of edge/waf-method: administrators may use every method that CloudFront
// passes on.
func TestFunctionMethods(t *testing.T) {
	f := mustFunctions(t, functionPlan())
	var events []cffEvent
	var want []int
	for _, ip := range []string{"198.51.100.9", "192.0.2.1"} {
		for _, m := range []string{"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"} {
			e := event(ip, "/", "Accept: application/json")
			e.Request.Method = m
			events = append(events, e)
			status := 0
			if ip == "198.51.100.9" && (m == "PUT" || m == "PATCH" || m == "DELETE") {
				status = 403
			}
			want = append(want, status)
		}
	}
	for name, run := range runners {
		for i, got := range run(t, f.Request, events) {
			if got.StatusCode != want[i] || want[i] != 0 && !strings.Contains(got.Body.Data, reason("edge/waf-method")) {
				t.Errorf("%s: %s of %s: got %d %q, want %d", name, events[i].Request.Method, events[i].Viewer["ip"], got.StatusCode, got.Body.Data, want[i])
			}
		}
	}
}

// The cases of edge/allow-list and network/known-host.
func TestFunctionRefusals(t *testing.T) {
	p := functionPlan()
	p.Edge.Allowed = plan.Match{Prefixes: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("192.0.2.1/32")}}
	f := mustFunctions(t, p)
	if !f.KeepsOthers {
		t.Error("an allow list of three blocks does not fit")
	}
	cases := []struct {
		ip, host string
		status   int
		class    string
	}{
		{"203.0.113.9", "www.example.com", 0, ""}, {"203.0.113.9", "WWW.Example.com", 0, ""}, {"203.0.113.9", "alias.example.com", 0, ""}, {"2001:db8::9", "www.example.com", 0, ""},
		{"198.51.100.9", "www.example.com", 403, classAllow}, {"2001:db9::", "www.example.com", 403, classAllow}, {"junk", "www.example.com", 403, classAllow},
		{"203.0.113.9", "d111111abcdef8.cloudfront.net", 421, "this site does not answer to that name"}, {"203.0.113.9", "localhost", 421, ""}, {"203.0.113.9", "www.example.com:8443", 421, ""}, {"203.0.113.9", "", 421, ""},
	}
	var events []cffEvent
	for _, tt := range cases {
		events = append(events, event(tt.ip, "/", "Host: "+tt.host, "Accept: application/json", "X-Forwarded-For: 203.0.113.9"))
	}
	for name, run := range runners {
		for i, got := range run(t, f.Request, events) {
			tt := cases[i]
			var page struct {
				Class string `json:"class"`
				ID    string `json:"request_id"`
			}
			if got.StatusCode != tt.status {
				t.Errorf("%s %s %s: got %d, want %d", name, tt.ip, tt.host, got.StatusCode, tt.status)
			} else if tt.class != "" {
				if err := json.Unmarshal([]byte(got.Body.Data), &page); err != nil || page.Class != tt.class || page.ID != got.Headers["x-request-id"].Value {
					t.Errorf("%s %s %s: got %+v, %v", name, tt.ip, tt.host, got, err)
				}
			}
		}
	}
}

func TestFunctionResponse(t *testing.T) {
	f := mustFunctions(t, functionPlan())
	vm := goja.New()
	if _, err := vm.RunString(f.Response); err != nil {
		t.Fatal(err)
	}
	v, err := vm.RunString(`JSON.stringify(handler({context: {requestId: "new"}, response: {statusCode: 200, headers: {"x-request-id": {value: "old"}, "x-ringwall-unreached": {value: "1"}, etag: {value: "x"}}}}))`)
	if err != nil || v.String() != `{"statusCode":200,"headers":{"x-request-id":{"value":"new"},"etag":{"value":"x"}}}` {
		t.Errorf("got %v, %v", v, err)
	}
}

// A long allow list is the web ACL's; too many administrators are an error.
func TestFunctionSize(t *testing.T) {
	p := functionPlan()
	many := plan.Match{}
	for i := range 1500 {
		many.Prefixes = append(many.Prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte{11, byte(i >> 8), byte(i), 0}), 24))
	}
	p.Edge.Allowed = many
	f := mustFunctions(t, p)
	if f.KeepsOthers {
		t.Error("an allow list of 1500 blocks fits: want it left to the web ACL")
	}
	p.Balancer.Admins = many
	if _, err := NewFunctions(p); err == nil || !strings.Contains(err.Error(), "1500 blocks of administrators") {
		t.Errorf("got %v", err)
	}
	p.Balancer.Admins = plan.Match{Any: true}
	if _, err := NewFunctions(p); err == nil {
		t.Error("everybody is an administrator: want an error")
	}
}

func BenchmarkFunction(b *testing.B) {
	f := mustFunctions(b, functionPlan())
	vm := goja.New()
	vm.RunString(f.Request)
	h, _ := goja.AssertFunction(vm.Get("handler"))
	in, _ := json.Marshal(event("203.0.113.9", "/wp-content/x.css"))
	e, _ := vm.RunString(fmt.Sprintf("(%s)", in))
	for b.Loop() {
		h(goja.Undefined(), e)
	}
}
