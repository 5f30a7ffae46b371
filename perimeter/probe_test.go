package perimeter_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/balancer"
	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/perimeter/network"
	"github.com/ringwall/ringwall/perimeter/webserver"
	"github.com/ringwall/ringwall/plan"
)

// A site is the way of a request from end to end, in one process: listeners for
// each address outside, edge, balancer, web servers, a small app.
type site struct {
	t        *testing.T
	p        *plan.Plan
	state    string
	edge     *edge.Edge
	balancer *balancer.Balancer
	cert     *edge.Certificate
	access   *os.File
	logMu    sync.Mutex

	mu      sync.Mutex
	addrs   map[string]string // "node port" → where it listens
	servers []*http.Server
}

var crowd = netip.MustParseAddr("192.0.2.99")

func probePlan() *plan.Plan {
	p := newPlan()
	p.Kind = plan.Command
	p.Network.Visitor, p.Network.Office, p.Network.Stranger, p.Network.Crowd = visitor, office, stranger, crowd
	p.Network.Hosts = append(p.Network.Hosts, "other.example.test", p.Network.Host+":8443")
	p.Network.Rate = plan.Rate{PerMinute: 6000, Burst: 400}
	p.Network.MaxConns, p.Network.MaxConnsPerIP = 200, 20
	p.Network.HeaderTimeout, p.Network.BodyTimeout = time.Second, time.Second
	p.VPC = plan.NewVPC(netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("fd00::/64"))
	p.Balancer.Port, p.Balancer.HealthPath = 8080, "/healthz"
	p.Edge.Cache.Uncached = []string{"/news*"}
	p.Edge.Cache.ForwardedCookies = []string{"*"}
	p.Files.Uploads = []string{"uploads"}
	p.Webserver = plan.Webserver{Docroot: "-", AdminRoutes: []string{"/admin", "/admin/*", "/edit.php", "?do=admin*"}, Denied: []string{"/secret.txt", "*.bak"}}
	return p
}

// app lets its public pages be stored, except where cookies come, and says so.
func app(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case r.URL.Path == "/healthz":
	case r.URL.Path == "/", r.URL.Path == "/news":
		w.Header().Set("Cache-Control", "public, max-age=60")
		fmt.Fprint(w, `<link rel="stylesheet" href="/static/site.css"> the front page`)
	case r.URL.Path == "/static/site.css":
		w.Header().Set("Cache-Control", "public, max-age=60")
		fmt.Fprint(w, "body {}")
	case strings.HasPrefix(r.URL.Path, "/admin"):
		fmt.Fprint(w, "the administrators' page")
	default:
		http.NotFound(w, r)
	}
}

func startSite(t *testing.T, p *plan.Plan) *site {
	t.Helper()
	s := &site{t: t, p: p, state: t.TempDir(), addrs: map[string]string{}}
	for _, d := range []string{"logs", "secrets"} {
		if err := os.Mkdir(filepath.Join(s.state, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if s.access, err = os.Create(filepath.Join(s.state, "logs", "access.jsonl")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.access.Close() })
	secret := strings.Repeat("5ec2e7", 8)
	b, _ := json.Marshal([2]string{secret, ""})
	if err := os.WriteFile(filepath.Join(s.state, "secrets", "origin.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	application := httptest.NewServer(http.HandlerFunc(app))
	t.Cleanup(application.Close)
	s.balancer = balancer.New(p, balancer.Options{})
	t.Cleanup(s.balancer.Close)
	s.balancer.SetSecrets(secret, "")
	var list []balancer.Backend
	for _, tier := range []string{plan.Admin, plan.Fleet} {
		h, err := webserver.New(p, tier, webserver.App{Root: t.TempDir(), Temp: t.TempDir(), Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", application.Listener.Addr().String())
		}})
		if err != nil {
			t.Fatal(err)
		}
		agent := httptest.NewServer(proxy.ReplyInner(h, nil))
		t.Cleanup(agent.Close)
		list = append(list, balancer.Backend{Name: tier + "/1", Tier: tier, Addr: agent.Listener.Addr().(*net.TCPAddr).AddrPort()})
	}
	s.balancer.SetBackends(list)
	if s.edge, err = edge.New(p, s.balancer); err != nil {
		t.Fatal(err)
	}
	s.edge.SetSecret(secret)
	if s.cert, err = edge.Issue(p, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	s.open()
	t.Cleanup(s.close)
	for began := time.Now(); s.balancer.Stats(plan.Fleet).Healthy == 0 || s.balancer.Stats(plan.Admin).Healthy == 0; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("the instances did not come up in 10 s")
		}
	}
	return s
}

// open starts the listeners, with the walls as they stand now.
func (s *site) open() {
	certs, err := edge.NewCerts(s.cert.Cert, s.cert.Key)
	if err != nil {
		s.t.Fatal(err)
	}
	log := func(e *proxy.Event) {
		s.logMu.Lock()
		defer s.logMu.Unlock()
		_, _ = s.access.Write(append(e.AppendJSON(nil), '\n'))
	}
	conns := network.NewConns(s.p)
	visitors := edge.Reply(network.Wrap(s.p, s.edge), log)
	redirect := proxy.Reply(network.Redirect(s.p), log)
	listen := func(key string, srv *http.Server, viewer netip.Addr) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		s.mu.Lock()
		s.addrs[key] = ln.Addr().String()
		s.servers = append(s.servers, srv)
		s.mu.Unlock()
		if viewer.IsValid() {
			ln = network.Listen(ln, conns, viewer)
		}
		go func() { _ = network.Serve(srv, ln) }()
	}
	for node, viewer := range map[string]netip.Addr{plan.Internet: visitor, plan.Office: office, perimeter.Stranger: stranger, perimeter.Crowd: crowd} {
		listen(node+" 443", network.Server(s.p, visitors, certs.TLS()), viewer)
		listen(node+" 80", network.Server(s.p, redirect, nil), viewer)
	}
	listen(plan.Beside+" 8080", network.Server(s.p, proxy.Reply(s.balancer, log), nil), netip.Addr{})
}

func (s *site) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, srv := range s.servers {
		_ = srv.Close()
	}
	s.servers = nil
}

func (s *site) target() *perimeter.Target {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.cert.Roots)
	return &perimeter.Target{Plan: s.p, URL: "https://" + s.p.Network.Host, Roots: roots,
		Site: &perimeter.SiteAccess{State: s.state, Secrets: []string{strings.Repeat("5ec2e7", 8)}},
		From: func(node string) (perimeter.Dialer, error) {
			return func(ctx context.Context, network, address string) (net.Conn, error) {
				_, port, _ := net.SplitHostPort(address)
				s.mu.Lock()
				to := s.addrs[node+" "+port]
				s.mu.Unlock()
				if to == "" {
					return nil, fmt.Errorf("nothing listens on %s for %s", address, node)
				}
				return (&net.Dialer{}).DialContext(ctx, network, to)
			}, nil
		}}
}

var outside = []*perimeter.Perimeter{network.Perimeter, edge.Perimeter, balancer.Perimeter, webserver.Perimeter}

// judge runs controls as a site's prober does: quiet ones together, the others
// one by one.
func (s *site) judge(controls ...*perimeter.Control) map[string]perimeter.Result {
	out := map[string]perimeter.Result{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, 6)
	t := s.target()
	one := func(c *perimeter.Control) {
		ctx, cancel := context.WithTimeout(s.t.Context(), 15*time.Second)
		defer cancel()
		r := perimeter.Judge(ctx, 0, c, t)
		mu.Lock()
		out[c.ID] = r
		mu.Unlock()
	}
	for _, c := range controls {
		if !c.Intrusive {
			wg.Go(func() { slots <- struct{}{}; one(c); <-slots })
		}
	}
	wg.Wait()
	for _, c := range controls {
		if c.Intrusive {
			one(c)
		}
	}
	return out
}

func describe(r perimeter.Result) string {
	return fmt.Sprintf("%s: %s after %d ms %s\n  %s", r.ID, r.Verdict, r.Millis, r.Error, strings.Join(r.Evidence, "\n  "))
}

func TestProbesSeeTheWalls(t *testing.T) {
	s := startSite(t, probePlan())
	var all []*perimeter.Control
	for _, p := range outside {
		for _, c := range p.Controls {
			if c.Probe != nil { // what templates promise is checked, not probed
				all = append(all, c)
			}
		}
	}
	began := time.Now()
	results := s.judge(all...)
	t.Logf("%d controls in %v", len(all), time.Since(began))
	for _, c := range all {
		r := results[c.ID]
		if r.Verdict != perimeter.Held || len(r.Evidence) == 0 {
			t.Errorf("with its wall up: %s", describe(r))
		}
		t.Logf("%s: %d tried, %d ms", c.ID, len(r.Tried), r.Millis)
	}
}

// A site that answers every request with "too often" has judged none of them:
// such an answer is neither a wall's refusal nor its absence.
func TestProbesThatAskTooOften(t *testing.T) {
	other := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "919054cdc4e2d916a55ecdac")
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	other.EnableHTTP2 = true
	other.StartTLS()
	t.Cleanup(other.Close)
	roots := x509.NewCertPool()
	roots.AddCert(other.Certificate())
	target := &perimeter.Target{Plan: probePlan(), URL: "https://example.com", Roots: roots, Site: &perimeter.SiteAccess{State: t.TempDir()},
		From: func(string) (perimeter.Dialer, error) {
			return func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, other.Listener.Addr().String())
			}, nil
		}}
	for _, pm := range outside {
		for _, c := range pm.Controls {
			switch c.ID {
			case "edge/body-limit", "edge/smuggling", "edge/waf-sqli", "webserver/admin-routes":
				t.Run(c.ID, func(t *testing.T) {
					t.Parallel()
					ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
					defer cancel()
					if r := perimeter.Judge(ctx, 0, c, target); r.Verdict != perimeter.Unknown {
						t.Error(describe(r))
					}
				})
			}
		}
	}
}

// A probe that cannot reach the site, or reaches something else, knows nothing.
func TestProbesOfNothing(t *testing.T) {
	other := httptest.NewUnstartedServer(http.NotFoundHandler())
	other.StartTLS()
	t.Cleanup(other.Close)
	for name, to := range map[string]string{"nobody": "127.0.0.1:1", "another server": other.Listener.Addr().String()} {
		p := probePlan()
		p.Network.HeaderTimeout, p.Network.BodyTimeout = 50*time.Millisecond, 50*time.Millisecond
		roots := x509.NewCertPool()
		roots.AddCert(other.Certificate())
		target := &perimeter.Target{Plan: p, URL: "https://example.com", Roots: roots, Site: &perimeter.SiteAccess{State: t.TempDir()},
			From: func(string) (perimeter.Dialer, error) {
				return func(ctx context.Context, network, _ string) (net.Conn, error) {
					return (&net.Dialer{}).DialContext(ctx, network, to)
				}, nil
			}}
		for _, pm := range outside {
			for _, c := range pm.Controls {
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
				r := perimeter.Judge(ctx, 0, c, target)
				cancel()
				if r.Verdict == perimeter.Held {
					t.Errorf("%s: %s", name, describe(r))
				}
			}
		}
	}
}
