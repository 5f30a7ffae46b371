package waf

import (
	"fmt"
	"math"
	"slices"

	"github.com/ringwall/ringwall/waf/internal/dfa"
	"github.com/ringwall/ringwall/waf/internal/transform"
)

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
	p := &program{active: active, covers: newRuleSet(len(b.rules)), others: newRuleSet(b.size)}
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
	p.settle(b)
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

// settle works out which rules are left to look at when all guards are known: in
// the half after them.
func (p *program) settle(b *batch) {
	of := b.phase
	p.settled, p.passed = slices.Clone(p.others), newRuleSet(len(of.rules))
	for at := 0; at < len(of.rules); at++ {
		if of.briefs[at].does == passes {
			p.settled.remove(at)
		}
		if b.half == 0 || of.guards[at] < 0 {
			continue
		}
		p.settled.remove(at)
		if p.active&(1<<of.guards[at]) == 0 {
			continue
		}
		for to := int(of.briefs[at].to); at+1 < to; at++ {
			p.settled.remove(at + 1)
			p.passed.add(at + 1)
		}
	}
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
	c.plans.table.Store(&[]slot{{}, {}, {}, {}})
	c.plans.full = c.plan(c.acts, anyBytes)
	return c
}
