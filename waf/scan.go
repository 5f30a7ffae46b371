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
	hits        dfa.Bitset
	texts       []string // of one value, by node
	kinds       []transform.Class
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
			if s := &tx.txs[g.slot]; s.set && g.op.test(tx, s.value) != g.not {
				active |= 1 << i
			}
		}
	}
	p := b.program(tx.e, active)
	run.program = p
	n := len(p.covers)
	if cap(run.found) < n {
		run.found = make(ruleSet, n)
	}
	run.found = run.found[:n]
	clear(run.found)
	if len(run.hits) < p.widest {
		run.hits = make(dfa.Bitset, p.widest)
	}
	if len(run.texts) < p.deepest {
		run.texts, run.kinds = make([]string, p.deepest), make([]transform.Class, p.deepest)
	}
	tx.capturing = false
	for i, s := range b.sources {
		ids := p.classes[i]
		if vars[s.v].kind == kindSingle {
			if c := &p.code[ids[0]]; len(c.nodes) > 0 {
				tx.scan(c, tx.singles[s.v])
			}
			continue
		}
		l := *tx.list(s.v)
		for j := range l {
			e := &l[j]
			c := &p.code[ids[e.keyID]]
			if len(c.nodes) == 0 {
				continue
			}
			if s.names {
				tx.scan(c, e.key)
			} else {
				tx.scan(c, e.value)
			}
			if tx.stopped {
				return
			}
		}
		if tx.stopped {
			return
		}
	}
}

// scan tests one value.
func (tx *Transaction) scan(c *class, s string) {
	run := &tx.batch
	for i := range c.nodes {
		n := &c.nodes[i]
		if n.from < 0 {
			run.texts[i], run.kinds[i] = s, transform.Scan(raw(s))
			tx.spend(len(s))
		} else {
			from, kinds := run.texts[n.from], run.kinds[n.from]
			if n.step.Acts&kinds != 0 {
				if out := tx.step(n.step, from); !same(out, from) {
					from, kinds = out, transform.Scan(raw(out))
				}
			}
			run.texts[i], run.kinds[i] = from, kinds
		}
		text := run.texts[i]
		if n.set != nil {
			hits := run.hits
			tx.spend(n.set.Scan(raw(text), hits))
			for w, mask := range n.mask {
				word := hits[w]
				if word == 0 {
					continue
				}
				hits[w] = 0
				for word &= mask; word != 0; word &= word - 1 {
					run.found.add(int(n.bits[w<<6+bits.TrailingZeros64(word)]))
				}
			}
		}
		for j := range n.tests {
			t := &n.tests[j]
			if run.found.has(int(t.bit)) || t.new && same(text, run.texts[n.from]) {
				continue
			}
			if tx.passes(t, text) {
				run.found.add(int(t.bit))
			}
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
