//go:build linux

package local

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/ringwall/ringwall/internal/durable"
	"github.com/ringwall/ringwall/internal/wordpress"
	"github.com/ringwall/ringwall/perimeter/people"
	"github.com/ringwall/ringwall/plan"
)

// A login is the first administrator's, in state/secrets/admin.json.
type login struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

func (h *hub) adminLogin() (login, error) {
	l := login{Username: "admin"}
	err := people.Ensure(h.State.Secrets(), "admin.json", &l, func() { l.Password = people.NewSecret()[:24] })
	if err == nil && (l.Username == "" || len(l.Password) < 16) {
		err = people.Damaged(h.State.Secrets(), "admin.json")
	}
	return l, err
}

// appSecrets are the files of /run/secrets beside the database's.
func (h *hub) appSecrets(tier string) (map[string]string, error) {
	out := map[string]string{}
	if tier == plan.Admin {
		l, err := h.adminLogin()
		if err != nil {
			return nil, err
		}
		b, err := json.Marshal(l)
		if err != nil {
			return nil, err
		}
		out["admin.json"] = string(b)
	}
	if h.Plan.Application.Setup == "wordpress" {
		var salts map[string]string
		err := people.Ensure(h.State.Secrets(), "wordpress-"+tier+".json", &salts, func() {
			json.Unmarshal(wordpress.NewSalts(), &salts)
		})
		if err != nil {
			return nil, err
		}
		b, err := json.Marshal(salts)
		if err != nil {
			return nil, err
		}
		out["wordpress.json"] = string(b)
	}
	return out, nil
}

// setUpApp does what an app needs once, through its own pages on admin, before
// the doors open.
func (h *hub) setUpApp(ctx context.Context) error {
	if h.Plan.Application.Setup != "wordpress" {
		return nil
	}
	began := time.Now()
	l, err := h.adminLogin()
	if err != nil {
		return err
	}
	done := h.State.path("wordpress-installed")
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	err = wordpress.RunInstaller(ctx, h.adminClient(), "http://"+h.Plan.Network.Host, wordpress.Site{
		Title: h.Plan.Site(), Username: l.Username, Password: l.Password, Email: "admin@" + h.Plan.Network.Host})
	if err != nil {
		return fmt.Errorf("running WordPress's installer: %w", err)
	}
	if err := h.database.grant(ctx); err != nil {
		return err
	}
	h.step(Step{Part: "wordpress", State: "up", Text: "installed by its own installer", Took: time.Since(began)})
	return durable.WriteFile(done, []byte(time.Now().UTC().Format(time.RFC3339)+"\n"), 0o600)
}

// adminClient speaks to an admin instance's web server from the edge's network,
// as the balancer does: for what the owner's own machine asks of the app.
func (h *hub) adminClient() *http.Client {
	return &http.Client{
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: headers{&http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			i := h.anyInstance(plan.Admin)
			if i == nil {
				return nil, fmt.Errorf("no admin instance is running")
			}
			return h.net.Host(plan.NodeEdge).Dial(ctx, network, i.addr.String())
		}}, h.Plan.Network.Office.String()},
	}
}

// headers adds what the balancer would.
type headers struct {
	http.RoundTripper
	viewer string
}

func (t headers) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(plan.HeaderViewer, t.viewer)
	r.Header.Set("X-Forwarded-For", t.viewer)
	r.Header.Set("X-Forwarded-Proto", "https")
	return t.RoundTripper.RoundTrip(r)
}

// watchClockwork runs what an app expects a clock to run: WordPress's scheduled
// tasks, on admin, once a minute.
func (h *hub) watchClockwork(ctx context.Context) {
	if h.Plan.Preset != "wordpress" {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Minute):
		}
		r, err := http.NewRequestWithContext(ctx, "GET", "http://"+h.Plan.Network.Host+"/wp-cron.php?doing_wp_cron", nil)
		if err != nil {
			return
		}
		resp, err := h.adminClient().Do(r)
		if err != nil {
			h.step(Step{Part: "wordpress", State: "note", Text: "running scheduled tasks: " + err.Error()})
			continue
		}
		resp.Body.Close()
	}
}
