//go:build walldown

package network

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

func TestWallsDown(t *testing.T) {
	t.Cleanup(func() { perimeter.SetDown(nil) })
	p := testPlan()
	p.Network.Rate = plan.Rate{PerMinute: 1, Burst: 1}
	h := proxy.Reply(Wrap(p, fine), nil)
	ask := func(host string) int {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	perimeter.SetDown([]string{"network/known-host"})
	if got := ask("other.test"); got != 200 {
		t.Errorf("known-host down: got %d", got)
	}
	perimeter.SetDown([]string{"network/rate"})
	for range 3 {
		if got := ask("site.test"); got != 200 {
			t.Errorf("rate down: got %d", got)
		}
	}
	p.Network.Rate = plan.Rate{}

	perimeter.SetDown([]string{"network/connections"})
	addr, conns := serve(t, p, netip.Addr{})
	for range 15 {
		dial(t, addr)
	}
	waitFor(t, func() bool { return conns.Open() == 15 })

	perimeter.SetDown([]string{"network/slow-header", "network/slow-body"})
	p.Network.IdleTimeout = 0
	addr, _ = serve(t, p, netip.Addr{})
	c := dial(t, addr)
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: site.test\r\nConte")
	time.Sleep(2 * p.Network.HeaderTimeout)
	_, _ = io.WriteString(c, "nt-Length: 6\r\n\r\nabc")
	time.Sleep(2 * p.Network.BodyTimeout)
	_, _ = io.WriteString(c, "def")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(resp.Body); !strings.HasPrefix(string(b), "fine 6") {
		t.Errorf("slow walls down: got %s %q", fmt.Sprint(resp.StatusCode), b)
	}
}
