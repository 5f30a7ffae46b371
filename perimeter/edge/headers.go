package edge

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// ours are the request headers by which proxies speak of the visitor. Only we
// may set them; what a visitor sends is dropped, in every spelling that an app's
// server could take for one of them.
var ours = map[string]bool{
	"Forwarded": true, "X-Real-Ip": true, "True-Client-Ip": true, "Client-Ip": true,
	"X-Client-Ip": true, "X-Cluster-Client-Ip": true, "X-Remote-Ip": true, "X-Remote-Addr": true,
	"X-Originating-Ip": true, "X-Original-Host": true, "X-Original-Url": true, "X-Rewrite-Url": true,
	"X-Host": true, "X-Forwarded": true, "Forwarded-For": true, "X-Forwarded-For": true,
	"X-Forwarded-Host": true, "X-Forwarded-Proto": true, "X-Forwarded-Port": true,
	"X-Scheme": true, "X-Url-Scheme": true, "Front-End-Https": true, "X-Proxyuser-Ip": true,
	"Fastly-Client-Ip": true, "X-Azure-Clientip": true, "X-Azure-Socketip": true, "Via": true,
	"X-Appengine-User-Ip": true, "X-Envoy-External-Address": true, "X-Http-Host-Override": true,
	"Proxy": true, "Remote-Addr": true, "Remote-User": true, "X-Remote-User": true, "X-Forwarded-User": true,
	"X-Accel-Redirect": true, "X-Sendfile": true, "Proxy-Connection": true,
}

var ourPrefixes = [...]string{"X-Ringwall-", "X-Forwarded-", "Cf-", "Cloudfront-", "X-Amz-Cf-", "X-Envoy-", "X-Middleware-"}

// stripped says whether a header of a visitor is dropped.
func stripped(name string) bool {
	if ours[name] {
		return true
	}
	for _, p := range &ourPrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	if plainName(name) {
		return false
	}
	// A server that maps header names to variables makes one character of
	// several: X_Forwarded.For is X-Forwarded-For to it.
	n := http.CanonicalHeaderKey(strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, name))
	if n == name {
		return false
	}
	return stripped(n) || n == plan.HeaderRequest || slices.Contains(singletons, n) || n == "Cookie" || n == "Transfer-Encoding"
}

func plainName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// singletons are headers that two readers must not read differently.
var singletons = []string{"Content-Type", "Content-Length", "Content-Encoding", "Authorization", "Host"}

// claim replaces what a visitor says of itself by what is known of it.
func (e *Edge) claim(r *http.Request, viewer netip.Addr) {
	h := r.Header
	var theirs []string
	if perimeter.Down("edge/secret-header") {
		theirs = h[plan.HeaderSecret]
	}
	if !perimeter.Down("edge/viewer-header") {
		for name := range h {
			if stripped(name) {
				delete(h, name)
			}
		}
	} else {
		delete(h, plan.HeaderSecret)
	}
	if len(h[plan.HeaderViewer]) == 0 {
		h[plan.HeaderViewer] = []string{viewer.String()}
	}
	if s := e.secret.Load(); s != nil && !(perimeter.Down("edge/secret-header") && theirs != nil) {
		h[plan.HeaderSecret] = *s
	} else if theirs != nil {
		h[plan.HeaderSecret] = theirs
	}
}

// secure sets the response headers that a browser needs to defend the site, and
// takes away what tells of the software behind it. What the app says itself
// stands.
func secure(h http.Header, hsts bool) {
	if !perimeter.Down("edge/server-headers") {
		for _, name := range [...]string{"Server", "X-Powered-By", "X-Aspnet-Version", "X-Aspnetmvc-Version", "X-Generator"} {
			delete(h, name)
		}
	} else if len(h["Server"]) == 0 {
		h["Server"] = []string{"an app of version 1.0"} // as most say it, whatever this one does
	}
	if perimeter.Down("edge/security-headers") {
		return
	}
	if hsts {
		h["Strict-Transport-Security"] = hstsValue
	}
	if len(h["X-Content-Type-Options"]) == 0 {
		h["X-Content-Type-Options"] = nosniff
	}
	if len(h["Referrer-Policy"]) == 0 {
		h["Referrer-Policy"] = referrer
	}
	if len(h["Permissions-Policy"]) == 0 {
		h["Permissions-Policy"] = permissions
	}
	if len(h["X-Frame-Options"]) == 0 && !frames(h["Content-Security-Policy"]) {
		h["X-Frame-Options"] = sameOrigin
	}
}

var (
	hstsValue   = []string{"max-age=31536000"}
	nosniff     = []string{"nosniff"}
	referrer    = []string{"strict-origin-when-cross-origin"}
	permissions = []string{"camera=(), geolocation=(), microphone=(), payment=(), usb=()"}
	sameOrigin  = []string{"SAMEORIGIN"}
)

// frames says whether a content security policy decides who may frame the page.
func frames(csp []string) bool {
	for _, v := range csp {
		if strings.Contains(strings.ToLower(v), "frame-ancestors") {
			return true
		}
	}
	return false
}
