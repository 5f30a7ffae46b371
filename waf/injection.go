package waf

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/corazawaf/libinjection-go"
)

// detectSQLi keeps the fingerprint of what it finds as TX.0.
type detectSQLi struct{}

func (detectSQLi) test(tx *Transaction, v string) bool {
	if oneToken(v) {
		return false
	}
	var print string
	clean := cleanOfSQL.clean(v, func(v string) (found bool) {
		found, print = libinjection.IsSQLi(v)
		return found
	})
	if !clean && tx != nil {
		tx.captureField(0, print)
	}
	return !clean
}
func (detectSQLi) pure() bool { return true }

// oneToken says whether a text is one word or one number, of which libinjection
// makes one token: no fingerprint of an attack is that short.
func oneToken(v string) bool {
	if v == "" {
		return true
	}
	number := v[0] >= '0' && v[0] <= '9'
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c >= '0' && c <= '9':
		case !number && (c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'):
		default:
			return false
		}
	}
	return true
}

type detectXSS struct{}

// Without < there is no tag, and without = no attribute has a value.
func (detectXSS) test(_ *Transaction, v string) bool {
	return strings.ContainsAny(v, "<=") && !cleanOfXSS.clean(v, libinjection.IsXSS)
}
func (detectXSS) pure() bool { return true }

// A memo remembers texts in which nothing was found, such as the few User-Agents
// that most requests have. A text is kept when it comes a second time; the memo's
// size is fixed.
type memo struct {
	seed    maphash.Seed
	seen    [memoSize]atomic.Uint64
	entries [memoSize]atomic.Pointer[string]
}

const (
	memoSize = 512
	memoText = 512 // longer texts are not kept
)

func newMemo() *memo { return &memo{seed: maphash.MakeSeed()} }

// clean says whether nothing is known to be in a text; otherwise test decides.
func (m *memo) clean(v string, test func(string) bool) bool {
	if len(v) > memoText {
		return !test(v)
	}
	h := maphash.String(m.seed, v)
	i := h % memoSize
	if e := m.entries[i].Load(); e != nil && *e == v {
		return true
	}
	if test(v) {
		return false
	}
	if m.seen[i].Swap(h) == h {
		s := strings.Clone(v)
		m.entries[i].Store(&s)
	}
	return true
}

var cleanOfSQL, cleanOfXSS = newMemo(), newMemo()
