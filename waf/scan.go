package waf

import (
	"math/bits"
	"unsafe"

	"github.com/ringwall/ringwall/waf/internal/dfa"
	"github.com/ringwall/ringwall/waf/internal/transform"
)

// A batchRun is what a batch has found of a transaction.
type batchRun struct {
	phase, half int
	done        bool
	program     *program
	found       ruleSet
	fit         ruleSet // by their place in the phase, the rules to look at
	loose       bool    // guards decide when their turn comes
	hits        dfa.Bitset
	mask        dfa.Bitset
	texts       []string // of one value, by place of its plan
	kinds       []transform.Class
	group       []int // of each place of the plan: the first one with the same text
	firsts      []int // those that are the first with their text
	members     []int // of each first one: a place with patterns and its text; 0 for none
	next        []int // of each such place: another one
}

func (b *batchRun) reset() {
	b.done, b.program = false, nil
	clear(b.texts[:cap(b.texts)])
}

func (tx *Transaction) startBatch(n int) {
	tx.batch.phase, tx.batch.half, tx.batch.done = n, 0, false
	tx.dirty = false
}

// candidate says whether a rule of a batch may match.
func (tx *Transaction) candidate(r *rule) bool {
	b := &tx.batch
	if !b.done || b.half != r.half {
		b.half = r.half
		tx.runBatch()
	}
	return tx.dirty || b.found.has(r.bit) || !b.program.covers.has(r.bit)
}

// runBatch tests the rules of the current batch.
func (tx *Transaction) runBatch() {
	run := &tx.batch
	run.done = true
	b := tx.e.phases[run.phase].batches[run.half]
	var active guards
	if run.half > 0 {
		for i, g := range b.guards {
			if s := &tx.txs[g.slot]; s.set && compare(g.op, atoi(s.value), g.n) != g.not {
				active |= 1 << i
			}
		}
	}
	p := b.program(active)
	run.program = p
	if cap(run.hits) < p.widest {
		run.hits, run.mask = make(dfa.Bitset, p.widest), make(dfa.Bitset, p.widest)
	}
	run.hits, run.mask = run.hits[:p.widest], run.mask[:p.widest]
	if len(run.texts) < p.deepest {
		run.texts, run.kinds = make([]string, p.deepest), make([]transform.Class, p.deepest)
		run.group, run.members, run.next = make([]int, p.deepest), make([]int, p.deepest), make([]int, p.deepest)
	}
	n := len(p.covers)
	if cap(run.found) < n {
		run.found = make(ruleSet, n)
	}
	run.found = run.found[:n]
	clear(run.found)
	tx.capturing = false
	for i, s := range b.sources {
		if vars[s.v].kind == kindSingle {
			tx.scan(b, i, 0, tx.singles[s.v])
			continue
		}
		l := *tx.list(s.v)
		for j := range l {
			e := &l[j]
			if s.names {
				tx.scan(b, i, e.keyID, e.key)
			} else {
				tx.scan(b, i, e.keyID, e.value)
			}
			if tx.stopped {
				return
			}
		}
	}
	tx.fitting(b.index, active)
}

// crowd is how many nodes make it worth to read a text with the patterns of all.
const crowd = 4

// scan tests one value of a source.
func (tx *Transaction) scan(b *batch, source int, key uint16, s string) {
	run := &tx.batch
	if s == "" {
		for w, rules := range b.empty[source][key] {
			run.found[w] |= rules
		}
		return
	}
	c := run.program.code[run.program.classes[source][key]]
	if len(c.nodes) == 0 {
		return
	}
	tx.spend(len(s))
	kinds := transform.Scan(raw(s))
	p := c.planOf(kinds, alphabetOf(kinds))
	run.texts[0], run.kinds[0], run.group[0] = s, kinds, 0
	tx.transformAll(p)
	for _, at := range run.firsts {
		tx.read(p, at)
	}
	tx.test(p.tests, s)
	for _, at := range p.where {
		n := &p.rest[at-1]
		for j := range n.tests {
			if t := &n.tests[j]; run.group[at] != nothing && (!t.new || run.group[at] != run.group[n.from]) {
				tx.test(n.tests[j:j+1], run.texts[at])
			}
		}
	}
}

// test runs tests on a text.
func (tx *Transaction) test(tests []test, s string) {
	found := tx.batch.found
	for i := range tests {
		if t := &tests[i]; !found.has(int(t.bit)) && tx.passes(t, s) {
			found.add(int(t.bit))
		}
	}
}

// nothing is the group of places whose text is too short to find anything in.
const nothing = -1

// transformAll works out the texts of a plan's nodes, and which are the same.
// Place 0 is the value itself.
func (tx *Transaction) transformAll(p *plan) {
	run := &tx.batch
	run.firsts = append(run.firsts[:0], 0)
	run.members[0] = 0
	for i := range p.rest {
		n, at := &p.rest[i], i+1
		from := int(n.from)
		most := len(run.texts[from])
		if !n.keeps {
			most = n.step.Most(most)
		}
		if run.group[from] == nothing || most < int(n.least) {
			run.group[at] = nothing
			continue
		}
		if n.acts&run.kinds[from] == 0 {
			run.texts[at], run.kinds[at], run.group[at] = run.texts[from], run.kinds[from], run.group[from]
		} else {
			tx.transformOne(n.step, at, from)
		}
		if n.reads {
			g := run.group[at]
			run.next[at], run.members[g] = run.members[g], at
		}
	}
}

// transformOne works out the text of a place, and which group it is of.
func (tx *Transaction) transformOne(step *transform.Transform, at, from int) {
	run := &tx.batch
	run.texts[at], run.kinds[at], run.group[at] = run.texts[from], run.kinds[from], run.group[from]
	out := tx.step(step, run.texts[from])
	if same(out, run.texts[from]) {
		return
	}
	run.texts[at] = out
	for _, g := range run.firsts {
		if run.texts[g] == out {
			run.kinds[at], run.group[at] = run.kinds[g], g
			return
		}
	}
	run.kinds[at], run.group[at] = transform.Scan(raw(out)), at
	run.firsts, run.members[at] = append(run.firsts, at), 0
}

// read matches the patterns of the nodes that have the text of a place, the
// first one that has it.
func (tx *Transaction) read(p *plan, first int) {
	run := &tx.batch
	s, mask := run.texts[first], run.mask
	members := 0
	if first == 0 {
		copy(mask, p.mine)
		members = len(p.still)
	} else {
		clear(mask)
	}
	for at := run.members[first]; at > 0; at = run.next[at] {
		mask.Or(p.rest[at-1].mine)
		members++
	}
	if members == 0 {
		return
	}
	a := alphabetOf(run.kinds[first])
	if a.narrow() || members >= crowd && calm(s) {
		if set := run.program.all.get(a); meets(mask, set.May()) {
			tx.spend(set.Scan(raw(s), run.hits))
			run.take(mask, run.program.allBits)
		}
		return
	}
	clear(mask) // now the patterns that were read
	if first == 0 {
		for _, n := range p.still {
			tx.readOwn(n, s, a)
		}
	}
	for at := run.members[first]; at > 0; at = run.next[at] {
		tx.readOwn(p.rest[at-1].node, s, a)
	}
}

// readOwn matches the patterns of one node, unless nodes before it with the same
// text have them all.
func (tx *Transaction) readOwn(n *node, s string, a alphabet) {
	run := &tx.batch
	if n.mine.Within(run.mask) {
		return
	}
	run.mask.Or(n.mine)
	if set := n.set.get(a); meets(n.mask, set.May()) {
		tx.spend(set.Scan(raw(s), run.hits))
		run.take(n.mask, n.bits)
	}
}

// calm says whether a text is mostly letters, digits and space. On others the set
// of all patterns has too many states to make; sets of few patterns do better.
func calm(s string) bool {
	marks := 0
	for i := 0; i < len(s); i++ {
		marks += int(isMark[s[i]])
	}
	return marks <= len(s)/3
}

var isMark = func() (t [256]uint8) {
	for c := range t {
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == ' ') {
			t[c] = 1
		}
	}
	return t
}()

// take notes the rules of the patterns that were hit and are asked for, and
// forgets the hits.
func (b *batchRun) take(mask dfa.Bitset, rules []int32) {
	for w, m := range mask {
		word := b.hits[w]
		if word == 0 {
			continue
		}
		b.hits[w] = 0
		for word &= m; word != 0; word &= word - 1 {
			b.found.add(int(rules[w<<6+bits.TrailingZeros64(word)]))
		}
	}
}

// same says whether two texts are the same memory.
func same(a, b string) bool {
	return len(a) == len(b) && unsafe.StringData(a) == unsafe.StringData(b)
}

// passes tests one value with a rule's operator, as match does.
func (tx *Transaction) passes(t *test, s string) bool {
	r := t.rule
	if !t.all {
		tx.spend(len(s))
		return r.op.test(nil, s) != r.not
	}
	for _, v := range tx.each(r.steps, s) {
		tx.spend(len(v))
		if r.op.test(nil, v) != r.not {
			return true
		}
	}
	return false
}
