package waf

import (
	_ "embed"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/corazawaf/libinjection-go"
)

// detectSQLi keeps the fingerprint of what it finds as TX.0.
type detectSQLi struct{}

func (detectSQLi) test(tx *Transaction, v string) bool {
	if oneToken(v) || noSQL(v) {
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

//go:embed sqlwords.txt
var sqlWordList string

// sqlWords are the words of the phrases that libinjection knows; TestSQLWords
// compares them with its source.
var sqlWords = sync.OnceValue(func() *wordList {
	l := &wordList{all: map[string]struct{}{}}
	for w := range strings.FieldsSeq(sqlWordList) {
		l.all[w], l.starts[startOf(w)] = struct{}{}, true
	}
	return l
})

// A wordList is words; most of those that are not in it have a start that none of
// them has.
type wordList struct {
	all    map[string]struct{}
	starts [sqlStarts]bool
}

const sqlStarts = 4093

// longestSQLWord bounds the words that sqlWords may have.
const longestSQLWord = 32

// sqlTokens is how many words and numbers libinjection looks at where no operator
// joins two to one: it stops at the sixth or seventh.
const sqlTokens = 8

// noSQL says whether a text is words that mean nothing in SQL, numbers, spaces,
// commas and single operators. Libinjection has no fingerprint of just these.
func noSQL(v string) bool {
	spaced, joined := 0, false // words and numbers with only spaces between, and whether there was an operator
	for i := 0; i < len(v); {
		switch kind := sqlKind[v[i]]; kind {
		case sqlSpace:
			i++
		case sqlMark:
			next := byte(0)
			if i+1 < len(v) {
				next = v[i+1]
			}
			switch c := v[i]; {
			case c == '-' && next == '-', c == '/' && next == '*':
				return false // a comment
			case c == '.' && i > 0 && sqlKind[v[i-1]] == sqlDigit && sqlKind[next] == sqlLetter:
				return false // a number, which may end in the middle of the word
			}
			joined = true
			i++
		case sqlDigit, sqlLetter:
			from := i
			for i++; i < len(v) && (sqlKind[v[i]] == sqlDigit || sqlKind[v[i]] == sqlLetter); i++ {
				if kind == sqlDigit && sqlKind[v[i]] == sqlLetter {
					return false // a number may end anywhere in it
				}
			}
			if kind == sqlLetter && isSQLWord(v[from:i]) {
				return false
			}
			if spaced++; spaced == sqlTokens && !joined {
				return strings.IndexByte(v, '\'') < 0 && strings.IndexByte(v, '"') < 0 // each would make it read the text once more
			}
		default:
			return false
		}
	}
	return true
}

func isSQLWord(w string) bool {
	words := sqlWords()
	if len(w) > longestSQLWord || !words.starts[startOf(w)] {
		return false
	}
	var lower [longestSQLWord]byte
	for i := range len(w) {
		c := w[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	_, ok := words.all[string(lower[:len(w)])]
	return ok
}

// startOf is a number of a word's length and its first letters, in either case.
func startOf(w string) int {
	n := len(w) * 29
	for i := range min(len(w), 3) {
		n += int(w[i]|0x20) << (4 * i)
	}
	return n % sqlStarts
}

// Kinds of bytes in texts that noSQL knows.
const (
	sqlOther = iota
	sqlSpace
	sqlMark
	sqlDigit
	sqlLetter
)

var sqlKind = func() (t [256]uint8) {
	t[' '] = sqlSpace
	for _, c := range []byte(".,-:/") {
		t[c] = sqlMark
	}
	for c := byte('0'); c <= '9'; c++ {
		t[c] = sqlDigit
	}
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = sqlLetter, sqlLetter
	}
	t['_'] = sqlLetter
	return t
}()

type detectXSS struct{}

// Without < there is no tag, and without = no attribute has a value.
func (detectXSS) test(_ *Transaction, v string) bool {
	return (strings.IndexByte(v, '<') >= 0 || strings.IndexByte(v, '=') >= 0) && !cleanOfXSS.clean(v, libinjection.IsXSS)
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
