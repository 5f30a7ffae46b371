package waf

import (
	"fmt"
	"math"
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
	covers  ruleSet
	others  ruleSet    // by their place in the phase, the rules that are not covered
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
	for n := 1; n < len(e.phases); n++ {
		p := &e.phases[n]
		guardsOf := map[*rule]int{}
		first := len(p.rules)
		var gs []guard
		for i, r := range p.rules {
			if g, ok := asGuard(r); ok {
				first = min(first, i)
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
			p.batches[half] = &batch{guards: gs, keys: len(e.keyIDs) + 1, size: len(p.rules)}
		}
		for i, r := range p.rules {
			if r.marker != 0 || !r.batches() {
				continue
			}
			half := 0
			if i > first {
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

// program returns the batch's program for the guards that hold now.
func (b *batch) program(active guards) *program {
	if m := b.programs.Load(); m != nil {
		if p := (*m)[active]; p != nil {
			return p
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	m := map[guards]*program{}
	if old := b.programs.Load(); old != nil {
		if p := (*old)[active]; p != nil {
			return p
		}
		if len(*old) >= maxPrograms {
			active = 0
			if p := (*old)[active]; p != nil {
				return p
			}
		}
		for k, v := range *old {
			m[k] = v
		}
	}
	p := b.compile(active)
	m[active] = p
	b.programs.Store(&m)
	return p
}

// maxPrograms bounds what requests can make a batch compile; past it, all rules
// are tested, guarded or not.
const maxPrograms = 8

// A trie is the chains of transformations of a program, by their prefixes.
type trie struct {
	parent *trie
	step   *transform.Transform
	next   []*trie
	rules  []*rule // that test the value here
	place  int
	set    *lazySet
	bits   []int32
	order  []*rule // the patterns of set
}

func (t *trie) child(s *transform.Transform) *trie {
	for _, c := range t.next {
		if c.step == s {
			return c
		}
	}
	c := &trie{parent: t, step: s}
	t.next = append(t.next, c)
	return c
}

// own gives a node a set of a few of its patterns.
func (n *node) own(mask dfa.Bitset, order []*rule) {
	n.set, n.bits = &lazySet{}, nil
	for k := mask.Next(0); k >= 0; k = mask.Next(k + 1) {
		op, _ := order[k].asPattern()
		n.set.patterns = append(n.set.patterns, op)
		n.bits = append(n.bits, int32(order[k].bit))
	}
	n.mask = dfa.NewBitset(len(n.bits))
	for k := range n.bits {
		n.mask.Add(k)
	}
}

type patterned interface {
	pattern() dfa.Pattern
	shortest() int // characters of a text that it matches, at least
}

// everyStep says whether a rule tests the value after each of its transformations,
// and what it tests are exactly the values of the trie. htmlEntityDecode may
// change a value without counting as a change.
func (r *rule) everyStep() bool {
	return r.multiMatch && !slices.ContainsFunc(r.steps, func(t *transform.Transform) bool { return t.Name == "htmlEntityDecode" })
}

// asPattern says whether a rule's test is a pattern of nodes of the trie.
func (r *rule) asPattern() (patterned, bool) {
	p, ok := r.op.(patterned)
	return p, ok && !r.not && (!r.multiMatch || r.everyStep())
}

func (b *batch) compile(active guards) *program {
	p := &program{covers: newRuleSet(len(b.rules)), others: newRuleSet(b.size)}
	for i := range b.size {
		p.others.add(i)
	}
	root := &trie{}
	var all []patterned
	place := make([]int, len(b.rules)) // in all
	for _, r := range b.rules {
		if r.guarded&active != 0 {
			continue
		}
		p.covers.add(r.bit)
		p.others.remove(b.index[r.bit])
		at := root
		for _, s := range r.steps {
			if r.everyStep() {
				at.rules = append(at.rules, r)
			}
			if !r.multiMatch || r.everyStep() {
				at = at.child(s)
			}
		}
		at.rules = append(at.rules, r)
		if pat, ok := r.asPattern(); ok {
			place[r.bit] = len(all)
			all = append(all, pat)
			p.allBits = append(p.allBits, int32(r.bit))
		}
	}
	if len(all) > 0 {
		p.all = &lazySet{patterns: all}
		p.widest = (len(all) + 63) / 64
	}
	var flat []*trie
	var walk func(*trie)
	walk = func(t *trie) {
		t.place = len(flat)
		flat = append(flat, t)
		var patterns []patterned
		for _, r := range t.rules {
			if pat, ok := r.asPattern(); ok {
				patterns = append(patterns, pat)
				t.bits = append(t.bits, int32(r.bit))
				t.order = append(t.order, r)
			}
		}
		if len(patterns) > 0 {
			t.set = &lazySet{patterns: patterns}
		}
		for _, c := range t.next {
			walk(c)
		}
	}
	walk(root)
	b.classify(p, flat, place)
	return p
}

// classify makes the classes of a program.
func (b *batch) classify(p *program, flat []*trie, place []int) {
	known := map[string]uint16{}
	for s := range b.sources {
		ids := make([]uint16, b.keys)
		for id := range ids {
			is := newRuleSet(len(b.rules))
			for i := range b.rules {
				if b.reads[i][s].has(id) {
					is.add(i)
				}
			}
			sig := fmt.Sprintf("%x", is)
			i, ok := known[sig]
			if !ok {
				c := b.class(is, flat, place, p)
				i = uint16(len(p.code))
				known[sig] = i
				p.code = append(p.code, c)
				p.deepest = max(p.deepest, len(c.nodes))
			}
			ids[id] = i
		}
		p.classes = append(p.classes, ids)
	}
}

// class makes what is done with values that some rules read.
func (b *batch) class(readers ruleSet, flat []*trie, place []int, p *program) *class {
	own := make([]node, len(flat))
	need := make([]bool, len(flat))
	for i, t := range flat {
		n := &own[i]
		n.step, n.least = t.step, math.MaxInt
		k := 0
		mask, mine := dfa.NewBitset(len(t.order)), dfa.NewBitset(len(p.allBits))
		for _, r := range t.rules {
			is := k < len(t.order) && t.order[k] == r
			if readers.has(r.bit) {
				need[i] = true
				if !is {
					n.least = 0
				}
				if is {
					mask.Add(k)
					mine.Add(place[r.bit])
					n.least = min(n.least, r.op.(patterned).shortest())
				} else {
					n.tests = append(n.tests, test{rule: r, bit: int32(r.bit), all: r.multiMatch && !r.everyStep(), new: r.everyStep() && t.parent != nil})
				}
			}
			if is {
				k++
			}
		}
		if !mask.Empty() {
			n.set, n.mask, n.bits, n.mine = t.set, mask, t.bits, mine
			if few := mask.Count(); few*3 <= len(t.order) {
				n.own(mask, t.order)
			}
		}
	}
	for i := len(flat) - 1; i > 0; i-- {
		if need[i] {
			from := &own[flat[i].parent.place]
			need[flat[i].parent.place] = true
			if own[i].step.Most(1) == 1 {
				from.least = min(from.least, own[i].least)
			} else {
				from.least = 0
			}
		}
	}
	c := &class{all: p.all, patterns: len(p.allBits)}
	at := make([]int, len(flat))
	for i, t := range flat {
		if !need[i] {
			continue
		}
		n := own[i]
		n.from = -1
		if t.parent != nil {
			n.from = at[t.parent.place]
		}
		at[i] = len(c.nodes)
		c.nodes = append(c.nodes, n)
		if n.step != nil {
			c.acts |= n.step.Acts
		}
	}
	c.plans.table.Store(&[]*plan{nil, nil, nil, nil})
	c.plans.full = c.plan(c.acts, anyBytes)
	return c
}
