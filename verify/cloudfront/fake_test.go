// Package cloudfront tests how probes judge a site behind CloudFront: against a
// stand-in of it that runs what synth writes (the web ACL, the functions) and
// answers in CloudFront's own words where CloudFront does.
package cloudfront

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dop251/goja"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/internal/tlsca"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/webserver"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/synth"
)

type object = map[string]any

// A distribution is the stand-in.
type distribution struct {
	t         testing.TB
	plan      *plan.Plan
	resources object
	origin    map[string]http.Handler // by tier
	roots     *x509.CertPool
	https     string
	http      string

	mu      sync.Mutex
	request *goja.Runtime
	viewer  netip.Addr
	store   map[string]*httptest.ResponseRecorder
	down    down
}

// down says which walls are down.
type down struct {
	rules     []string // of the web ACL, by name
	methods   bool     // CloudFront passes every method on
	long      bool     // and every address
	hosts     bool     // and every name
	plain     bool     // port 80 serves
	headers   bool     // no policy for headers
	function  string   // a part of the request function that is taken out, as a pattern
	ids       bool     // the viewer's own request id is used
	sharedKey bool     // everything has one key in the cache
	admin     bool     // every viewer is an administrator
	trusting  bool     // a viewer is who it says it is
}

func newDistribution(t *testing.T) *distribution {
	t.Helper()
	p, err := plan.Load(plan.Options{File: "../../plan/testdata/template.properties", Site: "wp-dev", Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	p.Network.Rate.PerMinute, p.Balancer.HealthPath = 600000, "/index.html"
	set, _, err := synth.Build(p)
	if err != nil {
		t.Fatal(err)
	}
	templates, err := set.Templates()
	if err != nil {
		t.Fatal(err)
	}
	d := &distribution{t: t, plan: p, origin: map[string]http.Handler{}, roots: x509.NewCertPool(), viewer: netip.MustParseAddr("192.0.2.77"), store: map[string]*httptest.ResponseRecorder{}}
	for _, x := range templates {
		if x.Role == plan.StackCDN {
			var all struct{ Resources object }
			if err := json.Unmarshal(x.CompactJSON(), &all); err != nil {
				t.Fatal(err)
			}
			d.resources = all.Resources
		}
	}
	root := t.TempDir()
	for name, text := range map[string]string{"index.html": "<h1>hello</h1>", "style.css": "p{}"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	static := *p
	static.Kind = plan.Static
	for _, tier := range p.Tiers {
		h, err := webserver.New(&static, tier.Name, webserver.App{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		d.origin[tier.Name] = proxy.ReplyInner(h, func(*proxy.Event) {})
	}
	ca, err := tlsca.Open(t.TempDir(), []string{p.Network.Host})
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.Issue([]string{p.Network.Host})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	d.roots.AppendCertsFromPEM(ca.PEM())
	serve := func(c *tls.Config, h http.HandlerFunc) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: h, MaxHeaderBytes: 64 << 10, TLSConfig: c, ErrorLog: nil}
		t.Cleanup(func() { s.Close() })
		if c != nil {
			go s.ServeTLS(ln, "", "")
		} else {
			go s.Serve(ln)
		}
		return ln.Addr().String()
	}
	d.https = serve(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}, d.serve)
	d.http = serve(nil, d.redirect)
	d.take(down{})
	return d
}

// take takes walls down, and puts all others up.
func (d *distribution) take(x down) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down, d.store = x, map[string]*httptest.ResponseRecorder{}
	code := d.text("RequestFunction", "FunctionCode")
	if x.function != "" {
		rx := regexp.MustCompile(x.function)
		if !rx.MatchString(code) {
			d.t.Fatalf("the function has no %s", x.function)
		}
		code = rx.ReplaceAllString(code, "")
	}
	d.request = goja.New()
	if _, err := d.request.RunString(code); err != nil {
		d.t.Fatal(err)
	}
}

func (d *distribution) text(id, property string) string {
	s, _ := d.resources[id].(object)["Properties"].(object)[property].(string)
	return s
}

// target is the distribution as a probe meets it.
func (d *distribution) target() *perimeter.Target {
	return &perimeter.Target{Plan: d.plan, URL: "https://" + d.plan.Network.Host, Roots: d.roots, Cloud: &perimeter.Cloud{}, From: func(node string) (perimeter.Dialer, error) {
		if node != plan.Internet {
			return nil, fmt.Errorf("only the internet is at hand from here")
		}
		return func(ctx context.Context, network, address string) (net.Conn, error) {
			to := d.https
			if strings.HasSuffix(address, ":80") {
				to = d.http
			}
			return perimeter.Own(ctx, network, to)
		}, nil
	}}
}

// page is CloudFront's own.
func page(w http.ResponseWriter, status int, words string) {
	w.Header().Set("X-Cache", "Error from cloudfront")
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<HTML><BODY><H1>%d ERROR</H1><H2>The request could not be satisfied.</H2>%s<PRE>Generated by cloudfront (CloudFront)</PRE></BODY></HTML>", status, words)
}

func (d *distribution) mark(w http.ResponseWriter) string {
	id := rand.Text()
	w.Header().Set("X-Amz-Cf-Id", id)
	w.Header().Set("X-Amz-Cf-Pop", "FRA56-P1")
	w.Header().Set("Via", "1.1 abc.cloudfront.net (CloudFront)")
	w.Header().Set("Server", "CloudFront")
	return id
}

func (d *distribution) redirect(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mark(w)
	switch {
	case r.Host != d.plan.Network.Host && !d.down.hosts:
		page(w, 403, "Bad request.")
	case d.down.plain:
		fmt.Fprint(w, "<h1>hello</h1>")
	default:
		w.Header().Set("Location", "https://"+r.Host+r.RequestURI)
		w.Header().Set("X-Cache", "Redirect from cloudfront")
		w.WriteHeader(map[bool]int{true: 301, false: 307}[r.Method == "GET" || r.Method == "HEAD"])
		fmt.Fprint(w, "<html><head><title>301 Moved Permanently</title></head><body></body></html>")
	}
}

func (d *distribution) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	id := d.mark(w)
	methods := []string{"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"}
	switch {
	case !slices.Contains(methods, r.Method) && !d.down.methods:
		page(w, 403, "This distribution is not configured to allow the HTTP request method that was used for this request.")
		return
	case len(r.RequestURI) > 8192 && !d.down.long:
		page(w, 414, "Bad request.")
		return
	case r.Host != d.plan.Network.Host && !d.down.hosts:
		page(w, 403, "Bad request.")
		return
	case d.firewall(w, r, string(body)):
		return
	}
	q, refused := d.function(r, id)
	if refused != nil {
		w.Header().Set("X-Cache", "FunctionGeneratedResponse from cloudfront")
		for k, v := range refused["headers"].(object) {
			w.Header().Set(k, v.(object)["value"].(string))
		}
		w.WriteHeader(int(refused["statusCode"].(int64)))
		fmt.Fprint(w, refused["body"].(object)["data"])
		return
	}
	key := r.Host + " " + r.RequestURI
	if !d.down.sharedKey {
		key += " " + q.Get(plan.HeaderStore) + " " + q.Get(plan.HeaderTier) + " " + q.Get("Authorization") + " " + q.Get("Cookie")
	}
	if d.down.ids && r.Header.Get(plan.HeaderRequest) != "" {
		id = r.Header.Get(plan.HeaderRequest)
	}
	rec, hit := d.store[key]
	if !hit || r.Method != "GET" {
		hit = false
		rec = httptest.NewRecorder()
		in := httptest.NewRequest(r.Method, r.RequestURI, bytes.NewReader(body))
		in.Host, in.Header = r.Host, q
		in.Header.Set(plan.HeaderRequest, id)
		tier := q.Get(plan.HeaderTier)
		if d.down.admin {
			tier = plan.Admin
		}
		d.origin[tier].ServeHTTP(rec, in)
		cc := rec.Header().Get("Cache-Control")
		if r.Method == "GET" && rec.Code == 200 && !strings.Contains(cc, "no-store") && !strings.Contains(cc, "private") && (q.Get(plan.HeaderStore) == "public" || d.down.sharedKey) {
			d.store[key] = rec
		}
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.Header().Set("X-Cache", map[bool]string{true: "Hit from cloudfront", false: "Miss from cloudfront"}[hit])
	if hit {
		w.Header().Set("Age", "1")
	}
	if rec.Code < 400 { // the response function
		w.Header().Set(plan.HeaderRequest, id)
	} else {
		w.Header().Set("X-Cache", "Error from cloudfront")
	}
	if d.down.headers {
		for _, h := range []string{"Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy"} {
			w.Header().Del(h)
		}
		w.Header().Set("Server", "nginx/1.28")
	} else {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		for k, v := range map[string]string{"X-Frame-Options": "SAMEORIGIN", "Referrer-Policy": "no-referrer"} {
			if w.Header().Get(k) == "" {
				w.Header().Set(k, v)
			}
		}
	}
	w.WriteHeader(rec.Code)
	w.Write(rec.Body.Bytes())
}

// function runs the request function, and gives what the origin is sent, or the
// function's own answer.
func (d *distribution) function(r *http.Request, id string) (http.Header, object) {
	value := func(list []string) object {
		v := object{"value": list[0]}
		if len(list) > 1 {
			var multi []any
			for _, x := range list {
				multi = append(multi, object{"value": x})
			}
			v["multiValue"] = multi
		}
		return v
	}
	headers, cookies, query := object{"host": object{"value": r.Host}}, object{}, object{}
	for k, v := range r.Header {
		if k != "Cookie" {
			headers[strings.ToLower(k)] = value(v)
		}
	}
	for _, c := range r.Cookies() {
		cookies[c.Name] = object{"value": c.Value}
	}
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if k, v, _ := strings.Cut(part, "="); part != "" {
			query[k] = object{"value": v}
		}
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	ip := d.viewer.String()
	if claim := r.Header.Get("X-Forwarded-For"); claim != "" && d.down.trusting {
		ip = claim
	}
	event := object{"context": object{"requestId": id}, "viewer": object{"ip": ip},
		"request": object{"method": r.Method, "uri": path, "querystring": query, "headers": headers, "cookies": cookies}}
	b, _ := json.Marshal(event)
	if err := d.request.Set("input", string(b)); err != nil {
		d.t.Fatal(err)
	}
	v, err := d.request.RunString("handler(JSON.parse(input))")
	if err != nil {
		d.t.Fatal(err)
	}
	out := v.Export().(object)
	if out["statusCode"] != nil {
		return nil, out
	}
	h := http.Header{}
	for k, v := range out["headers"].(object) {
		h.Set(k, v.(object)["value"].(string))
	}
	for k, v := range out["cookies"].(object) {
		h.Add("Cookie", k+"="+v.(object)["value"].(string))
	}
	return h, nil
}

// A managed rule is one of AWS's, as far as AWS documents it.
type managed struct {
	group, name, label, in string
	rx                     *regexp.Regexp // nil: it is about the size
}

func (m managed) matches(text string) bool {
	if m.rx == nil {
		return len(text) > map[string]int{"query": 2048, "body": 8192}[m.in]
	}
	return m.rx.MatchString(text)
}

var managedRules = []managed{
	{"AWSManagedRulesCommonRuleSet", "CrossSiteScripting_QUERYARGUMENTS", "", "query", regexp.MustCompile(`(?i)<script`)},
	{"AWSManagedRulesCommonRuleSet", "CrossSiteScripting_BODY", "awswaf:managed:aws:core-rule-set:CrossSiteScripting_Body", "body", regexp.MustCompile(`(?i)<script`)},
	{"AWSManagedRulesCommonRuleSet", "GenericLFI_QUERYARGUMENTS", "", "query", regexp.MustCompile(`\.\./`)},
	{"AWSManagedRulesCommonRuleSet", "GenericLFI_BODY", "awswaf:managed:aws:core-rule-set:GenericLFI_Body", "body", regexp.MustCompile(`\.\./`)},
	{"AWSManagedRulesCommonRuleSet", "GenericRFI_QUERYARGUMENTS", "", "query", regexp.MustCompile(`(?i)(ftp|https?)://\d+\.\d+\.\d+\.\d+`)},
	{"AWSManagedRulesCommonRuleSet", "GenericRFI_BODY", "awswaf:managed:aws:core-rule-set:GenericRFI_Body", "body", regexp.MustCompile(`(?i)(ftp|https?)://\d+\.\d+\.\d+\.\d+`)},
	{"AWSManagedRulesCommonRuleSet", "SizeRestrictions_QUERYSTRING", "", "query", nil},
	{"AWSManagedRulesCommonRuleSet", "SizeRestrictions_BODY", "awswaf:managed:aws:core-rule-set:SizeRestrictions_Body", "body", nil},
	{"AWSManagedRulesSQLiRuleSet", "SQLi_QUERYARGUMENTS", "", "query", regexp.MustCompile(`(?i)union select|' or '1'='1`)},
	{"AWSManagedRulesSQLiRuleSet", "SQLi_BODY", "awswaf:managed:aws:sql-database:SQLi_Body", "body", regexp.MustCompile(`(?i)union select|' or '1'='1`)},
}

// firewall judges a request by the web ACL, and answers where it refuses.
func (d *distribution) firewall(w http.ResponseWriter, r *http.Request, body string) bool {
	acl := d.resources["WebACL"].(object)["Properties"].(object)
	query, _ := url.PathUnescape(strings.ReplaceAll(r.URL.RawQuery, "+", " "))
	if strings.Contains(r.Header.Get("Content-Type"), "urlencoded") {
		body, _ = url.QueryUnescape(body)
	}
	labels := map[string]bool{}
	for _, x := range acl["Rules"].([]any) {
		rule := x.(object)
		if slices.Contains(d.down.rules, rule["Name"].(string)) {
			continue
		}
		s := rule["Statement"].(object)
		if group, ok := s["ManagedRuleGroupStatement"].(object); ok {
			counted := map[string]bool{}
			overrides, _ := group["RuleActionOverrides"].([]any)
			for _, o := range overrides {
				counted[o.(object)["Name"].(string)] = true
			}
			for _, m := range managedRules {
				text := map[string]string{"query": query, "body": body}[m.in]
				switch {
				case m.group != group["Name"] || !m.matches(text):
				case counted[m.name]:
					labels[m.label] = true
				default:
					page(w, 403, "Request blocked. We can't connect to the server for this app or website at this time.")
					return true
				}
			}
			continue
		}
		if !d.matches(s, body, labels) {
			continue
		}
		custom := rule["Action"].(object)["Block"].(object)["CustomResponse"].(object)
		text := acl["CustomResponseBodies"].(object)[custom["CustomResponseBodyKey"].(string)].(object)
		for _, h := range custom["ResponseHeaders"].([]any) {
			w.Header().Set(h.(object)["Name"].(string), h.(object)["Value"].(string))
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Cache", "Error from cloudfront")
		w.WriteHeader(int(custom["ResponseCode"].(float64)))
		fmt.Fprint(w, text["Content"])
		return true
	}
	return false
}

// matches judges a statement of ours.
func (d *distribution) matches(s object, body string, labels map[string]bool) bool {
	for kind, v := range s {
		x := v.(object)
		each := func() (n, of int) {
			for _, y := range x["Statements"].([]any) {
				of++
				if d.matches(y.(object), body, labels) {
					n++
				}
			}
			return n, of
		}
		switch kind {
		case "NotStatement":
			return !d.matches(x["Statement"].(object), body, labels)
		case "AndStatement":
			n, of := each()
			return n == of
		case "OrStatement":
			n, _ := each()
			return n > 0
		case "IPSetReferenceStatement":
			id := x["Arn"].(object)["Fn::GetAtt"].([]any)[0].(string)
			for _, a := range d.resources[id].(object)["Properties"].(object)["Addresses"].([]any) {
				if netip.MustParsePrefix(a.(string)).Contains(d.viewer) {
					return true
				}
			}
			return false
		case "SizeConstraintStatement":
			return len(body) > int(x["Size"].(float64))
		case "LabelMatchStatement":
			return labels[x["Key"].(string)]
		case "RateBasedStatement":
			return false
		}
		d.t.Errorf("the web ACL has a statement that this server does not know: %s", kind)
	}
	return false
}
