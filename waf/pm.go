package waf

import (
	"math"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/ringwall/ringwall/waf/internal/dfa"
)

// pm finds words, ASCII letters in either case. Of the words that start at one
// place the longest counts, and matches do not overlap.
type pm struct {
	words []string // in lower case
	empty bool     // one of the words is empty
	trie  func() []pmNode
}

// A pmNode is a place in words. Nodes are numbered so that the first is the start.
type pmNode struct {
	next map[byte]int32
	end  bool
}

func newPm(words []string) *pm {
	for i, w := range words {
		words[i] = lowerASCII(w)
	}
	// It cannot fail.
	o, _ := sharedPm.get(strings.Join(words, "\x00"), func() (*pm, error) {
		o := &pm{words: append([]string{}, words...)}
		o.empty = slices.Contains(words, "")
		o.trie = sync.OnceValue(o.build)
		return o, nil
	})
	return o
}

// build makes the trie, which only a value that has one of the words needs.
func (o *pm) build() []pmNode {
	nodes := []pmNode{{}}
	for _, w := range o.words {
		at := int32(0)
		for i := 0; i < len(w); i++ {
			n, ok := nodes[at].next[w[i]]
			if !ok {
				n = int32(len(nodes))
				nodes = append(nodes, pmNode{})
				if nodes[at].next == nil {
					nodes[at].next = map[byte]int32{}
				}
				nodes[at].next[w[i]] = n
			}
			at = n
		}
		nodes[at].end = at != 0
	}
	return nodes
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

func (o *pm) shortest() int {
	n := math.MaxInt
	for _, w := range o.words {
		n = min(n, utf8.RuneCountInString(w))
	}
	return n
}

func (o *pm) pattern() dfa.Pattern { return dfa.Pattern{Words: o.words} }
func (o *pm) pure() bool           { return true }

// at returns the length of the longest word that starts at v[0]; 0 for none.
func (o *pm) at(nodes []pmNode, v string) int {
	n, at := 0, int32(0)
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		next, ok := nodes[at].next[c]
		if !ok {
			break
		}
		if at = next; nodes[at].end {
			n = i + 1
		}
	}
	return n
}

func (o *pm) test(tx *Transaction, v string) bool {
	found, nodes := 0, o.trie()
	for i := 0; i < len(v); {
		n := o.at(nodes, v[i:])
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
