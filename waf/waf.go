// Package waf is a web application firewall: it compiles rules in SecLang, the
// language of ModSecurity, Coraza and the OWASP core rule set, to a program and
// runs it on requests and responses.
package waf

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/waf/internal/seclang"
)

// An Engine is a compiled set of rules. It is safe for use by many goroutines.
type Engine struct {
	settings settings
	rules    []*rule // in order; chained rules hang on their first
	phases   [6]phase
	txNames  []string       // the values of TX that rules name
	txIndex  map[string]int // place in txNames
	keyIDs   map[string]uint16
	marks    []string
	guards   ruleSet // of rules, those that batches settle
	steers   ruleSet // of txNames, those that they ask
	store    *store
	now      func() time.Time
	onMatch  func(*MatchedRule)
	pool     sync.Pool
	spare    atomic.Pointer[Transaction] // for the first request: a collection of garbage does not take it
}

// An Option changes how Compile builds an Engine.
type Option func(*config)

type config struct {
	text    []string
	now     func() time.Time
	onMatch func(*MatchedRule)
	budget  int64
}

// Directives adds rules. Several are read in order, as one text. Without any,
// Compile reads the *.conf files at the root of its file system, in order.
func Directives(text string) Option {
	return func(c *config) { c.text = append(c.text, text) }
}

// OnMatch is called for every rule that matches and logs, within the request.
func OnMatch(f func(*MatchedRule)) Option {
	return func(c *config) { c.onMatch = f }
}

// Clock replaces the time of day, which only TIME_* variables and the expiry of
// stored values read.
func Clock(now func() time.Time) Option {
	return func(c *config) { c.now = now }
}

// Budget bounds the work that one transaction may cost, in units: about one per
// byte that a rule or a transformation looks at. It does not depend on the
// machine. The default is DefaultBudget; 0 or less is without bound.
func Budget(units int64) Option {
	return func(c *config) { c.budget = units }
}

// Compile reads rules and compiles them. Files that rules include, and lists of
// words and addresses, come from rules' file system. What is not supported is an
// error that says file and line.
func Compile(rules fs.FS, opts ...Option) (*Engine, error) {
	c := config{now: time.Now, budget: DefaultBudget}
	for _, o := range opts {
		o(&c)
	}
	if len(c.text) == 0 {
		c.text = []string{"Include *.conf"}
		if rules != nil {
			if found, err := fs.Glob(rules, "*.conf"); err == nil && len(found) == 0 {
				return nil, errors.New("reading rules: got no file *.conf at the root of the rules' file system, and no directives")
			}
		}
	}
	l := newLoader(rules)
	for _, text := range c.text {
		ds, err := seclang.ParseString(rules, text)
		if err != nil {
			return nil, fmt.Errorf("reading rules: %w", err)
		}
		for i := range ds {
			if err := l.directive(&ds[i]); err != nil {
				return nil, fmt.Errorf("reading rules: %w", err)
			}
		}
	}
	e, err := l.finish()
	if err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	e.now, e.onMatch, e.settings.budget = c.now, c.onMatch, c.budget
	e.pool.New = func() any { return newTransaction(e) }
	e.warm()
	for _, r := range e.rules {
		if o, ok := r.op.(*rx); ok {
			o.tree.Store(nil) // it is not needed often any more, and large
		}
	}
	return e, nil
}

// Rules lists the rules in the order in which they run, without markers.
func (e *Engine) Rules() []*Rule {
	var out []*Rule
	for _, r := range e.rules {
		if r.marker == 0 {
			out = append(out, &r.Rule)
		}
	}
	return out
}

// A Rule is what is known of a rule from its text.
type Rule struct {
	ID        int
	Phase     int
	File      string
	Line      int
	Message   string // before its macros are expanded
	Severity  Severity
	Tags      []string
	Rev       string
	Ver       string
	Maturity  int
	Accuracy  int
	Operator  string   // as written: @rx ^a
	Variables []string // that it reads, and those chained to it: ARGS, REQUEST_HEADERS
	Action    string   // its disruptive action, as the defaults have it where the rule says block; empty for none
	Raw       string   // the directive, and those chained to it
	Log       bool
	Audit     bool
}

// A Severity is how bad a match is, as syslog counts.
type Severity int

// Severities, from 0 to 7. A rule that does not say has SeverityUnset.
const (
	SeverityUnset Severity = iota - 1
	SeverityEmergency
	SeverityAlert
	SeverityCritical
	SeverityError
	SeverityWarning
	SeverityNotice
	SeverityInfo
	SeverityDebug
)

var severities = [...]string{"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"}

func (s Severity) String() string {
	if s < 0 || int(s) >= len(severities) {
		return "unknown"
	}
	return severities[s]
}

func parseSeverity(s string) (Severity, error) {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < len(severities) {
		return Severity(n), nil
	}
	for i, name := range severities {
		if strings.EqualFold(s, name) {
			return Severity(i), nil
		}
	}
	return SeverityUnset, fmt.Errorf("got severity %q, want 0 to 7 or a name such as CRITICAL", s)
}

// A MatchedRule is a rule that matched, and on what. It owns its texts.
type MatchedRule struct {
	Rule       *Rule
	Message    string  // expanded
	Data       string  // logdata, expanded
	Matches    []Match // of the rule and of those chained to it
	Disruptive bool    // it interrupted or allowed the transaction
	Action     string  // its disruptive action; empty for none
}

// A Match is one value that a rule matched.
type Match struct {
	Variable string
	Key      string
	Value    string // transformed
	Message  string
	Data     string
	Chain    int // 0 for the rule itself, 1 for the first one chained to it
}

// An Interruption is the end that a rule put to a transaction.
type Interruption struct {
	RuleID int    // 0 for a limit of the engine
	Action string // deny, drop or redirect
	Status int    // to answer with; 0 for drop without a status
	Data   string // where to redirect to; for a limit, which one
}
