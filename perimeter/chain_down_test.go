//go:build walldown

package perimeter_test

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// Each case tries what a wall of the edge stops, with the wall up and down.
func TestChainWallsDown(t *testing.T) {
	f := start(t, newPlan(), tierPage())
	t.Cleanup(func() { perimeter.SetDown(nil) })
	code := func(from netip.Addr, method, uri, body string, header ...string) int {
		return f.do(from, false, method, uri, body, header...).StatusCode
	}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for control, through := range map[string]func() bool{
		"edge/allow-list": func() bool { return code(stranger, "GET", "/", "") == 200 },
		"edge/viewer-header": func() bool {
			return f.do(visitor, false, "OPTIONS", "/v", "", plan.HeaderViewer, office.String()).Header.Get("X-Tier") == plan.Admin
		},
		"edge/methods":    func() bool { return code(visitor, "TRACE", "/", "") != 405 },
		"edge/uri-length": func() bool { return code(visitor, "GET", "/?a="+strings.Repeat("b", 9000), "") == 200 },
		"edge/smuggling": func() bool {
			return f.raw(visitor, "GET /a#b HTTP/1.1\r\n"+rawHead+"Connection: close\r\n\r\n")[0] != 400
		},
		"edge/body-limit": func() bool {
			return code(office, "POST", "/", "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.png\"\r\n\r\n"+strings.Repeat("a", 9<<20)+"\r\n--x--\r\n", "Content-Type", "multipart/form-data; boundary=x") != 413
		},
		"edge/waf-body":         func() bool { return code(visitor, "POST", "/", "a="+strings.Repeat("b", 200<<10), form...) == 200 },
		"edge/waf-args":         func() bool { return code(visitor, "GET", "/?"+strings.Repeat("a=b&", 600), "") == 200 },
		"edge/security-headers": func() bool { return f.do(visitor, false, "GET", "/h", "").Header.Get("X-Content-Type-Options") == "" },
		"edge/server-headers":   func() bool { return f.do(visitor, false, "GET", "/h", "").Header.Get("Server") != "" },
		"edge/cache-privilege": func() bool {
			f.edge.Cache().PurgeAll()
			f.do(office, false, "GET", "/p", "")
			return strings.Contains(f.do(visitor, false, "GET", "/p", "").body, "tier=admin")
		},
		"edge/cache-cookies": func() bool {
			f.edge.Cache().PurgeAll()
			f.do(visitor, false, "GET", "/c", "", "Cookie", "wordpress_logged_in=bob")
			return strings.Contains(f.do(visitor, false, "GET", "/c", "").body, "bob")
		},
		"network/known-host": func() bool { return code(visitor, "GET", "/", "", "Host", "other.test") == 200 },
	} {
		perimeter.SetDown(nil)
		if through() {
			t.Errorf("%s: came through with the wall up", control)
		}
		perimeter.SetDown([]string{control})
		if !through() {
			t.Errorf("%s: did not come through with the wall down", control)
		}
	}
}

func TestChainTLSVersionDown(t *testing.T) {
	t.Cleanup(func() { perimeter.SetDown(nil) })
	f := start(t, newPlan(), http.NotFoundHandler())
	old := func() error {
		_, err := f.dialTLS(visitor, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10})
		return err
	}
	if old() == nil {
		t.Error("TLS 1.0 with the wall up: no error")
	}
	perimeter.SetDown([]string{"edge/tls-version"}) // on the running site
	if err := old(); err != nil {
		t.Errorf("TLS 1.0 with the wall down: %v", err)
	}
}
