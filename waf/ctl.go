package waf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/waf/internal/seclang"
)

// A ruleSet is a set of rules by their index.
type ruleSet []uint64

func (s ruleSet) has(i int) bool { return s[i>>6]&(1<<(uint(i)&63)) != 0 }
func (s ruleSet) add(i int)      { s[i>>6] |= 1 << (uint(i) & 63) }
func (s ruleSet) remove(i int)   { s[i>>6] &^= 1 << (uint(i) & 63) }
func newRuleSet(n int) ruleSet   { return make(ruleSet, (n+63)/64) }

// ctlRules takes rules, or some of what they read, out of a transaction. Which
// rules these are is settled when all are known.
type ctlRules struct {
	match  func(*rule) bool
	rules  ruleSet
	target varID // vUnknown: the rules themselves
	except exception
}

func (c *ctlRules) link(rules []*rule) {
	c.rules = newRuleSet(len(rules))
	for i, r := range rules {
		if r.marker == 0 && c.match(r) {
			c.rules.add(i)
		}
	}
}

func (c *ctlRules) run(tx *Transaction, _ *rule) {
	if c.target != vUnknown {
		tx.excepts = append(tx.excepts, c)
		if c.target == vTX {
			tx.exceptsTX, tx.unsettled = true, true
			tx.unsettle()
		}
		return
	}
	tx.remove(c.rules)
}

// ctlSet changes a setting for one transaction.
type ctlSet struct {
	name   string
	latest int // the last phase in which it has an effect; 0 for all
	set    func(*Transaction)
}

func (c *ctlSet) run(tx *Transaction, _ *rule) { c.set(tx) }

func (l *loader) ctl(r *rule, s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return fmt.Errorf("got %q, want option=value", s)
	}
	switch strings.ToLower(name) {
	case "ruleremovebyid", "ruleremovebytag", "ruleremovebymsg",
		"ruleremovetargetbyid", "ruleremovetargetbytag", "ruleremovetargetbymsg":
		c, err := l.ctlRules(strings.ToLower(name), value)
		if err == nil {
			r.effects = append(r.effects, c)
		}
		return err
	}
	c, err := ctlSetting(strings.ToLower(name), value)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if c == nil {
		return nil
	}
	c.name = name
	r.effects = append(r.effects, c)
	return nil
}

func (l *loader) ctlRules(name, value string) (*ctlRules, error) {
	c := &ctlRules{}
	which, target, targeted := strings.Cut(value, ";")
	if targeted != strings.Contains(name, "target") {
		return nil, fmt.Errorf("%s: got %q, want rules, and after ; a variable for those options that are about one", name, value)
	}
	switch {
	case strings.HasSuffix(name, "id"):
		x, err := parseRange(strings.TrimSpace(which))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		c.match = func(r *rule) bool { return x.has(r.ID) }
	case strings.HasSuffix(name, "tag"):
		c.match = func(r *rule) bool { return slices.Contains(r.Tags, which) }
	default:
		c.match = func(r *rule) bool { return which != "" && r.Message == which }
	}
	if !targeted {
		return c, nil
	}
	ts, err := seclang.Targets(strings.TrimSpace(target))
	if err != nil || len(ts) != 1 {
		return nil, fmt.Errorf("%s: got variable %q, want one such as ARGS:id", name, target)
	}
	v, ok := varIDs[ts[0].Name]
	if !ok || ts[0].Key != "" && !vars[v].sel {
		return nil, fmt.Errorf("%s: got variable %q, which is not known or takes no key", name, target)
	}
	c.target = v
	c.except.all = ts[0].Key == ""
	if c.except.key, c.except.rx, err = l.keyOf(ts[0].Key, ts[0].Regexp); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// ctlSetting returns nil for options about logs, which are not the engine's.
func ctlSetting(name, value string) (*ctlSet, error) {
	toggle := func(latest int, set func(*Transaction, bool)) (*ctlSet, error) {
		on, err := onOff(value)
		return &ctlSet{latest: latest, set: func(tx *Transaction) { set(tx, on) }}, err
	}
	size := func(latest int, set func(*Transaction, int64)) (*ctlSet, error) {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("got %q, want a number of bytes above 0", value)
		}
		return &ctlSet{latest: latest, set: func(tx *Transaction) { set(tx, n) }}, nil
	}
	switch name {
	case "ruleengine":
		m, err := parseMode(value)
		return &ctlSet{set: func(tx *Transaction) { tx.mode = m }}, err
	case "forcerequestbodyvariable":
		return toggle(0, func(tx *Transaction, on bool) { tx.forceReqBody = on })
	case "forceresponsebodyvariable":
		return toggle(0, func(tx *Transaction, on bool) { tx.forceRespBody = on })
	case "requestbodyaccess":
		return toggle(1, func(tx *Transaction, on bool) { tx.reqAccess = on })
	case "responsebodyaccess":
		return toggle(3, func(tx *Transaction, on bool) { tx.respAccess = on })
	case "requestbodylimit":
		return size(1, func(tx *Transaction, n int64) { tx.reqLimit = n })
	case "responsebodylimit":
		return size(3, func(tx *Transaction, n int64) { tx.respLimit = n })
	case "requestbodyprocessor", "responsebodyprocessor":
		up := strings.ToUpper(value)
		if !slices.Contains([]string{"URLENCODED", "MULTIPART", "XML", "JSON", "RAW"}, up) {
			return nil, fmt.Errorf("got %q, want URLENCODED, MULTIPART, XML, JSON or RAW", value)
		}
		if name == "responsebodyprocessor" {
			if up != "JSON" && up != "RAW" {
				return nil, fmt.Errorf("got %q, want JSON or RAW", value)
			}
			return &ctlSet{latest: 3, set: func(tx *Transaction) { tx.singles[vResBodyProcessor] = up }}, nil
		}
		return &ctlSet{latest: 1, set: func(tx *Transaction) { tx.singles[vReqbodyProcessor] = up }}, nil
	case "auditengine", "auditlogparts", "debugloglevel":
		return nil, nil
	}
	return nil, fmt.Errorf("this option is not known or not supported")
}

// remove takes rules out of a transaction.
func (tx *Transaction) remove(rules ruleSet) {
	if !tx.anyRemoved {
		tx.anyRemoved = true
		if cap(tx.removed) < len(rules) {
			tx.removed = make(ruleSet, len(rules))
		}
		tx.removed = tx.removed[:len(rules)]
		clear(tx.removed)
	}
	for i, w := range rules {
		tx.removed[i] |= w
		if w&tx.e.guards[i] != 0 {
			tx.unsettled = true
			tx.unsettle()
		}
	}
}
