//go:build linux

package local

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/balancer"
	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/perimeter/network"
	"github.com/ringwall/ringwall/plan"
)

// runFront is the first hop: edge and balancer in one process. Read it upwards to
// follow a request.
func runFront() error {
	var cfg frontConfig
	if err := unpack(&cfg); err != nil {
		return err
	}
	perimeter.SetDown(cfg.Down)
	lf := inherited(0, "link")
	conn, err := net.FileConn(lf)
	if err != nil {
		return fmt.Errorf("taking the hub's socket over: %w", err)
	}
	lf.Close()
	access, refusals := newEventLog(inherited(1, "access"), logDelay), newEventLog(inherited(2, "refusals"), 0)
	recorded := newEventLog(inherited(3, "recorded"), 0)
	var listeners []net.Listener
	for i := range cfg.Listeners {
		f := inherited(4+i, "listener")
		l, err := net.FileListener(f)
		if err != nil {
			return fmt.Errorf("taking listener %s over: %w", cfg.Listeners[i].Addr, err)
		}
		f.Close()
		listeners = append(listeners, l)
	}
	if cfg.Trials != nil {
		go try(cfg.Trials, dial, inherited(4+len(cfg.Listeners), "proof"))
	}

	p := cfg.Plan
	log := func(e *proxy.Event) {
		access.write(e)
		if e.Refusal != nil {
			refusals.write(e)
		}
	}
	b := balancer.New(p, balancer.Options{})
	b.SetSecrets(cfg.Secrets[0], cfg.Secrets[1])
	e, err := edge.New(p, b)
	if err != nil {
		return err
	}
	e.SetSecret(cfg.Secrets[0])
	e.OnGood(func(r *edge.Recorded) { recorded.writeJSON(r) })
	certs, err := edge.NewCerts([]byte(cfg.Cert.Chain), []byte(cfg.Cert.Key))
	if err != nil {
		return err
	}
	visitors := network.Server(p, edge.Reply(network.Wrap(p, e), log), certs.TLS())
	redirect := network.Server(p, proxy.Reply(network.Redirect(p), log), nil)
	edges := network.Server(p, proxy.Reply(b, log), nil) // other edges, which must prove the secret
	servers := []*http.Server{visitors, redirect, edges}

	f := &frontRole{plan: p, link: newLink(conn), balancer: b, edge: e, certs: certs}
	f.setBackends(cfg.Backends)
	conns := network.NewConns(p)
	f.open = sync.OnceFunc(func() {
		for i, l := range listeners {
			s := map[string]*http.Server{"https": visitors, "http": redirect, "balancer": edges}[cfg.Listeners[i].Kind]
			if cfg.Listeners[i].Kind != "balancer" {
				if len(cfg.Lent) > 0 && !cfg.Listeners[i].Viewer.IsValid() {
					l = lentListener{l, cfg.Lent}
				}
				l = network.Listen(l, conns, cfg.Listeners[i].Viewer)
			}
			go func() {
				if err := network.Serve(s, l); err != nil {
					fmt.Fprintf(os.Stderr, "serving %s: %v\n", cfg.Listeners[i].Addr, err)
					os.Exit(1) // the supervisor of processes starts another front
				}
			}()
		}
	})
	if cfg.Open {
		f.open()
	}
	go f.report()
	return serveUntilTerm(p.Balancer.DrainTimeout, f.obey, func(ctx context.Context) error {
		var wg sync.WaitGroup
		for _, s := range servers {
			wg.Go(func() { s.Shutdown(ctx) })
		}
		wg.Wait()
		access.flush()
		b.Close()
		return nil
	})
}

type frontRole struct {
	plan     *plan.Plan
	link     *link
	balancer *balancer.Balancer
	edge     *edge.Edge
	certs    *edge.Certs
	open     func()
}

func (f *frontRole) setBackends(list []backend) {
	var out []balancer.Backend
	for _, b := range list {
		out = append(out, balancer.Backend{Name: b.Name, Tier: b.Tier, Addr: b.Addr})
	}
	f.balancer.SetBackends(out)
}

// obey carries the hub's orders out, each in its own time, until the hub is gone.
func (f *frontRole) obey() error {
	for {
		var o order
		if err := f.link.dec.Decode(&o); err != nil {
			return fmt.Errorf("hearing the hub: %w", err)
		}
		run := func() {
			w := word{Seq: o.Seq}
			if err := f.do(o); err != nil {
				w.Error = err.Error()
			}
			f.link.send(w)
		}
		if o.Drain != "" || o.Rules != nil {
			go run() // it takes as long as the requests do, or as building engines does
		} else {
			run()
		}
	}
}

func (f *frontRole) do(o order) error {
	if o.Backends != nil {
		f.setBackends(o.Backends)
	}
	if o.Secrets != nil {
		f.balancer.SetSecrets(o.Secrets[0], o.Secrets[1])
		f.edge.SetSecret(o.Secrets[0])
	}
	if o.Cert != nil {
		if err := f.certs.Set([]byte(o.Cert.Chain), []byte(o.Cert.Key)); err != nil {
			return err
		}
	}
	if o.Purge != nil && f.edge.Cache() != nil {
		if *o.Purge == "" {
			f.edge.Cache().PurgeAll()
		} else {
			f.edge.Cache().PurgePrefix(*o.Purge)
		}
	}
	if o.Rules != nil {
		if err := f.edge.SetRules(*o.Rules); err != nil {
			return err
		}
	}
	if o.Open {
		f.open()
	}
	if o.Drain != "" {
		_, err := f.balancer.Drain(context.Background(), o.Drain)
		return err
	}
	return nil
}

// report tells the hub how the instances are: at once when one comes up or goes
// down, because the site's start and every replacement wait for it.
func (f *frontRole) report() {
	const tell = 250 * time.Millisecond // how busy the tiers are
	var told map[string]bool
	var at time.Time
	timer := time.NewTicker(tell)
	defer timer.Stop()
	for {
		changed := f.balancer.Changed()
		s := frontState{Healthy: map[string]bool{}, Unwell: map[string]string{}, Tiers: map[string]tierState{}}
		for _, h := range f.balancer.Health() {
			if s.Healthy[h.Name] = h.Up && !h.Draining; !h.Up && h.Unwell != "" {
				s.Unwell[h.Name] = h.Unwell
			}
		}
		if !maps.Equal(s.Healthy, told) || time.Since(at) >= tell/2 {
			for _, t := range f.plan.Tiers {
				st := f.balancer.Stats(t.Name)
				s.Tiers[t.Name] = tierState{InFlight: st.InFlight, P50: st.Latency.Microseconds()}
			}
			if f.link.send(word{State: &s}) != nil {
				return
			}
			told, at = s.Healthy, time.Now()
		}
		select {
		case <-changed:
		case <-timer.C:
		}
	}
}
