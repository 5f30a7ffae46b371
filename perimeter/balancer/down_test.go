//go:build walldown

package balancer

import (
	"net/http"
	"testing"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

func TestWallsDown(t *testing.T) {
	t.Cleanup(func() { perimeter.SetDown(nil) })
	b := start(t, Options{}, newInstance(t, "admin/1"), newInstance(t, "fleet/1"))
	get := func(header ...string) (int, string) {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", b.url, nil)
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		name := make([]byte, 7)
		n, _ := resp.Body.Read(name)
		return resp.StatusCode, string(name[:n])
	}
	if code, _ := get(plan.HeaderViewer, office); code != 404 {
		t.Errorf("walls up: got %d", code)
	}
	perimeter.SetDown([]string{"balancer/origin-secret"})
	if code, name := get(plan.HeaderViewer, office); code != 200 || name != "admin/1" {
		t.Errorf("origin-secret down: got %d %q", code, name)
	}
	perimeter.SetDown([]string{"balancer/no-rule"})
	if code, _ := get(plan.HeaderSecret, "secret"); code != 200 {
		t.Errorf("no-rule down: got %d", code)
	}
	perimeter.SetDown([]string{"balancer/admin-tier"})
	if code, name := get(plan.HeaderSecret, "secret", plan.HeaderViewer, visitor); code != 200 || name != "admin/1" {
		t.Errorf("admin-tier down: got %d %q", code, name)
	}
}
