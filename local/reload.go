//go:build linux

package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/ringwall/ringwall/internal/durable"
	"github.com/ringwall/ringwall/plan"
)

// reload puts other rules in force while the site runs. The front builds its
// engines first; when it cannot, the old ones go on and the error says why.
func (h *hub) reload(ctx context.Context, w plan.WAF) (string, error) {
	h.roll.Lock()
	defer h.roll.Unlock()
	b, err := json.Marshal(w)
	if err != nil {
		return "", err
	}
	f := h.front
	f.mu.Lock()
	old := f.rules
	f.rules = &w // for a front that starts meanwhile
	f.mu.Unlock()
	if err := f.ask(ctx, order{Rules: &w}); err != nil {
		f.mu.Lock()
		f.rules = old
		f.mu.Unlock()
		return "", fmt.Errorf("putting the rules in force: %w; the old ones go on", err)
	}
	if w.Record == 0 {
		if err := h.forgetRecorded(); err != nil {
			return "", err
		}
	}
	if err := durable.WriteFile(h.State.reloaded(), b, 0o600); err != nil {
		return "", fmt.Errorf("the rules are in force, but a site that starts again by itself would begin with the old ones: %w", err)
	}
	h.step(Step{Part: "edge", State: "note", Text: "judges by other rules"})
	return "the rules are in force", nil
}

// takeRules gives a hub that was started again the rules that were put in force
// before; a new run begins with its configuration's.
func (c *hubConfig) takeRules() error {
	name := c.State.reloaded()
	if c.Serial == 0 {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forgetting the last run's rules: %w", err)
		}
		return nil
	}
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var w plan.WAF
	if err == nil {
		err = json.Unmarshal(b, &w)
	}
	if err != nil {
		return fmt.Errorf("reading the rules in force: %w", err)
	}
	c.Plan = withRules(c.Plan, &w)
	return nil
}

// current is a plan with the rules that are in force.
func (h *hub) current(p *plan.Plan) *plan.Plan {
	h.mu.Lock()
	f := h.front
	h.mu.Unlock()
	if f == nil {
		return p
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return withRules(p, f.rules)
}

func withRules(p *plan.Plan, w *plan.WAF) *plan.Plan {
	if w == nil {
		return p
	}
	q := *p
	q.Edge.WAF = *w
	return &q
}

// forgetRecorded removes the good requests that were kept.
func (h *hub) forgetRecorded() error {
	l, err := h.log(recordedLog)
	if err == nil {
		err = l.forget()
	}
	if err != nil {
		return fmt.Errorf("removing the recorded requests: %w", err)
	}
	return nil
}
