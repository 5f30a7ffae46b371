package waf

import (
	"math"
	"slices"
	"strings"
)

// Some hundred rules run on every request, whatever it holds: they compare numbers
// of TX, count headers, and set other numbers or jump. A request that comes after
// others finds little of what the last one used in the processor's caches, and
// then a rule costs what has to be fetched of it. So the walk over a phase reads
// briefs, of which a line of the cache has two or three, and looks at a rule only
// if its brief does not say it all.

// A brief is what the walk over a phase needs to know of a rule.
type brief struct {
	does    doing
	reads   reading
	op      comparison
	not     bool
	batched bool
	key     uint16 // the id of a key of a list
	slot    int32  // of TX; or the list
	n       int32  // what to compare with, unless from is a place
	from    int32  // of TX; -1 for none
	to      uint16 // where a jump goes
	sets    uint16 // the first of the phase's assignments
	end     uint16 // after the last one
}

// doing is what becomes of a rule whose test holds.
type doing uint8

const (
	runs    doing = iota // the rule itself is to be run
	passes               // nothing: it is a marker
	jumps                // the walk goes on elsewhere
	assigns              // values of TX are set
)

// reading is what a brief's test compares.
type reading uint8

const (
	readsNothing reading = iota // there is no test
	readsValue                  // a value of TX
	readsSet                    // whether TX has a value: 1 or 0
	readsCount                  // how many values of a list have a key
)

// An assign sets one value of TX.
type assign struct {
	slot int32
	from int32  // the place of TX that the value is taken from; -1 for none
	sign byte   // + or -: the value is added or taken away
	text string // the value, or what stands for it when from has none
}

// holds is the test of a brief.
func (c *brief) holds(tx *Transaction) bool {
	v := 0
	switch c.reads {
	case readsNothing:
		return true
	case readsValue:
		s := &tx.txs[c.slot]
		if !s.set {
			return false
		}
		v = atoi(s.value)
	case readsSet:
		if tx.txs[c.slot].set {
			v = 1
		}
	case readsCount:
		l := tx.lists[c.slot]
		for i := range l {
			if l[i].keyID == c.key {
				v++
			}
		}
	}
	n := int(c.n)
	if c.from >= 0 {
		n = atoi(tx.txs[c.from].value) // of no value: 0
	}
	return compare(c.op, v, n) != c.not
}

// usable says whether nothing that the transaction leaves out of targets changes
// what a brief's test reads.
func (c *brief) usable(tx *Transaction) bool {
	return len(tx.excepts) == 0 || c.reads != readsCount && !tx.exceptsTX
}

func (a *assign) run(tx *Transaction) {
	value := a.text
	if a.from >= 0 {
		if s := &tx.txs[a.from]; s.set {
			value = s.value
		}
	}
	sign := a.sign
	if sign == 0 && value != "" && (value[0] == '+' || value[0] == '-') {
		sign, value = value[0], value[1:]
	}
	if sign != 0 {
		var ok bool
		if value, ok = tx.sum(tx.txs[a.slot].value, sign, value); !ok {
			return
		}
	}
	tx.setTX(int(a.slot), txValue{value, true})
}

// brief works out the briefs of a phase. silent says that no rule asks what the
// rule before it has matched.
func (p *phase) brief(e *Engine, silent bool) {
	p.briefs = make([]brief, len(p.rules))
	for i, r := range p.rules {
		c := &p.briefs[i]
		c.from, c.batched = -1, r.marker == 0 && r.bit >= 0
		switch {
		case r.marker != 0:
			c.does = passes
		case r.bit < 0 && c.short(e, r) && silent:
			if _, ok := asGuard(r); ok {
				if to, ok := p.next(r.flow[0].marker, i+1); ok && to <= math.MaxUint16 {
					c.does, c.to = jumps, uint16(to)
				}
			} else if as, ok := r.assigns(); ok && len(p.sets)+len(as) <= math.MaxUint16 {
				c.does, c.sets, c.end = assigns, uint16(len(p.sets)), uint16(len(p.sets)+len(as))
				p.sets = append(p.sets, as...)
			}
		}
	}
}

// short takes over a rule's test, if it is short. Targets are to be linked before.
func (c *brief) short(e *Engine, r *rule) bool {
	if r.op == nil {
		return true
	}
	o, ok := r.op.(*number)
	if !ok || len(r.steps) > 0 || len(r.targets) != 1 || len(r.targets[0].except) > 0 {
		return false
	}
	from := int32(-1)
	if !o.fixed {
		if len(o.value) != 1 || o.value[0].v != vTX || o.value[0].slot < 0 || atoi(o.value[0].text) != 0 {
			return false
		}
		from = int32(o.value[0].slot)
	}
	if o.n != int(int32(o.n)) {
		return false
	}
	t := &r.targets[0]
	switch {
	case t.v == vTX && t.slot >= 0:
		c.reads, c.slot = readsValue, int32(t.slot)
		if t.count {
			c.reads = readsSet
		}
	case vars[t.v].kind == kindList && t.count && t.rx == nil && e.keyIDs[t.key] > 0:
		c.reads, c.slot, c.key = readsCount, int32(stored(t.v)-firstList), e.keyIDs[t.key]
	default:
		return false
	}
	c.op, c.not, c.n, c.from = o.op, r.not, int32(o.n), from
	return true
}

// assigns gives what a rule sets that does nothing else.
func (r *rule) assigns() ([]assign, bool) {
	if r.chain != nil || !r.quiet || r.Severity != SeverityUnset || len(r.flow) > 0 || r.disruptive != doPass {
		return nil, false
	}
	var out []assign
	for _, x := range r.effects {
		s, ok := x.(*setvar)
		if !ok || s.v != vTX || s.slot < 0 || s.remove {
			return nil, false
		}
		a := assign{slot: int32(s.slot), from: -1}
		m := s.value
		if len(m) == 2 && m[0].v == vUnknown && (m[0].text == "+" || m[0].text == "-") {
			a.sign = m[0].text[0]
			m = m[1:]
		}
		if len(m) != 1 || m[0].v != vUnknown && (m[0].v != vTX || m[0].slot < 0) {
			return nil, false
		}
		if a.text = m[0].text; m[0].v == vTX {
			a.from = int32(m[0].slot)
		}
		out = append(out, a)
	}
	return out, true
}

// asksBefore says whether a rule may ask what the rule before it has matched.
func (r *rule) asksBefore() bool {
	return slices.ContainsFunc(r.targets, func(t target) bool { return vars[t.v].kind == kindMatched }) ||
		strings.Contains(strings.ToUpper(r.Operator), "%{MATCHED")
}
