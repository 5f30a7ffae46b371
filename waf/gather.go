package waf

import (
	"strconv"
	"strings"
)

// longS is in lower case, and yet s in an expression that does not regard case.
const longS = "ſ"

// A value is one text that a rule tests, and where it is from.
type value struct {
	v     varID
	key   string
	lower string
	text  string
}

// matched is one value that the current rule has matched.
type matched struct {
	v    varID
	key  string
	text string
}

func (m *matched) name(tx *Transaction) string {
	if m.key == "" {
		return vars[m.v].name
	}
	return tx.mem.join(vars[m.v].name, ":", m.key)
}

// gather appends to out the values of a target. Counts become one value.
func (tx *Transaction) gather(out []value, t *target, index int) []value {
	from := len(out)
	switch info := &vars[t.v]; info.kind {
	case kindSingle:
		out = append(out, value{v: t.v, text: tx.singles[t.v]})
	case kindLazy:
		out = append(out, value{v: t.v, text: tx.lazy(t.v)})
	case kindList:
		v := stored(t.v)
		out = tx.gatherList(out, t, v, *tx.list(v))
	case kindNames:
		out = tx.gatherNames(out, t, *tx.list(info.of))
	case kindConcat:
		for _, v := range argLists {
			if t.v == vArgs {
				out = tx.gatherList(out, t, vArgs, *tx.list(v))
			} else {
				out = tx.gatherNames(out, t, *tx.list(v))
			}
		}
	case kindTX:
		out = tx.gatherTX(out, t)
	case kindMatched:
		out = tx.gatherMatched(out, t)
	case kindStore:
		out = tx.gatherStore(out, t)
	}
	if len(t.except) > 0 || tx.excepted(t.v, index) {
		out = tx.leaveOut(out, from, t, index)
	}
	if t.count {
		n := len(out) - from
		out = append(out[:from], value{v: t.v, key: t.counted, lower: t.key, text: strconv.Itoa(n)})
	}
	return out
}

func (t *target) wants(lower string) bool {
	switch {
	case t.rx == nil:
		return t.key == "" || t.key == lower
	case t.prefix != "" && (strings.HasPrefix(lower, t.prefix) || !strings.Contains(lower, longS)):
		return strings.HasPrefix(lower, t.prefix)
	case t.within != "" && !strings.Contains(lower, t.within) && !strings.Contains(lower, longS):
		return false
	}
	return t.rx.MatchString(lower)
}

func (tx *Transaction) gatherList(out []value, t *target, as varID, l keyed) []value {
	all := t.key == "" && t.rx == nil
	for i := range l {
		if e := &l[i]; all || t.wants(e.lower) {
			out = append(out, value{as, e.key, e.lower, e.value})
		}
	}
	return out
}

func (tx *Transaction) gatherNames(out []value, t *target, l keyed) []value {
	all := t.key == "" && t.rx == nil
	for i := range l {
		if e := &l[i]; all || t.wants(e.lower) {
			out = append(out, value{t.v, e.key, e.lower, e.key})
		}
	}
	return out
}

func (tx *Transaction) gatherTX(out []value, t *target) []value {
	if t.slot >= 0 {
		if s := &tx.txs[t.slot]; s.set {
			out = append(out, value{vTX, t.key, t.key, s.value})
		}
		return out
	}
	for _, i := range t.slots {
		if s := &tx.txs[i]; s.set {
			out = append(out, value{vTX, tx.e.txNames[i], tx.e.txNames[i], s.value})
		}
	}
	return tx.gatherList(out, t, vTX, tx.txMore)
}

func (tx *Transaction) gatherMatched(out []value, t *target) []value {
	switch t.v {
	case vMatchedVar:
		return append(out, value{v: t.v, text: tx.last.text})
	case vMatchedVarName:
		return append(out, value{v: t.v, text: tx.last.name(tx)})
	case vRule:
		s, ok := tx.matchedValue(vRule, t.key)
		if !ok {
			return out
		}
		return append(out, value{v: t.v, key: t.key, lower: t.key, text: s})
	}
	for i := range tx.matched {
		m := &tx.matched[i]
		name := m.name(tx)
		lower := tx.mem.lower(name)
		if !t.wants(lower) {
			continue
		}
		s := m.text
		if t.v == vMatchedVarsNames {
			s = name
		}
		out = append(out, value{t.v, name, lower, s})
	}
	return out
}

// matchedValue is a value of the variables about what was matched, for macros.
func (tx *Transaction) matchedValue(v varID, key string) (string, bool) {
	switch v {
	case vMatchedVar:
		return tx.last.text, true
	case vMatchedVarName:
		return tx.last.name(tx), true
	case vRule:
		if tx.current == nil {
			return "", false
		}
		return tx.ruleValue(tx.current, key)
	}
	for i := range tx.matched {
		name := tx.matched[i].name(tx)
		if tx.mem.lower(name) == key {
			if v == vMatchedVarsNames {
				return name, true
			}
			return tx.matched[i].text, true
		}
	}
	return "", false
}

func (tx *Transaction) ruleValue(r *rule, key string) (string, bool) {
	switch key {
	case "id":
		if r.chained {
			r = tx.root
		}
		return strconv.Itoa(r.ID), true
	case "msg":
		return tx.expandOnce(r.msg), r.msg != nil
	case "logdata":
		return tx.expandOnce(r.logdata), r.logdata != nil
	case "rev":
		return r.Rev, true
	case "severity":
		return r.Severity.String(), true
	}
	return "", false
}

// expandOnce expands a message for a macro; within it, %{rule.msg} has no value.
func (tx *Transaction) expandOnce(m macro) string {
	r := tx.current
	tx.current = nil
	defer func() { tx.current = r }()
	return tx.expand(m)
}

// excepted says whether the transaction leaves out values of a variable for a rule.
func (tx *Transaction) excepted(v varID, index int) bool {
	for _, c := range tx.excepts {
		if c.target == v && c.rules.has(index) {
			return true
		}
	}
	return false
}

// leaveOut drops the values that the rule, or the transaction for this rule,
// leaves out.
func (tx *Transaction) leaveOut(out []value, from int, t *target, index int) []value {
	keep := out[:from]
	for i := from; i < len(out); i++ {
		if !tx.leftOut(&out[i], t, index) {
			keep = append(keep, out[i])
		}
	}
	return keep
}

func (tx *Transaction) leftOut(v *value, t *target, index int) bool {
	for i := range t.except {
		if t.except[i].holds(v.lower) {
			return true
		}
	}
	for _, c := range tx.excepts {
		if c.target == t.v && c.rules.has(index) && c.except.holds(v.lower) {
			return true
		}
	}
	return false
}
