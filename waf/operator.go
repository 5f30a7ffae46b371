package waf

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/ringwall/ringwall/waf/internal/seclang"
)

// An operator tests one value. Operators without a state of their own in the
// transaction are pure: what they say of a value never changes.
type operator interface {
	test(tx *Transaction, v string) bool
	pure() bool
}

// operator makes a rule's operator.
func (l *loader) operator(o seclang.Operator) (operator, error) {
	op, err := l.newOperator(o.Name, o.Arg)
	if err != nil {
		return nil, fmt.Errorf("operator @%s: %w", o.Name, err)
	}
	return op, nil
}

func (l *loader) newOperator(name, arg string) (operator, error) {
	switch name {
	case "rx":
		if macroIn(arg) {
			return nil, fmt.Errorf("got %q, want no %%{variable}: expressions are compiled when the rules are loaded", arg)
		}
		op, err := newRx(arg)
		if err != nil {
			return nil, exprError(err, "(?sm)")
		}
		return op, nil
	case "pm":
		if hexInWords().MatchString(arg) {
			return nil, fmt.Errorf("got %q, want words as they are: bytes in hexadecimal digits are for @rx, such as \\x41", arg)
		}
		return newPm(strings.Split(arg, " ")), nil
	case "pmFromFile", "pmf":
		words, err := l.lines(arg)
		return newPm(words), err
	case "pmFromDataset":
		words, err := l.dataset(arg)
		return newPm(words), err
	case "ipMatch":
		return newIPMatch(strings.Split(arg, ","))
	case "ipMatchFromFile", "ipMatchF":
		lines, err := l.lines(arg)
		if err != nil {
			return nil, err
		}
		return newIPMatch(lines)
	case "ipMatchFromDataset":
		lines, err := l.dataset(arg)
		if err != nil {
			return nil, err
		}
		return newIPMatch(lines)
	case "detectSQLi":
		return detectSQLi{}, nil
	case "detectXSS":
		return detectXSS{}, nil
	case "unconditionalMatch":
		return constant(true), nil
	case "noMatch":
		return constant(false), nil
	case "validateByteRange":
		return newByteRange(arg)
	case "validateUrlEncoding":
		return valueTest(invalidURLEncoding), nil
	case "validateUtf8Encoding":
		return valueTest(func(v string) bool { return !utf8.ValidString(v) }), nil
	case "validateNid":
		return l.newNid(arg)
	case "verifyCC":
		return l.newVerifyCC(arg)
	case "restpath":
		return l.newRestpath(arg)
	case "eq", "ge", "gt", "le", "lt":
		return l.newNumber(name, arg)
	case "streq", "within", "contains", "containsWord", "beginsWith", "endsWith", "strmatch":
		return l.newText(name, arg)
	case "inspectFile":
		return nil, fmt.Errorf("it is not supported: the engine starts no programs")
	case "rbl", "gsbLookup", "geoLookup":
		return nil, fmt.Errorf("it is not supported: the engine asks nobody else about a request")
	}
	return nil, fmt.Errorf("it is not known or not supported")
}

// macroIn says whether a text has %{VARIABLE} in it.
func macroIn(s string) bool { return macroText().MatchString(s) }

var (
	macroText  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`%\{[A-Za-z_]+(\.[^}]*)?\}`) })
	hexInWords = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\|[0-9A-Fa-f]{2}(\s+[0-9A-Fa-f]{2})*\|`) })
)

// exprError is an error about an expression as it was written, without what we
// put before it.
func exprError(err error, prefix string) error {
	if e, ok := errors.AsType[*syntax.Error](err); ok {
		return &syntax.Error{Code: e.Code, Expr: strings.TrimPrefix(e.Expr, prefix)}
	}
	return err
}

func (l *loader) dataset(name string) ([]string, error) {
	words, ok := l.datasets[name]
	if !ok {
		return nil, fmt.Errorf("got dataset %q, which no SecDataset defines before", name)
	}
	return words, nil
}

// constant is @unconditionalMatch and @noMatch.
type constant bool

func (c constant) test(*Transaction, string) bool { return bool(c) }
func (c constant) pure() bool                     { return true }

// valueTest is an operator that looks at the value only.
type valueTest func(string) bool

func (f valueTest) test(_ *Transaction, v string) bool { return f(v) }
func (f valueTest) pure() bool                         { return true }

// number compares numbers; a text that is none counts as 0.
type number struct {
	op    comparison
	value macro
	n     int
	fixed bool
}

func (l *loader) newNumber(op, arg string) (operator, error) {
	m, err := l.macro(arg)
	if err != nil {
		return nil, err
	}
	o := &number{op: comparisons[op], value: m}
	if s, ok := m.plain(); ok {
		o.n, o.fixed = atoi(s), true
	}
	return o, nil
}

// atoi is strconv.Atoi, and 0 for what is no number; for a number out of range it
// is the nearest one.
func atoi(s string) int {
	if len(s) < 18 {
		n, digits := 0, strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+")
		if digits == "" || len(s)-len(digits) > 1 {
			return 0
		}
		for i := 0; i < len(digits); i++ {
			c := digits[i]
			if c < '0' || c > '9' {
				return 0
			}
			n = 10*n + int(c-'0')
		}
		if s[0] == '-' {
			n = -n
		}
		return n
	}
	n, _ := strconv.Atoi(s)
	return n
}

func (o *number) test(tx *Transaction, v string) bool {
	n := o.n
	if !o.fixed {
		n = atoi(tx.expand(o.value))
	}
	return compare(o.op, atoi(v), n)
}

type comparison uint8

const (
	isEqual comparison = iota
	isAtLeast
	isMore
	isAtMost
	isLess
)

var comparisons = map[string]comparison{"eq": isEqual, "ge": isAtLeast, "gt": isMore, "le": isAtMost, "lt": isLess}

func compare(op comparison, v, n int) bool {
	switch op {
	case isEqual:
		return v == n
	case isAtLeast:
		return v >= n
	case isMore:
		return v > n
	case isAtMost:
		return v <= n
	}
	return v < n
}

func (o *number) pure() bool { return o.fixed }

// textOp compares texts.
type textOp struct {
	value macro
	s     string
	fixed bool
	f     func(v, s string) bool
}

func (l *loader) newText(op, arg string) (operator, error) {
	m, err := l.macro(arg)
	if err != nil {
		return nil, err
	}
	o := &textOp{value: m}
	o.s, o.fixed = m.plain()
	switch op {
	case "streq":
		o.f = func(v, s string) bool { return v == s }
	case "within":
		o.f = func(v, s string) bool { return strings.Contains(s, v) }
	case "contains", "strmatch":
		o.f = strings.Contains
	case "containsWord":
		o.f = containsWord
	case "beginsWith":
		o.f = strings.HasPrefix
	case "endsWith":
		o.f = strings.HasSuffix
	}
	return o, nil
}

func (o *textOp) test(tx *Transaction, v string) bool {
	if o.fixed {
		return o.f(v, o.s)
	}
	return o.f(v, tx.expand(o.value))
}

func (o *textOp) pure() bool { return o.fixed }

// containsWord says whether s stands in v with no letter, digit or underscore
// beside it.
func containsWord(v, s string) bool {
	word := func(c byte) bool {
		return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
	}
	for at := 0; s != ""; {
		i := strings.Index(v[at:], s)
		if i < 0 {
			return false
		}
		i += at
		end := i + len(s)
		if (i == 0 || !word(v[i-1])) && (end == len(v) || !word(v[end])) {
			return true
		}
		at = i + 1
	}
	return true
}
