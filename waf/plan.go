package waf

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/ringwall/ringwall/waf/internal/dfa"
	"github.com/ringwall/ringwall/waf/internal/transform"
)

// Which bytes a value has says which transformations leave it as it is, and which
// patterns cannot match. A plan is what a class does with the values that have
// the same kinds of bytes.
type plan struct {
	key   planKey
	mine  dfa.Bitset // the patterns in the set of all to match in the value itself
	still []*node    // the nodes that these are of
	tests []test     // of all nodes whose text is the value
	rest  []planned  // the nodes whose text has to be worked out, in order
	where []int      // the places of those of rest that have tests
}

// A planned node has a place in its plan: 1 for the first one. What every value
// asks of a node is kept together here.
type planned struct {
	*node
	step  *transform.Transform
	acts  transform.Class // the step's
	from  int32           // the place that it transforms; 0 is the value
	least int32           // the node's
	keeps bool            // the result of the step is no longer than the text
	reads bool            // the node has patterns
}

// A planKey is the kinds of bytes that a class's transformations look for and a
// value has, and the value's alphabet.
type planKey uint32

func (c *class) key(kinds transform.Class, a alphabet) planKey {
	return planKey(kinds&c.acts) | planKey(a)<<28
}

// plans are a class's plans, made when a value first needs them. Readers take no
// lock.
type plans struct {
	mu    sync.Mutex
	table atomic.Pointer[[]slot] // by key; at least half of it is empty
	made  int
	open  int   // of these, how many are for values with any bytes
	full  *plan // for values with all kinds of bytes; it does for others without an alphabet too
}

type slot struct {
	key  planKey
	plan *plan
}

// maxOpen bounds how many plans there are for values with any bytes. Alphabets
// have few kinds of bytes, and so few plans.
const maxOpen = 64

func (t *plans) find(k planKey) *plan {
	slots := *t.table.Load()
	for i := k.hash(); ; i++ {
		s := &slots[i&(len(slots)-1)]
		if s.plan == nil || s.key == k {
			return s.plan
		}
	}
}

func (k planKey) hash() int { return int(uint32(k) * 0x9e3779b1 >> 16) }

// add keeps a plan; the lock is held.
func (t *plans) add(p *plan) {
	old := *t.table.Load()
	n := len(old)
	if t.made++; 2*t.made > n {
		n *= 2
	}
	slots := make([]slot, n)
	for _, s := range append([]slot{{p.key, p}}, old...) {
		if s.plan == nil {
			continue
		}
		i := s.key.hash()
		for slots[i&(n-1)].plan != nil {
			i++
		}
		slots[i&(n-1)] = s
	}
	t.table.Store(&slots)
}

// planOf gives the plan for values with some kinds of bytes and an alphabet.
func (c *class) planOf(kinds transform.Class, a alphabet) *plan {
	if !a.narrow() {
		a = anyBytes
	}
	k := c.key(kinds, a)
	if p := c.plans.find(k); p != nil {
		return p
	}
	t := &c.plans
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.find(k); p != nil {
		return p
	}
	if a == anyBytes {
		if t.open++; t.open > maxOpen {
			return t.full
		}
	}
	p := c.plan(kinds, a)
	t.add(p)
	return p
}

// plan makes the plan for values with some kinds of bytes and an alphabet.
func (c *class) plan(kinds transform.Class, a alphabet) *plan {
	p := &plan{key: c.key(kinds, a), mine: dfa.NewBitset(c.patterns)}
	may := c.may(a)
	opens := make([]bool, len(c.nodes)) // the text may have left the alphabet
	acts := make([]bool, len(c.nodes))  // the text may be another than the value
	need := make([]bool, len(c.nodes))
	for i := range c.nodes {
		n := &c.nodes[i]
		if i > 0 {
			does := acts[n.from] || n.step.Acts&kinds != 0
			acts[i], opens[i] = does, opens[n.from] || does && !n.step.Keeps
		}
		need[i] = len(n.tests) > 0 || n.set != nil && (opens[i] || meets(n.mine, may))
	}
	for i := len(c.nodes) - 1; i > 0; i-- {
		if need[i] {
			need[c.nodes[i].from] = true
		}
	}
	at := make([]int, len(c.nodes)) // of each node, its place
	for i := range c.nodes {
		n := &c.nodes[i]
		switch {
		case acts[i] && need[i]:
			p.rest = append(p.rest, planned{node: n, step: n.step, acts: n.step.Acts, from: int32(at[n.from]), least: int32(min(n.least, math.MaxInt32)), keeps: n.step.Most(4) == 4, reads: n.set != nil})
			at[i] = len(p.rest)
			if len(n.tests) > 0 {
				p.where = append(p.where, at[i])
			}
		case !acts[i]:
			if n.set != nil {
				p.still = append(p.still, n)
				p.mine.Or(n.mine)
			}
			for _, t := range n.tests {
				if !t.new { // the node before has the same text
					p.tests = append(p.tests, t)
				}
			}
		}
	}
	for w := range p.mine {
		p.mine[w] &= may[w]
	}
	return p
}

// may is the patterns that match some text of an alphabet.
func (c *class) may(a alphabet) dfa.Bitset {
	if c.all == nil {
		return nil
	}
	if a == anyBytes {
		every := dfa.NewBitset(c.patterns)
		for i := range c.patterns {
			every.Add(i)
		}
		return every
	}
	return c.all.get(a).May()
}

// meets says whether two sets of patterns have one in common.
func meets(a, b dfa.Bitset) bool {
	for w, m := range a {
		if m&b[w] != 0 {
			return true
		}
	}
	return false
}
