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
	mask        dfa.Bitset
	texts       []string // of one value, by node
	kinds       []transform.Class
	group       []int // of each node: the first one with the same text
	members     []int // of each first one: how many nodes with patterns have its text
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
	if len(run.hits) != p.widest {
		run.hits, run.mask = make(dfa.Bitset, p.widest), make(dfa.Bitset, p.widest)
	}
	if len(run.texts) < p.deepest {
		run.texts, run.kinds = make([]string, p.deepest), make([]transform.Class, p.deepest)
		run.group, run.members = make([]int, p.deepest), make([]int, p.deepest)
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
	p := run.program
	c := &p.code[p.classes[source][key]]
	if len(c.nodes) == 0 {
		return
	}
	tx.spend(len(s))
	tx.transformAll(c, s)
	for i := range c.nodes {
		n := &c.nodes[i]
		if run.group[i] == i && run.members[i] >= crowd {
			if calm(run.texts[i]) {
				tx.readAll(c, i)
			} else {
				run.members[i] = 0
			}
		}
		if n.set != nil && run.members[run.group[i]] < crowd {
			tx.spend(n.set.get().Scan(raw(run.texts[i]), run.hits))
			run.take(n.mask, n.bits)
		}
		for j := range n.tests {
			t := &n.tests[j]
			if run.found.has(int(t.bit)) || t.new && run.group[i] == run.group[n.from] {
				continue
			}
			if tx.passes(t, run.texts[i]) {
				run.found.add(int(t.bit))
			}
		}
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

// transformAll works out the text of each node, and which are the same.
func (tx *Transaction) transformAll(c *class, s string) {
	run := &tx.batch
	for i := range c.nodes {
		n := &c.nodes[i]
		run.members[i] = 0
		switch {
		case n.from < 0:
			run.texts[i], run.kinds[i], run.group[i] = s, transform.Scan(raw(s)), i
		case n.step.Acts&run.kinds[n.from] == 0:
			run.copyText(i, n.from)
		default:
			from := run.texts[n.from]
			out := tx.step(n.step, from)
			if same(out, from) {
				run.copyText(i, n.from)
				break
			}
			run.texts[i], run.group[i] = out, i
			for k := range i {
				if run.group[k] == k && run.texts[k] == out {
					run.group[i] = k
					break
				}
			}
			if g := run.group[i]; g != i {
				run.kinds[i] = run.kinds[g]
			} else {
				run.kinds[i] = transform.Scan(raw(out))
			}
		}
		if n.set != nil {
			run.members[run.group[i]]++
		}
	}
}

func (b *batchRun) copyText(to, from int) {
	b.texts[to], b.kinds[to], b.group[to] = b.texts[from], b.kinds[from], b.group[from]
}

// readAll reads the text of a group of nodes once.
func (tx *Transaction) readAll(c *class, first int) {
	run := &tx.batch
	clear(run.mask)
	for i := first; i < len(c.nodes); i++ {
		if run.group[i] == first {
			for w, m := range c.nodes[i].mine {
				run.mask[w] |= m
			}
		}
	}
	p := run.program
	tx.spend(p.all.get().Scan(raw(run.texts[first]), run.hits))
	run.take(run.mask, p.allBits)
}

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
