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

	"github.com/ringwall/ringwall/waf/internal/dfa"
)

// rx matches a regular expression. Those that name bytes which are not UTF-8
// read a value byte by byte, each byte as the character of that number.
type rx struct {
	expr   string
	bytes  bool
	least  int                           // characters of its shortest match, at least
	later  func() *regexp.Regexp         // the same after the first character, as its first group; made when it is first asked for
	tracer func() *dfa.Tracer            // nil if there can be none
	tree   atomic.Pointer[syntax.Regexp] // while rules are loaded, the expression taken apart
	re     func() *regexp.Regexp         // made when a group is asked for
	alone  func() *dfa.Set               // the expression alone, made when a value outside a batch is tested
}

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
	o.re = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(o.expr) })
	o.later = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\A(?s:.)(?s:.*?)(` + o.expr + `)`) })
	o.tracer = sync.OnceValue(func() *dfa.Tracer {
		t, err := dfa.NewTracer(o.pattern())
		if err != nil {
			return nil
		}
		return t
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
	var word [1]uint64
	o.alone().Scan(raw(v), word[:])
	if word[0] == 0 || tx == nil || !tx.capturing {
		return word[0] != 0
	}
	if tx.spend(captureCost * len(v)); tx.stopped {
		return false
	}
	subject := v
	if o.bytes {
		subject = latin1(v)
	}
	m := o.find(subject)
	if m == nil {
		return false
	}
	for i := 0; i < len(m)/2 && i < 9; i++ {
		s := ""
		if m[2*i] >= 0 {
			if s = subject[m[2*i]:m[2*i+1]]; o.bytes {
				s = fromLatin1(s)
			}
		}
		tx.captureField(i, s)
	}
	return true
}

// skipFrom is how much of a text has to be ahead of a match for it to be worth to
// find out.
const skipFrom = 128

// find is FindStringSubmatchIndex, without what it costs to search a long text in
// which the match is late.
func (o *rx) find(v string) []int {
	if o.bytes || len(v) <= skipFrom || o.tracer() == nil {
		return o.re().FindStringSubmatchIndex(v)
	}
	before := o.tracer().Before(raw(v))
	if before < skipFrom {
		return o.re().FindStringSubmatchIndex(v)
	}
	m := o.later().FindStringSubmatchIndex(v[before:])
	if m == nil {
		return nil
	}
	for i := range m {
		if m[i] >= 0 {
			m[i] += before
		}
	}
	return m[2:]
}

// latin1 turns bytes to the characters of the same numbers.
func latin1(s string) string {
	i := 0
	for i < len(s) && s[i] < utf8.RuneSelf {
		i++
	}
	if i == len(s) {
		return s
	}
	b := make([]byte, 0, 2*len(s))
	for j := 0; j < len(s); j++ {
		b = utf8.AppendRune(b, rune(s[j]))
	}
	return string(b)
}

func fromLatin1(s string) string {
	b := make([]byte, 0, len(s))
	for _, c := range s {
		b = append(b, byte(c))
	}
	return string(b)
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
