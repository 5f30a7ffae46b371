package waf

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/ringwall/ringwall/waf/internal/seclang"
	"github.com/ringwall/ringwall/waf/internal/transform"
)

// A rule is one SecRule, SecAction or SecMarker, ready to run.
type rule struct {
	Rule
	pos     seclang.Pos
	index   int // place in the engine's rules; of the first rule for chained ones
	targets []target
	op      operator // nil: the rule always matches
	not     bool
	steps   []*transform.Transform // without t:none

	effects    []effect // non-disruptive actions, run on every match
	disruptive disruptive
	hasDisrupt bool
	disruptAs  string // the action's name
	flow       []flow
	status     int
	redirect   macro

	msg, logdata macro
	capture      bool
	multiMatch   bool
	opensChain   bool
	chain        *rule // the next one of the chain
	chained      bool  // it is not the first of its chain
	marker       int   // SecMarker: 1 + its place in marks
	bit          int   // place in a batch; -1 for none
	half         int   // which of the phase's batches
	guarded      guards
	quiet        bool // nobody sees that it matched
}

// A target is one variable that a rule reads, with the values of it that the
// rule leaves out.
type target struct {
	v       varID
	key     string         // in lower case; empty for all
	rx      *regexp.Regexp // over keys in lower case
	prefix  string         // in lower case: rx is just that keys begin so
	within  string         // in lower case: rx is of no key without it; empty if not known
	slot    int            // of TX with a key: its place; -1 otherwise
	slots   []int          // of TX otherwise: the places of the keys
	count   bool
	counted string // what the value of a count has for key
	except  []exception
}

// An exception takes values of one variable out of a target.
type exception struct {
	key string         // in lower case
	rx  *regexp.Regexp // over keys in lower case
	all bool
}

func (x *exception) holds(lower string) bool {
	return x.all || x.rx != nil && x.rx.MatchString(lower) || x.rx == nil && x.key == lower
}

// An effect is a non-disruptive action.
type effect interface {
	run(tx *Transaction, r *rule)
}

type disruptive uint8

const (
	doPass disruptive = iota
	doBlock
	doDeny
	doDrop
	doRedirect
	doAllowPhase
	doAllowRequest
	doAllowAll
)

// A flow is a jump: over a number of rules, or to after a marker.
type flow struct {
	skip   int
	marker int // 1 + its place in marks
}

// keyOf compiles the key of a target or an exception. Keys are compared without
// regard to case, in both forms.
func (l *loader) keyOf(key string, isRegexp bool) (string, *regexp.Regexp, error) {
	if macroIn(key) {
		return "", nil, fmt.Errorf("got key %q, want one that is the same for all requests", key)
	}
	if !isRegexp {
		if i := joined().FindStringIndex(key); i != nil {
			return "", nil, fmt.Errorf("got key %q, want | between two variables", key)
		}
		return strings.ToLower(key), nil, nil
	}
	rx, err := l.regexp("(?i)" + key)
	if err != nil {
		return "", nil, exprError(err, "(?i)")
	}
	return "", rx, nil
}

// joined is a comma between two variables, which ModSecurity takes for |.
var joined = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`,\s*([!&]|[A-Z_]{2,}:)`) })

// plainPrefix is an expression that only says how a key begins.
var plainPrefix = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\^[0-9A-Za-z_-]+$`) })

// literalOf is a text in lower case that every match of an expression has, in
// either case of its letters; empty if none is known.
func literalOf(expr string) (longest string) {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return ""
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	for _, p := range parts {
		s := strings.ToLower(string(p.Rune))
		ascii := !strings.ContainsFunc(s, func(c rune) bool { return c >= utf8.RuneSelf })
		if p.Op == syntax.OpLiteral && ascii && len(s) > len(longest) {
			longest = s
		}
	}
	return longest
}

// addTargets adds variables to a rule, and exceptions to those it has.
func (l *loader) addTargets(r *rule, ts []seclang.Target) error {
	for _, t := range ts {
		v, ok := varIDs[t.Name]
		if !ok {
			return fmt.Errorf("got variable %s, which is not known", t.Name)
		}
		if why := unfilled[v]; why != "" {
			return fmt.Errorf("variable %s is not supported: %s", t.Name, why)
		}
		if t.Key != "" && !vars[v].sel {
			return fmt.Errorf("variable %s has one value: it takes no key, got %q", t.Name, t.Key)
		}
		if v == vXML || v == vRequestXML || v == vResponseXML {
			if t.Key != "/*" && t.Key != "//@*" && t.Key != "" {
				return fmt.Errorf("variable %s: got path %q, want /* for the text or //@* for the attributes", t.Name, t.Key)
			}
		}
		key, rx, err := l.keyOf(t.Key, t.Regexp)
		if err != nil {
			return fmt.Errorf("variable %s: %w", t.Name, err)
		}
		if !t.Except {
			added := target{v: v, key: key, rx: rx, count: t.Count, slot: -1}
			if added.counted = key; t.Regexp {
				added.counted = "/" + t.Key + "/"
			}
			if t.Regexp && plainPrefix().MatchString(t.Key) {
				added.prefix = strings.ToLower(t.Key[1:])
			} else if t.Regexp {
				added.within = literalOf(t.Key)
			}
			r.targets = append(r.targets, added)
			continue
		}
		for i := range r.targets {
			if r.targets[i].v == v {
				// The list may be shared with another copy of the rule.
				x := r.targets[i].except
				r.targets[i].except = append(x[:len(x):len(x)], exception{key: key, rx: rx, all: t.Key == ""})
			}
		}
	}
	return nil
}

// regexp compiles an expression once per load.
func (l *loader) regexp(expr string) (*regexp.Regexp, error) {
	if rx := l.patterns[expr]; rx != nil {
		return rx, nil
	}
	rx, err := regexp.Compile(expr)
	if err != nil {
		return nil, err
	}
	l.patterns[expr] = rx
	return rx, nil
}

// addStep adds a transformation to a rule; none takes all before it away.
func (r *rule) addStep(name string) error {
	if strings.EqualFold(name, "none") {
		r.steps = nil
		return nil
	}
	t, ok := transform.Lookup(name)
	if !ok {
		return fmt.Errorf("got transformation %q, which is not known", name)
	}
	r.steps = append(r.steps[:len(r.steps):len(r.steps)], t)
	return nil
}

var errArgument = errors.New("it takes no argument")
