package waf

import (
	"github.com/ringwall/ringwall/waf/internal/dfa"
)

// pm finds words, ASCII letters in either case. It is a trie; of the words that
// start at one place the longest counts, and matches do not overlap.
type pm struct {
	words []string // in lower case
	nodes []pmNode
	empty bool // one of the words is empty
	max   int  // length of the longest word
}

type pmNode struct {
	next map[byte]int32
	end  bool
}

func newPm(words []string) *pm {
	o := &pm{nodes: []pmNode{{}}, words: []string{}}
	for _, w := range words {
		w = lowerASCII(w)
		o.words = append(o.words, w)
		if w == "" {
			o.empty = true
			continue
		}
		o.max = max(o.max, len(w))
		at := int32(0)
		for i := 0; i < len(w); i++ {
			n, ok := o.nodes[at].next[w[i]]
			if !ok {
				n = int32(len(o.nodes))
				o.nodes = append(o.nodes, pmNode{})
				if o.nodes[at].next == nil {
					o.nodes[at].next = map[byte]int32{}
				}
				o.nodes[at].next[w[i]] = n
			}
			at = n
		}
		o.nodes[at].end = true
	}
	return o
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func (o *pm) pattern() dfa.Pattern { return dfa.Pattern{Words: o.words} }
func (o *pm) pure() bool           { return true }

// at returns the length of the longest word that starts at v[0]; 0 for none.
func (o *pm) at(v string) int {
	n, at := 0, int32(0)
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		next, ok := o.nodes[at].next[c]
		if !ok {
			break
		}
		if at = next; o.nodes[at].end {
			n = i + 1
		}
	}
	return n
}

func (o *pm) test(tx *Transaction, v string) bool {
	found := 0
	for i := 0; i < len(v); {
		n := o.at(v[i:])
		if n == 0 {
			i++
			continue
		}
		if tx == nil || !tx.capturing {
			return true
		}
		tx.captureField(found, v[i:i+n])
		if found++; found == 10 {
			return true
		}
		i += n
	}
	return found > 0 || o.empty
}
