package waf

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ringwall/ringwall/waf/internal/dfa"
	"github.com/ringwall/ringwall/waf/internal/transform"
)

// Most rules of a phase read values that do not change while it runs, with an
// operator that looks at nothing else. A batch tests them all at once: each value
// is transformed once per chain of transformations, and the patterns of a chain
// are matched in one reading. What is left are candidates, which then run one by
// one, exactly as if there were no batch. A rule that a batch did not cover always
// runs.

// A batch is the rules of a phase that are tested together.
type batch struct {
	rules  []*rule // by their bit
	index  []int   // of each, its place in the phase
	size   int     // rules of the phase
	phase  *phase
	half   int // 0 for the rules before the first guard
	guards []guard

	mu       sync.Mutex
	programs atomic.Pointer[map[guards]*program]
	sources  []source
	keys     int         // key ids, with 0 for keys that no rule names
	reads    [][]ruleSet // by rule and source: the key ids under which it may read values
	empty    [][]ruleSet // by source and key id: the rules that may match an empty value there
}

// A guard is a rule that does nothing but jump over others when a number of TX
// compares in some way: the core rules choose paranoia levels so.
type guard struct {
	slot int
	op   comparison
	n    int
	not  bool
}

// guards is a set of a batch's guards.
type guards uint64

const maxGuards = 64

// A source is one list of values, or one value, that rules of a batch read.
type source struct {
	v     varID
	names bool // the keys of the list
}

// A program is a batch compiled for those of its rules that no guard jumps over.
type program struct {
	active  guards
	covers  ruleSet
	others  ruleSet    // by their place in the phase, the rules that are not covered
	settled ruleSet    // of others, those that are neither guards nor jumped over, nor markers
	passed  ruleSet    // by their place, the rules that active guards jump over
	classes [][]uint16 // by source and key id: which class values are of
	code    []*class
	all     *lazySet // the patterns of all nodes
	allBits []int32  // of each pattern in all, its rule's bit
	widest  int      // words of the widest set of patterns
	deepest int      // most nodes of a class
}

// A class is what is done with the values of a source that the same rules read.
type class struct {
	nodes    []node
	acts     transform.Class // what any of the transformations looks for
	all      *lazySet        // the program's
	patterns int             // in all
	plans    plans
}

// A node is one prefix of transformation chains. Its patterns have a set of their
// own, and are in the program's set of all, which is read once for a text that
// many nodes have: most transformations leave most values as they are.
type node struct {
	from  int                  // the class's node that this one transforms; -1 for the value itself
	step  *transform.Transform // nil for the value itself
	set   *lazySet             // nil for none
	mask  dfa.Bitset           // its patterns whose rules read this class
	bits  []int32              // of each pattern, its rule's bit
	mine  dfa.Bitset           // the same patterns in the set of all
	tests []test
	least int // characters that the text needs for this node or one after it to find anything
}

// A test is an operator that is not a pattern.
type test struct {
	rule *rule
	bit  int32
	all  bool // of a rule with multiMatch: all its steps from here
	new  bool // not if the value is that of the node before
}

// prepareBatches finds the rules that can be tested together: of each phase those
// before its first guard, and those after.
func (e *Engine) prepareBatches() {
	e.guards, e.steers = newRuleSet(len(e.rules)), newRuleSet(len(e.txNames))
	silent := !slices.ContainsFunc(e.rules, (*rule).asksBefore)
	for n := 1; n < len(e.phases); n++ {
		p := &e.phases[n]
		guardsOf := map[*rule]int{}
		p.first, p.guards = len(p.rules), slices.Repeat([]int8{-1}, len(p.rules))
		var gs []guard
		for i, r := range p.rules {
			if g, ok := asGuard(r); ok {
				p.first = min(p.first, i)
				k := slices.Index(gs, g)
				if k < 0 && len(gs) < maxGuards {
					k = len(gs)
					gs = append(gs, g)
				}
				if k >= 0 {
					guardsOf[r] = k
				}
			}
		}
		for i, r := range p.rules {
			if k, ok := guardsOf[r]; ok {
				end, _ := p.next(r.flow[0].marker, i+1)
				for _, over := range p.rules[i+1 : end] {
					over.guarded |= 1 << k
				}
			}
		}
		for half := range p.batches {
			p.batches[half] = &batch{guards: gs, keys: len(e.keyIDs) + 1, size: len(p.rules), phase: p, half: half}
		}
		for i, r := range p.rules {
			if r.marker != 0 || !r.batches() {
				continue
			}
			half := 0
			if i > p.first {
				half = 1
			}
			b := p.batches[half]
			r.half, r.bit = half, len(b.rules)
			b.rules, b.index = append(b.rules, r), append(b.index, i)
			for _, t := range r.targets {
				for _, s := range sourcesOf(t.v) {
					if !slices.Contains(b.sources, s) {
						b.sources = append(b.sources, s)
					}
				}
			}
		}
		for _, b := range p.batches {
			b.prepare(e)
		}
		p.brief(e, silent)
		for i, r := range p.rules {
			k, ok := guardsOf[r]
			if !ok || p.briefs[i].does != jumps || gs[k].slot < numCaptures {
				continue
			}
			p.guards[i] = int8(k)
			e.guards.add(r.index)
			e.steers.add(gs[k].slot)
		}
	}
}

// prepare works out what rules read, and which may match nothing at all.
func (b *batch) prepare(e *Engine) {
	names := make([]string, b.keys)
	for k, id := range e.keyIDs {
		names[id] = k
	}
	for range b.sources {
		byKey := make([]ruleSet, b.keys)
		for id := range byKey {
			byKey[id] = newRuleSet(len(b.rules))
		}
		b.empty = append(b.empty, byKey)
	}
	for i, r := range b.rules {
		empty := r.matchesEmpty()
		bySource := make([]ruleSet, len(b.sources))
		for j, s := range b.sources {
			bySource[j] = r.readsKeys(s, names)
			for id := range names {
				if empty && bySource[j].has(id) {
					b.empty[j][id].add(i)
				}
			}
		}
		b.reads = append(b.reads, bySource)
	}
}

// matchesEmpty says whether a rule may match an empty value. What transformations
// make of one is not empty in rare cases, such as t:length.
func (r *rule) matchesEmpty() bool {
	for _, s := range r.steps {
		if out, _ := s.Func(nil, nil); len(out) > 0 {
			return true
		}
	}
	switch op := r.op.(type) {
	case *rx:
		return op.least == 0 || r.not
	case *pm:
		return op.empty || r.not
	}
	return r.op.test(nil, "") != r.not
}

func asGuard(r *rule) (guard, bool) {
	o, ok := r.op.(*number)
	if !ok || !o.fixed || r.chain != nil || len(r.effects) > 0 || len(r.steps) > 0 || !r.quiet || r.Severity != SeverityUnset ||
		len(r.flow) != 1 || r.flow[0].marker == 0 || r.disruptive != doPass || len(r.targets) != 1 {
		return guard{}, false
	}
	t := &r.targets[0]
	if t.v != vTX || t.slot < 0 || t.count || len(t.except) > 0 {
		return guard{}, false
	}
	return guard{t.slot, o.op, o.n, r.not}, true
}

// batches says whether a rule can be tested with others.
func (r *rule) batches() bool {
	if r.op == nil || !r.op.pure() || len(r.targets) == 0 {
		return false
	}
	if r.not && r.capture {
		return false // it keeps groups when it does not match
	}
	for _, t := range r.targets {
		if !vars[t.v].fixed || t.count {
			return false
		}
	}
	return true
}

func sourcesOf(v varID) []source {
	switch info := &vars[v]; {
	case info.kind == kindConcat:
		var out []source
		for _, l := range argLists {
			out = append(out, source{l, v == vArgsNames})
		}
		return out
	case info.kind == kindNames:
		return []source{{info.of, true}}
	case v == vXML:
		return []source{{vRequestXML, false}}
	}
	return []source{{v, false}}
}

// readsKeys is the key ids under which a rule may read values of a source; id 0
// stands for all keys that no rule names.
func (r *rule) readsKeys(s source, names []string) ruleSet {
	ids := newRuleSet(len(names))
	for i := range r.targets {
		t := &r.targets[i]
		if !slices.Contains(sourcesOf(t.v), s) {
			continue
		}
		for id, key := range names {
			if t.mayRead(key, id > 0) {
				ids.add(id)
			}
		}
	}
	return ids
}

func (t *target) mayRead(key string, known bool) bool {
	switch {
	case t.rx == nil && t.key != "" && (!known || t.key != key):
		return false
	case t.rx != nil && known && !t.rx.MatchString(key):
		return false
	}
	for i := range t.except {
		if x := &t.except[i]; x.all || known && x.holds(key) {
			return false
		}
	}
	return true
}
