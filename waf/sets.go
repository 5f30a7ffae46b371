package waf

import (
	"strings"
	"sync"
	"weak"

	"github.com/ringwall/ringwall/waf/internal/dfa"
)

// A setCache makes sets of patterns. Equal ones are shared by all engines of the
// process, with the states that they have built.
type setCache struct{}

var shared struct {
	sync.Mutex
	sets map[string]weak.Pointer[dfa.Set]
}

func (*setCache) get(patterns []dfa.Pattern) *dfa.Set {
	var b strings.Builder
	for _, p := range patterns {
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
	key := b.String()
	shared.Lock()
	defer shared.Unlock()
	if s := shared.sets[key].Value(); s != nil {
		return s
	}
	s, err := dfa.Compile(patterns, dfa.Options{})
	if err != nil {
		// The operators compiled the same patterns when the rules were read.
		panic("compiling patterns: " + err.Error())
	}
	if shared.sets == nil {
		shared.sets = map[string]weak.Pointer[dfa.Set]{}
	}
	for k, p := range shared.sets {
		if p.Value() == nil {
			delete(shared.sets, k)
		}
	}
	shared.sets[key] = weak.Make(s)
	return s
}
