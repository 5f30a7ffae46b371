package waf

import (
	"slices"

	"github.com/ringwall/ringwall/waf/internal/seclang"
)

// finish turns what was read to an Engine.
func (l *loader) finish() (*Engine, error) {
	if l.pending != nil {
		return nil, seclang.Errorf(l.pending.pos, "the rule says chain and no rule follows it")
	}
	if err := l.unopened(); err != nil {
		return nil, err
	}
	e := &Engine{settings: l.settings, rules: l.rules, marks: l.marks, keyIDs: map[string]uint16{}, store: newStore()}
	named := map[int]bool{}
	for i, r := range l.rules {
		if r.marker != 0 {
			named[r.marker] = true
			r.index = i
			continue
		}
		r.Action = r.disruptAs
		r.quiet = !r.Log && !r.Audit && r.disruptive != doDeny && r.disruptive != doDrop && r.disruptive != doRedirect
		for c := r; c != nil; c = c.chain {
			c.index = i
			for j := range c.targets {
				l.linkTarget(e, &c.targets[j])
				if name := vars[c.targets[j].v].name; !slices.Contains(r.Variables, name) {
					r.Variables = append(r.Variables, name)
				}
			}
			for _, x := range c.effects {
				switch k := x.(type) {
				case *ctlRules:
					k.link(l.rules)
					e.keyID(k.except.key)
				case *ctlSet:
					if k.latest > 0 && r.Phase > k.latest {
						return nil, seclang.Errorf(c.pos, "action ctl: %s: the rule runs in phase %d, and this is settled after phase %d", k.name, r.Phase, k.latest)
					}
				}
			}
		}
	}
	for _, r := range l.rules {
		for _, f := range r.flow {
			if f.marker != 0 && !named[f.marker] {
				return nil, seclang.Errorf(r.pos, "action skipAfter: got marker %q, which no SecMarker sets", l.marks[f.marker-1])
			}
		}
	}
	for n := 1; n < len(e.phases); n++ {
		p := &e.phases[n]
		p.marks = map[int][]int{}
		for _, r := range l.rules {
			if r.marker != 0 {
				p.marks[r.marker] = append(p.marks[r.marker], len(p.rules))
			}
			if r.marker != 0 || r.Phase == n {
				p.rules = append(p.rules, r)
			}
		}
	}
	e.txNames, e.txIndex = l.txNames, l.txIndex
	for _, r := range l.rules {
		for c := r; c != nil; c = c.chain {
			for j := range c.targets {
				if t := &c.targets[j]; t.v == vTX && t.slot < 0 {
					for i, name := range e.txNames {
						if t.wants(name) {
							t.slots = append(t.slots, i)
						}
					}
				}
			}
		}
	}
	e.prepareBatches()
	return e, nil
}

func (l *loader) linkTarget(e *Engine, t *target) {
	if t.v == vTX && t.key != "" && t.rx == nil {
		t.slot = l.slot(t.key)
	}
	e.keyID(t.key)
	for i := range t.except {
		e.keyID(t.except[i].key)
	}
}

// keyID gives a key that rules name a number.
func (e *Engine) keyID(lower string) {
	if lower != "" && e.keyIDs[lower] == 0 && len(e.keyIDs) < 1<<16-2 {
		e.keyIDs[lower] = uint16(len(e.keyIDs) + 1)
	}
}
