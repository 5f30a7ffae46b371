//go:build linux

package local_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/local"
	"github.com/ringwall/ringwall/local/localtest"
)

// Fleet grows with the requests in flight up to its most, and shrinks again.
func TestScale(t *testing.T) {
	s := board(t)
	s.Env = append(s.Env, "RINGWALL_TIERS_FLEET_MIN=1", "RINGWALL_TIERS_FLEET_MAX=3",
		"RINGWALL_BALANCER_SCALEINFLIGHT=2", "RINGWALL_BALANCER_SCALEQUIET=2s")
	s.Up()
	fleet := func() (n int) {
		var st local.Status
		if json.Unmarshal([]byte(s.Run("status", "-o", "json").Stdout), &st) != nil {
			return -1
		}
		for _, i := range st.Instances {
			if strings.HasPrefix(i.Name, "fleet/") {
				n++
			}
		}
		return n
	}
	if n := fleet(); n != 1 {
		t.Fatalf("at the start: got %d fleet instances, want 1", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := s.Client()
	c.Timeout = 0
	for range 12 { // streams that stay open are requests in flight
		go func() {
			r, _ := http.NewRequestWithContext(ctx, "GET", s.Visitor+"/events", nil)
			if resp, err := c.Do(r); err == nil {
				<-ctx.Done()
				resp.Body.Close()
			}
		}()
	}
	localtest.Eventually(t, testLimit, "fleet has its most instances", func() bool { time.Sleep(200 * time.Millisecond); return fleet() == 3 })
	cancel()
	localtest.Eventually(t, 2*testLimit, "fleet has its least instances again", func() bool { time.Sleep(200 * time.Millisecond); return fleet() == 1 })
}
