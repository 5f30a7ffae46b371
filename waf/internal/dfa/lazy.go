package dfa

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
)

// A lazy is a deterministic automaton whose states are made when a text first
// needs them. Scans read its table without a lock; a scan that finds no entry
// makes it under one.
//
// An entry of the table is where the row of the next state begins; negative, if
// entering that state completes patterns. 0 is an entry that is not known, or a
// byte that begins a longer character. Rows are numClass+1 entries and more long, row 0
// is not used. Entries are only ever added, so that a scan may go on with a
// table that has been replaced by a longer one.
type lazy struct {
	p      *prog
	stride uint32
	class  [256]uint8 // of each byte; 0 for those to be looked at more closely
	budget int

	table atomic.Pointer[table]

	// apart are the patterns one by one, for texts that would take too many
	// states of all together. There are none of what has no gaps.
	apart []*single

	mu      sync.Mutex
	step    maker
	known   map[string]uint32 // the row of a state, by its key
	fresh   []uint32          // the entries of states of which only the starts contribute to the next, by the kind of the last character and class
	plain   *stepper          // step, if it is one: what fill knows about
	used    int               // bytes, about
	key     []byte
	strayed int // steps made without the table since it was full
	spare   sync.Pool
	always  []int32       // patterns that match every text
	seams   atomic.Uint32 // texts that were read in parts
	torn    atomic.Uint32 // of these, those of which a part had to read on
	lone    bool          // there is one pattern only, so that reading may end when it is found
}

// A maker computes states. What it gives is valid until it is next asked.
type maker interface {
	first() config                       // the state before any character
	step(from *config, class int) config // the state after one more
}

type table struct {
	first   uint32 // the row before any character
	epoch   int    // rows of another epoch mean other states
	rows    []uint32
	states  []config // states[row/stride]
	made    int
	middles [numKinds]uint32 // the rows of texts begun in the middle, by the kind of the character before
}

const (
	// rowLine is how many entries a line of the cache holds; rows begin with one.
	rowLine     = 16
	firstStates = 16
	// stateCost is about what a state takes besides its row, instructions and key.
	stateCost = 160
	// patience is how many states a scan may make in all before it has to have
	// read strayRatio bytes for each.
	patience   = 512
	strayRatio = 8
	// rejoin is after how many steps without the table it is looked at again.
	rejoin = 16
)

func newLazy(p *prog, budget int, m maker) *lazy {
	d := &lazy{p: p, stride: uint32(p.numClass+1+rowLine-1) &^ (rowLine - 1), budget: budget, step: m}
	for c, class := range p.class {
		if class < 256 {
			d.class[c] = uint8(class)
		}
	}
	d.plain, _ = m.(*stepper)
	d.reset()
	return d
}

// reset forgets all states. The lock is held, or nobody else knows d.
func (d *lazy) reset() {
	epoch := 0
	if t := d.table.Load(); t != nil {
		epoch = t.epoch + 1
	}
	t := &table{epoch: epoch, made: 1, rows: make([]uint32, firstStates*d.stride), states: make([]config, firstStates)}
	d.known, d.used, d.strayed = map[string]uint32{}, 4*len(t.rows), 0
	d.fresh = make([]uint32, numKinds*(d.p.numClass+1))
	c := d.step.first()
	t.first = d.stride
	d.addState(t, &c)
	d.table.Store(t)
}

// addState gives a config that is not known the next row of a table that has room.
func (d *lazy) addState(t *table, c *config) uint32 {
	row := uint32(t.made) * d.stride
	t.states[t.made] = config{kind: c.kind, insts: slices.Clone(c.insts), hits: slices.Clone(c.hits), late: c.late}
	t.made++
	d.known[string(d.keyOf(c))] = row
	d.used += stateCost + 8*len(c.insts) + 8*len(c.hits)
	d.fill(t, row)
	return row
}

// fill makes the entries of a new state that its own instructions have no part
// in, as far as states before it have shown where they lead. Most characters end
// all that was begun, and so most entries are of this kind.
func (d *lazy) fill(t *table, row uint32) {
	if d.plain == nil {
		return
	}
	c := &t.states[row/d.stride]
	reacts := d.plain.reactions(c.insts)
	if reacts == nil {
		return
	}
	fresh := d.fresh[int(c.kind)*(d.p.numClass+1):][:d.p.numClass+1]
	to := t.rows[row:][:len(fresh)]
	for class, e := range fresh {
		if reacts[class>>6]&(1<<(uint(class)&63)) == 0 {
			to[class] = e
		}
	}
}

func (d *lazy) keyOf(c *config) []byte {
	k := append(d.key[:0], c.kind, byte(c.late))
	for _, h := range c.hits[:c.late] {
		k = binary.LittleEndian.AppendUint32(k, uint32(h))
	}
	for _, pc := range c.insts {
		k = binary.LittleEndian.AppendUint32(k, pc)
	}
	// The patterns that complete without an assertion follow from where the
	// character led, but those places were dropped from insts.
	for _, h := range c.hits[c.late:] {
		k = binary.LittleEndian.AppendUint32(k, ^uint32(h))
	}
	d.key = k
	return k
}

// entry makes the entry of a row at a class, and gives the table to go on with.
// An answer of 0 says that there is no room.
func (d *lazy) entry(t *table, row uint32, class int) (*table, uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	cur := d.table.Load()
	from := &t.states[row/d.stride]
	if cur.epoch != t.epoch {
		r, ok := d.known[string(d.keyOf(from))]
		if !ok {
			if cur, ok = d.room(cur); !ok {
				return t, 0
			}
			r = d.addState(cur, from)
		}
		row = r
	}
	if e := cur.rows[row+uint32(class)]; e != 0 {
		return cur, e
	}
	c := d.step.step(from, class)
	next, ok := d.known[string(d.keyOf(&c))]
	if !ok {
		if cur, ok = d.room(cur); !ok {
			return t, 0
		}
		next = d.addState(cur, &c)
	}
	return cur, d.enter(cur, row, class, next, len(c.hits) > 0)
}

// enter makes an entry of a step that was just taken. The lock is held.
func (d *lazy) enter(t *table, row uint32, class int, next uint32, hits bool) uint32 {
	if hits {
		next = -next
	}
	if d.plain != nil && d.plain.fresh {
		d.fresh[int(t.states[row/d.stride].kind)*(d.p.numClass+1)+class] = next
	}
	atomic.StoreUint32(&t.rows[row+uint32(class)], next)
	return next
}

// room makes sure that the table can take another state.
func (d *lazy) room(t *table) (*table, bool) {
	if t.made < len(t.states) {
		return t, true
	}
	if d.used+4*len(t.rows) > d.budget && t.made > firstStates {
		return t, false
	}
	n := &table{first: t.first, epoch: t.epoch, made: t.made, rows: make([]uint32, 2*len(t.rows)), states: make([]config, 2*len(t.states))}
	copy(n.rows, t.rows)
	copy(n.states, t.states)
	n.middles = t.middles
	d.used += 4 * len(t.rows)
	d.table.Store(n)
	return n, true
}

// stray reads on from b[i:] state by state without keeping them: it is slower
// than the table, but needs no memory. Now and then it looks whether the table
// knows the state it is in, and gives it and the place if so; otherwise it reads
// the text to its end and gives no table.
func (d *lazy) stray(t *table, at uint32, b []byte, i int, hits Bitset) (int, *table, uint32) {
	s, _ := d.spare.Get().(*stepper)
	if s == nil {
		s = newStepper(d.p)
	}
	defer d.spare.Put(s)
	c := t.states[at/d.stride]
	var insts []uint32
	for steps := 1; i <= len(b); steps++ {
		class, width := d.p.numClass, 1
		if i < len(b) {
			class, width = d.p.next(b[i:])
		}
		i += width
		c = s.step(&c, class)
		insts = append(insts[:0], c.insts...)
		c.insts = insts
		for _, h := range c.hits {
			hits.Add(int(h))
		}
		if steps%rejoin == 0 && i < len(b) {
			if t, at := d.rejoin(&c); t != nil {
				return i, t, at
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.spent(rejoin)
	return 0, nil, 0
}

// rejoin finds the row of a state.
func (d *lazy) rejoin(c *config) (*table, uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.spent(rejoin)
	row, ok := d.known[string(d.keyOf(c))]
	if !ok {
		return nil, 0
	}
	return d.table.Load(), row
}

// spent counts steps without the table. A table that is full of what nobody asks
// for any more is given up once going without it has cost as much as filling it.
func (d *lazy) spent(steps int) {
	if d.strayed += steps; d.strayed > 4*d.table.Load().made && d.full() {
		d.reset()
	}
}

func (d *lazy) full() bool {
	t := d.table.Load()
	return t.made == len(t.states) && d.used+4*len(t.rows) > d.budget
}

// size is the number of states and about the bytes they take.
func (d *lazy) size() (states, bytes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.table.Load().made - 1, d.used
}
