package waf

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"rsc.io/binaryregexp"

	"github.com/ringwall/ringwall/waf/internal/dfa"
)

// rx matches a regular expression. Those that name bytes which are not UTF-8
// read a value byte by byte, each byte as the character of that number.
type rx struct {
	expr   string
	bytes  bool
	least  int                           // characters of its shortest match, at least
	finder func() *dfa.Finder            // made when one of a long text is; nil if there can be none
	tree   atomic.Pointer[syntax.Regexp] // while rules are loaded, the expression taken apart
	re     func() regular                // made when a group of a short text is asked for
	alone  func() *dfa.Set               // the expression alone, made when a value outside a batch is tested
}

// regular is what packages regexp and binaryregexp have in common.
type regular interface{ FindStringSubmatchIndex(string) []int }

// captureCost is the work of finding groups in a byte, next to that of reading it.
const captureCost = 32

// newRx compiles an expression. As in Coraza, . matches a newline, and ^ and $
// match at lines, but not in expressions over bytes.
func newRx(expr string) (operator, error) {
	return sharedRx.get(expr, func() (*rx, error) { return makeRx(expr) })
}

func makeRx(expr string) (*rx, error) {
	o := &rx{expr: "(?sm)" + expr}
	if o.bytes = namesBytes(expr); o.bytes {
		o.expr = expr
		if i := strings.IndexFunc(expr, func(c rune) bool { return c >= utf8.RuneSelf }); i >= 0 {
			return nil, fmt.Errorf("got %q, which mixes bytes and characters", expr)
		}
	}
	re, err := dfa.Pattern{Expr: o.expr, Bytes: o.bytes}.Parse()
	if err != nil {
		return nil, err
	}
	o.least = dfa.Least(re)
	o.tree.Store(re)
	o.re = sync.OnceValue(func() regular {
		if o.bytes {
			return binaryregexp.MustCompile(o.expr)
		}
		return regexp.MustCompile(o.expr)
	})
	o.finder = sync.OnceValue(func() *dfa.Finder {
		f, err := dfa.NewFinder(o.pattern())
		if err != nil {
			return nil
		}
		return f
	})
	o.alone = sync.OnceValue(func() *dfa.Set { return setOf([]patterned{o}, anyBytes) })
	return o, nil
}

// shortest is how many characters a text has that matches, at least. What is
// over bytes counts other characters.
func (o *rx) shortest() int {
	if o.bytes {
		return 0
	}
	return o.least
}

func (o *rx) pattern() dfa.Pattern {
	return dfa.Pattern{Expr: o.expr, Bytes: o.bytes, Tree: o.tree.Load()}
}

func (o *rx) pure() bool { return true }

// everything is an expression that rules use to capture the whole value.
const everything = "(?sm)^.*$"

func (o *rx) test(tx *Transaction, v string) bool {
	if o.expr == everything {
		if tx != nil {
			tx.captureField(0, v)
		}
		return true
	}
	if tx == nil || !tx.capturing {
		return o.in(v)
	}
	m, ok := o.find(v)
	if ok && m == nil || !ok && !o.in(v) {
		return false
	}
	if tx.spend(captureCost * len(v)); tx.stopped {
		return false
	}
	if !ok {
		m = o.re().FindStringSubmatchIndex(v)
	}
	if m == nil {
		return false
	}
	for i := 0; i < len(m)/2 && i < 9; i++ {
		s := ""
		if m[2*i] >= 0 {
			s = v[m[2*i]:m[2*i+1]]
		}
		tx.captureField(i, s)
	}
	return true
}

// in says whether the expression matches somewhere in a text.
func (o *rx) in(v string) bool {
	var word [1]uint64
	o.alone().Scan(raw(v), word[:])
	return word[0] != 0
}

// short is the length of texts that package regexp is as good at as a finder.
const short = 128

// find is FindStringSubmatchIndex for a long text; ok is false for a short one, and for one that
// is too hard.
func (o *rx) find(v string) (m []int, ok bool) {
	if len(v) <= short || o.finder() == nil {
		return nil, false
	}
	return o.finder().Find(raw(v))
}

// namesBytes says whether the escapes \xHH of an expression, taken as bytes, make
// it invalid UTF-8.
func namesBytes(expr string) bool {
	var b []byte
	for i := 0; i < len(expr); i++ {
		if expr[i] != '\\' || i+3 >= len(expr) || expr[i+1] != 'x' {
			b = append(b, expr[i])
			continue
		}
		digits, n := expr[i+2:i+4], 3
		if expr[i+2] == '{' {
			end := strings.IndexByte(expr[i:], '}')
			if end < 0 {
				continue
			}
			digits, n = expr[i+3:i+end], end
		}
		v, err := strconv.ParseUint(digits, 16, 32)
		if err != nil || len(digits) != 2 {
			b = append(b, expr[i])
			continue
		}
		b = append(b, byte(v))
		i += n
	}
	return !utf8.Valid(b)
}
