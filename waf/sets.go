package waf

import (
	"strings"
	"sync"
	"weak"

	"github.com/ringwall/ringwall/waf/internal/dfa"
)

// A cache holds what all engines of the process share, by what it is made from,
// for as long as one of them uses it.
type cache[T any] struct {
	mu   sync.Mutex
	m    map[string]weak.Pointer[T]
	tidy int // entries at which the dead ones are taken out
}

// get returns what key stands for, or makes it. make runs under the cache's lock.
func (c *cache[T]) get(key string, make func() (*T, error)) (*T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.m[key].Value(); v != nil {
		return v, nil
	}
	v, err := make()
	if err != nil {
		return nil, err
	}
	if c.m == nil {
		c.m = map[string]weak.Pointer[T]{}
	}
	if len(c.m) >= c.tidy {
		for k, p := range c.m {
			if p.Value() == nil {
				delete(c.m, k)
			}
		}
		c.tidy = 2*len(c.m) + 64
	}
	c.m[key] = weak.Make(v)
	return v, nil
}

var (
	sharedSets cache[dfa.Set]
	sharedRx   cache[rx]
	sharedPm   cache[pm]
)

// setOf returns the set of patterns for texts of an alphabet. The patterns were
// parsed when the rules were read, so that they can be compiled.
func setOf(ops []patterned, a alphabet) *dfa.Set {
	var b strings.Builder
	b.WriteByte(byte(a))
	patterns := make([]dfa.Pattern, len(ops))
	for i, op := range ops {
		p := op.pattern()
		patterns[i] = p
		b.WriteString(p.Expr)
		if p.Bytes {
			b.WriteString("\x00b")
		}
		for _, w := range p.Words {
			b.WriteString("\x00w")
			b.WriteString(w)
		}
		b.WriteString("\x00;")
	}
	s, err := sharedSets.get(b.String(), func() (*dfa.Set, error) { return dfa.Compile(patterns, dfa.Options{Within: alphabets[a]}) })
	if err != nil {
		panic("compiling patterns that were parsed: " + err.Error())
	}
	return s
}

// A lazySet is a set for each alphabet, made when a value first needs it.
type lazySet struct {
	patterns []patterned
	made     [numAlphabets]struct {
		once sync.Once
		set  *dfa.Set
	}
}

func (l *lazySet) get(a alphabet) *dfa.Set {
	m := &l.made[a]
	m.once.Do(func() { m.set = setOf(l.patterns, a) })
	return m.set
}
