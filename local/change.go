//go:build linux

package local

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/people"
	"github.com/ringwall/ringwall/plan"
)

// replace puts a new instance in the place of each one that the name stands for:
// fleet/1, fleet, or everything when it is empty. The new one answers before the
// old one is drained, so that no request fails.
func (h *hub) replace(ctx context.Context, name string) ([]string, error) {
	h.roll.Lock()
	defer h.roll.Unlock()
	h.mu.Lock()
	var old []*instance
	for _, i := range h.instances {
		if name == "" || i.name == name || i.tier.Name == name {
			old = append(old, i)
		}
	}
	h.mu.Unlock()
	if len(old) == 0 {
		return nil, fmt.Errorf("replacing %s: there is no such tier or instance; see: ringwall status", name)
	}
	var fresh []string
	for _, i := range old {
		n, err := h.replaceOne(ctx, i)
		if err != nil {
			return fresh, fmt.Errorf("replacing %s: %w", i.name, err)
		}
		fresh = append(fresh, n.name)
	}
	return fresh, nil
}

func (h *hub) replaceOne(ctx context.Context, old *instance) (*instance, error) {
	n, err := h.startInstance(old.tier.Name)
	if err != nil {
		return nil, err
	}
	h.front.setBackends(h.backends())
	if err := h.awaitInstance(ctx, n); err != nil {
		h.retire(ctx, n)
		return nil, fmt.Errorf("the new instance %w; %s stays", err, old.name)
	}
	h.retire(ctx, old)
	h.step(Step{Part: old.name, State: "note", Text: "replaced by " + n.name})
	return n, nil
}

func (h *hub) awaitInstance(ctx context.Context, i *instance) error {
	limit := time.Now().Add(h.startLimit())
	for !h.front.healthy(i.name) {
		if time.Now().After(limit) {
			return fmt.Errorf("did not become healthy in %v; see: ringwall logs %s", h.startLimit(), i.name)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// retire lets an instance finish its requests, and ends it. It does so whoever
// goes away meanwhile.
func (h *hub) retire(ctx context.Context, i *instance) {
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.Plan.Balancer.DrainTimeout+2*time.Second)
	defer cancel()
	h.front.ask(drain, order{Drain: i.name}) // when time is up, its last requests end with it
	h.forget(i)
	h.front.setBackends(h.backends())
	i.stop()
}

// rotate renews a secret while the site runs.
func (h *hub) rotate(ctx context.Context, what string) (string, error) {
	switch what {
	case "origin-secret":
		return "the edge proves itself with a new secret; the old one is no longer valid", h.rotateOrigin(ctx)
	case "database":
		if h.database == nil {
			return "", fmt.Errorf("rotating the database's passwords: this site has no database")
		}
		return "every tier has a new database user and password; the old ones are locked", h.rotateDatabase(ctx)
	case "tls":
		return "the edge shows a new certificate", h.rotateTLS(ctx)
	}
	return "", fmt.Errorf("rotating %q: want origin-secret, database or tls", what)
}

func (h *hub) rotateOrigin(ctx context.Context) error {
	h.roll.Lock()
	defer h.roll.Unlock()
	s, err := h.originSecrets()
	if err != nil {
		return err
	}
	both := [2]string{people.NewSecret(), s[0]}
	for _, step := range [][2]string{both, {both[0], ""}} {
		if err := people.Replace(h.State.Secrets(), "origin.json", step); err != nil {
			return err
		}
		if err := h.front.ask(ctx, order{Secrets: &step}); err != nil {
			return fmt.Errorf("telling the edge its new secret: %w", err)
		}
		if step[1] != "" { // requests that carry the old secret are on their way
			time.Sleep(500 * time.Millisecond)
		}
	}
	return nil
}

func (h *hub) rotateDatabase(ctx context.Context) error {
	tiers := []string{}
	for _, t := range h.Plan.Tiers {
		tiers = append(tiers, t.Name)
	}
	for _, t := range tiers {
		retire, err := h.database.rotate(ctx, t)
		if err != nil {
			return err
		}
		if _, err := h.replace(ctx, t); err != nil {
			return fmt.Errorf("giving %s its new password: %w; the old one stays valid", t, err)
		}
		if err := retire(ctx); err != nil {
			return err
		}
	}
	return nil
}

// takeDown takes the walls of these controls down on the running site; test
// builds only.
func (h *hub) takeDown(ctx context.Context, ids []string) error {
	h.roll.Lock()
	touchesDatabase := slices.ContainsFunc(append(slices.Clone(h.Down), ids...), func(id string) bool { return strings.HasPrefix(id, "database/") })
	h.Down = slices.Clone(ids)
	perimeter.SetDown(ids)
	err := h.net.Allow(h.rules())
	h.roll.Unlock()
	if err != nil {
		return err
	}
	if touchesDatabase && h.database != nil && h.database.server != nil {
		if err := h.database.renew(ctx); err != nil {
			return err
		}
	}
	h.mu.Lock()
	all := slices.Clone(h.instances)
	h.mu.Unlock()
	for _, i := range all {
		if i.agent != nil {
			i.agent.Kill()
		}
		if i.app != nil && slices.ContainsFunc(ids, func(id string) bool {
			return strings.HasPrefix(id, "host/") || strings.HasPrefix(id, "files/") || strings.HasPrefix(id, "database/")
		}) {
			i.app.Kill()
		}
	}
	for before := h.front.part.Status(); h.front.part.Status() == before; time.Sleep(time.Millisecond) {
		h.front.part.Kill()
	}
	for h.front.lastHeard().IsZero() && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	return h.awaitHealthy(ctx)
}

// watch keeps the site in step with its surroundings: load, code, tables.
func (h *hub) watch(ctx context.Context) {
	go h.watchLoad(ctx)
	go h.watchTree(ctx)
	go h.watchClockwork(ctx)
	go h.watchDisk(ctx)
	go h.watchCertificate(ctx)
}

// watchLoad adds a fleet instance when the load asks for one, and takes one away
// after a quiet time.
func (h *hub) watchLoad(ctx context.Context) {
	t := h.Plan.Tier(plan.Fleet)
	if t == nil || t.Min == t.Max {
		return
	}
	busy, quiet := 0, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		st := h.front.status().Tiers[t.Name]
		var fleet []*instance
		h.mu.Lock()
		for _, i := range h.instances {
			if i.tier == t {
				fleet = append(fleet, i)
			}
		}
		h.mu.Unlock()
		b := h.Plan.Balancer
		switch {
		case st.InFlight > b.ScaleInFlight*len(fleet) || (st.InFlight > 0 && st.P50 > b.ScaleLatency.Microseconds()):
			busy, quiet = busy+1, 0
		case st.InFlight < b.ScaleInFlight*(len(fleet)-1)/2 || st.InFlight == 0:
			busy, quiet = 0, quiet+1
		default:
			busy, quiet = 0, 0
		}
		switch {
		case busy >= 3 && len(fleet) < t.Max:
			busy = 0
			h.roll.Lock()
			if i, err := h.startInstance(t.Name); err == nil {
				h.front.setBackends(h.backends())
				h.step(Step{Part: i.name, State: "note", Text: fmt.Sprintf("added: %d requests in flight, median %d ms", st.InFlight, st.P50/1000)})
			}
			h.roll.Unlock()
		case time.Duration(quiet)*time.Second >= b.ScaleQuiet && len(fleet) > t.Min:
			quiet = 0
			h.roll.Lock()
			last := fleet[len(fleet)-1]
			h.retire(ctx, last)
			h.step(Step{Part: last.name, State: "note", Text: fmt.Sprintf("taken away: little load for %v", b.ScaleQuiet)})
			h.roll.Unlock()
		}
	}
}
