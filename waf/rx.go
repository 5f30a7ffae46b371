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
	finder func() *dfa.Finder            // nil if there can be none; made, as what follows, when it is first asked for
	later  func() *regexp.Regexp         // the same after the first character, as its first group
	just   [4]func() *regexp.Regexp      // the same as all of a text, as its first group; after a character (1), before one (2)
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
	for i := range o.just {
		o.just[i] = sync.OnceValue(func() *regexp.Regexp {
			return regexp.MustCompile([]string{`\A(`, `\A(?s:.)(`}[i&1] + o.expr + []string{`)\z`, `)(?s:.)\z`}[i>>1])
		})
	}
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
	captures := tx != nil && tx.capturing
	p := unknown
	if captures {
		if p = o.find(v); p.found && p.start < 0 {
			return false
		}
	}
	if !p.found {
		var word [1]uint64
		o.alone().Scan(raw(v), word[:])
		if word[0] == 0 || !captures {
			return word[0] != 0
		}
	}
	if tx.spend(captureCost * len(v)); tx.stopped {
		return false
	}
	m := o.groups(v, p)
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

// A place is where the first match in a text is: from start to end, or nowhere
// if start is -1. If that was not found, no match begins at start or before it.
type place struct {
	start, end int
	found      bool
}

var unknown = place{start: -1}

// short is the length of texts that package regexp is as good at as a finder.
const short = 128

// find looks for the first match in a long text.
func (o *rx) find(v string) place {
	if len(v) <= short || o.finder() == nil {
		return unknown
	}
	var p place
	p.start, p.end, p.found = o.finder().Find(raw(v))
	return p
}

// groups is FindStringSubmatchIndex, of which p is known.
func (o *rx) groups(v string, p place) []int {
	re, from, to, skip := o.re(), 0, len(v), 0
	switch {
	case !p.found && p.start > 0:
		re, from, skip = o.later(), p.start, 2
	case !p.found:
	case p.start < 0:
		return nil
	case re.NumSubexp() == 0:
		return []int{p.start, p.end}
	default: // the characters around a match may count
		around := 0
		if from = p.start; from > 0 {
			around, from = 1, from-o.width(utf8.DecodeLastRuneInString(v[:from]))
		}
		if to = p.end; to < len(v) {
			around, to = around+2, to+o.width(utf8.DecodeRuneInString(v[to:]))
		}
		re, skip = o.just[around](), 2
	}
	subject := v[from:to]
	if o.bytes {
		subject = latin1(subject)
	}
	m := re.FindStringSubmatchIndex(subject)
	if m == nil {
		return nil
	}
	for i, at := range m {
		if at >= 0 && o.bytes {
			at = utf8.RuneCountInString(subject[:at])
		}
		if at >= 0 {
			m[i] = from + at
		}
	}
	return m[skip:]
}

// width is how many bytes of a text a character of n bytes takes.
func (o *rx) width(_ rune, n int) int {
	if o.bytes {
		return 1
	}
	return n
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
