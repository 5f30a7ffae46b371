package waf

import (
	"container/list"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ringwall/ringwall/waf/internal/seclang"
)

// A store keeps values from request to request: IP, GLOBAL, SESSION, USER and
// RESOURCE. It is in memory and bounded; what was not used for longest goes first.
type store struct {
	mu    sync.Mutex
	rows  map[storeKey]*list.Element
	lru   list.List
	bytes int // of all rows
}

type storeKey struct {
	v   varID
	key string
}

type storeRow struct {
	key    storeKey
	values map[string]storeValue
	until  time.Time
	bytes  int
}

type storeValue struct {
	text  string
	until time.Time // zero: as long as the row
}

func newStore() *store { return &store{} }

const (
	maxRows   = 65536
	maxValues = 256 // of one row
	maxStored = 64 << 20
	maxRow    = 64 << 10 // bytes; a value that would make a row larger is not kept

	// What a row and a value cost beside their texts.
	rowBytes   = 512
	valueBytes = 128
)

// A storeRef is a row that a transaction opened with initcol.
type storeRef struct {
	v   varID
	key string
}

// initcol:ip=%{REMOTE_ADDR} says which row the variable stands for.
type initcol struct {
	v   varID
	key macro
}

func (l *loader) initcol(r *rule, s string) error {
	col, key, ok := strings.Cut(s, "=")
	v, known := varIDs[strings.ToUpper(strings.TrimSpace(col))]
	if !ok || !known || vars[v].kind != kindStore {
		return fmt.Errorf("got %q, want ip, global, session, user or resource and a key, such as ip=%%{REMOTE_ADDR}", s)
	}
	m, err := l.macro(key)
	r.effects = append(r.effects, &initcol{v, m})
	return err
}

func (a *initcol) run(tx *Transaction, _ *rule) {
	for _, s := range tx.stores {
		if s.v == a.v {
			return
		}
	}
	tx.stores = append(tx.stores, storeRef{a.v, strings.Clone(tx.expand(a.key))})
}

// unopened is an error where a rule keeps or reads stored values of which no rule
// says whose they are: nothing would be kept.
func (l *loader) unopened() error {
	var all []*rule
	opened := map[varID]bool{vTX: true}
	for _, r := range l.rules {
		for c := r; c != nil; c = c.chain {
			all = append(all, c)
			for _, x := range c.effects {
				if open, ok := x.(*initcol); ok {
					opened[open.v] = true
				}
			}
		}
	}
	for _, c := range all {
		for _, v := range c.stored() {
			if name := vars[v].name; !opened[v] {
				return seclang.Errorf(c.pos, "the rule uses %s, and no rule says whose values it has: want one with initcol:%s=%%{REMOTE_ADDR}, or another key", name, strings.ToLower(name))
			}
		}
	}
	return nil
}

// stored are the collections that a rule reads, and those that it sets values of.
func (r *rule) stored() (out []varID) {
	for _, x := range r.effects {
		switch k := x.(type) {
		case *setvar:
			out = append(out, k.v)
		case *expirevar:
			out = append(out, k.v)
		}
	}
	for i := range r.targets {
		if v := r.targets[i].v; vars[v].kind == kindStore {
			out = append(out, v)
		}
	}
	return out
}

// expirevar:ip.name=60 gives a value an age, in seconds.
type expirevar struct {
	v    varID
	name macro
	age  macro
}

func (l *loader) expirevar(r *rule, s string) error {
	name, age, ok := strings.Cut(s, "=")
	col, key, dotted := strings.Cut(name, ".")
	v, known := varIDs[strings.ToUpper(strings.TrimSpace(col))]
	if !ok || !dotted || !known || vars[v].kind != kindStore {
		return fmt.Errorf("got %q, want a stored value and seconds, such as ip.name=60", s)
	}
	n, err := l.macro(key)
	if err != nil {
		return err
	}
	m, err := l.macro(age)
	r.effects = append(r.effects, &expirevar{v, n, m})
	return err
}

func (a *expirevar) run(tx *Transaction, _ *rule) {
	seconds, err := strconv.Atoi(tx.expand(a.age))
	if err != nil {
		return
	}
	name := strings.ToLower(tx.expand(a.name))
	tx.row(a.v, func(row *storeRow) {
		if v, ok := row.values[name]; ok {
			v.until = tx.start.Add(time.Duration(seconds) * time.Second)
			row.values[name] = v
		}
	})
}

// row calls f with the row that the transaction opened for a variable.
func (tx *Transaction) row(v varID, f func(*storeRow)) {
	for _, ref := range tx.stores {
		if ref.v == v {
			tx.e.store.with(storeKey{v, ref.key}, tx.start, time.Duration(tx.e.settings.timeout)*time.Second, f)
			return
		}
	}
}

func (s *store) with(k storeKey, now time.Time, age time.Duration, f func(*storeRow)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.rows[k]
	if e != nil && now.After(e.Value.(*storeRow).until) {
		s.drop(e)
		e = nil
	}
	if e == nil {
		if s.rows == nil {
			s.rows = map[storeKey]*list.Element{}
		}
		e = s.lru.PushFront(&storeRow{key: k, values: map[string]storeValue{}, bytes: rowBytes + len(k.key)})
		s.rows[k] = e
		s.bytes += rowBytes + len(k.key)
	}
	s.lru.MoveToFront(e)
	row := e.Value.(*storeRow)
	row.until = now.Add(age)
	before := row.bytes
	f(row)
	s.bytes += row.bytes - before
	for s.lru.Len() > maxRows || s.bytes > maxStored {
		s.drop(s.lru.Back())
	}
}

func (s *store) drop(e *list.Element) {
	row := s.lru.Remove(e).(*storeRow)
	s.bytes -= row.bytes
	delete(s.rows, row.key)
}

// set gives the row a value, unless there is no room for it.
func (r *storeRow) set(name, text string) {
	old, had := r.values[name]
	more := len(text) - len(old.text)
	if !had {
		more += valueBytes + len(name)
	}
	if !had && len(r.values) >= maxValues || more > 0 && r.bytes+more > maxRow {
		return
	}
	r.bytes += more
	r.values[strings.Clone(name)] = storeValue{strings.Clone(text), old.until}
}

func (r *storeRow) remove(name string) {
	if old, had := r.values[name]; had {
		r.bytes -= valueBytes + len(name) + len(old.text)
		delete(r.values, name)
	}
}

// stored returns a stored value; its name is in lower case.
func (tx *Transaction) stored(v varID, name string) (s string, ok bool) {
	tx.row(v, func(row *storeRow) {
		if val, is := row.values[name]; is && (val.until.IsZero() || !tx.start.After(val.until)) {
			s, ok = val.text, true
		}
	})
	return s, ok
}

func (tx *Transaction) storeSet(v varID, name, value string) {
	tx.row(v, func(row *storeRow) { row.set(name, value) })
}

func (tx *Transaction) storeRemove(v varID, name string) {
	tx.row(v, func(row *storeRow) { row.remove(name) })
}

func (tx *Transaction) gatherStore(out []value, t *target) []value {
	tx.row(t.v, func(row *storeRow) {
		for name, val := range row.values {
			if (val.until.IsZero() || !tx.start.After(val.until)) && t.wants(name) {
				out = append(out, value{t.v, name, name, val.text})
			}
		}
	})
	return out
}
