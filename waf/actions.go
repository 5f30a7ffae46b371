package waf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/waf/internal/seclang"
)

type actionKind uint8

const (
	metaAction actionKind = iota
	effectAction
	disruptAction
	flowAction
	dataAction
)

// kinds of the actions there are.
var kinds = map[string]actionKind{
	"accuracy": metaAction, "id": metaAction, "maturity": metaAction, "msg": metaAction, "phase": metaAction,
	"rev": metaAction, "severity": metaAction, "tag": metaAction, "ver": metaAction,
	"allow": disruptAction, "block": disruptAction, "deny": disruptAction, "drop": disruptAction, "pass": disruptAction, "redirect": disruptAction,
	"chain": flowAction, "skip": flowAction, "skipafter": flowAction,
	"status":   dataAction,
	"auditlog": effectAction, "capture": effectAction, "ctl": effectAction, "expirevar": effectAction, "initcol": effectAction,
	"log": effectAction, "logdata": effectAction, "multimatch": effectAction, "noauditlog": effectAction, "nolog": effectAction,
	"setenv": effectAction, "setvar": effectAction, "t": effectAction,
}

// kindOf looks an action up, and says why those that other engines have are not here.
func kindOf(name string) (actionKind, error) {
	k, ok := kinds[name]
	switch {
	case ok:
		return k, nil
	case name == "exec":
		return 0, errors.New("action exec is not supported: the engine starts no programs")
	}
	return 0, fmt.Errorf("got action %q, which is not known", name)
}

// single keeps one disruptive action of a list: the last one, in the place of the first.
func single(as []seclang.Action) ([]seclang.Action, error) {
	var out []seclang.Action
	at := -1
	for _, a := range as {
		k, err := kindOf(a.Name)
		if err != nil {
			return nil, err
		}
		if k == disruptAction {
			if at >= 0 {
				out[at] = a
				continue
			}
			at = len(out)
		}
		out = append(out, a)
	}
	return out, nil
}

// merge puts the default actions of a phase under a rule's own: their disruptive
// action counts when the rule has none, or block.
func merge(own, defaults []seclang.Action) []seclang.Action {
	var out []seclang.Action
	var def *seclang.Action
	for i, a := range defaults {
		switch kinds[a.Name] {
		case disruptAction:
			def = &defaults[i]
		case metaAction:
		default:
			out = append(out, a)
		}
	}
	has := false
	for _, a := range own {
		if kinds[a.Name] == disruptAction {
			if a.Name == "block" && def != nil {
				continue
			}
			has = true
		}
		out = append(out, a)
	}
	if !has && def != nil {
		out = append(out, *def)
	}
	return out
}

// meta applies what says what a rule is.
func (l *loader) meta(r *rule, a seclang.Action) error {
	v := a.Value
	if v == "" {
		return fmt.Errorf("action %s needs an argument", a.Name)
	}
	var err error
	switch a.Name {
	case "id":
		if r.ID, err = strconv.Atoi(v); err != nil || r.ID <= 0 {
			return fmt.Errorf("got id %q, want a number above 0", v)
		}
	case "phase":
		if r.Phase, err = parsePhase(v); err != nil {
			return err
		}
	case "msg":
		v = seclang.Unquote(v)
		r.Message = v
		r.msg, err = l.macro(v)
	case "severity":
		r.Severity, err = parseSeverity(v)
	case "tag":
		r.Tags = append(r.Tags[:len(r.Tags):len(r.Tags)], v)
	case "rev":
		r.Rev = v
	case "ver":
		r.Ver = v
	case "maturity":
		r.Maturity, err = oneToNine(v)
	case "accuracy":
		r.Accuracy, err = oneToNine(v)
	}
	if err != nil {
		return fmt.Errorf("action %s: %w", a.Name, err)
	}
	return nil
}

func oneToNine(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 9 {
		return 0, fmt.Errorf("got %q, want 1 to 9", s)
	}
	return n, nil
}

func parsePhase(s string) (int, error) {
	switch s {
	case "request":
		return 2, nil
	case "response":
		return 4, nil
	case "logging":
		return 5, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 5 {
		return 0, fmt.Errorf("got phase %q, want 1 to 5, request, response or logging", s)
	}
	return n, nil
}

// act applies what says what a rule does.
func (l *loader) act(r *rule, a seclang.Action) error {
	err := l.actOn(r, a.Name, a.Value)
	if err != nil {
		return fmt.Errorf("action %s: %w", a.Name, err)
	}
	return nil
}

func (l *loader) actOn(r *rule, name, v string) error {
	switch name {
	case "log", "nolog", "auditlog", "noauditlog", "capture", "multimatch", "chain", "pass", "block", "deny", "drop":
		if v != "" {
			return errArgument
		}
	default:
		if v == "" && name != "allow" {
			return errors.New("it needs an argument")
		}
	}
	disrupt := func(d disruptive) error {
		r.disruptive, r.hasDisrupt, r.disruptAs = d, true, name
		return nil
	}
	var err error
	switch name {
	case "log":
		r.Log, r.Audit = true, true
	case "nolog":
		r.Log, r.Audit = false, false
	case "auditlog":
		r.Audit = true
	case "noauditlog":
		r.Audit = false
	case "capture":
		r.capture = true
	case "multimatch":
		r.multiMatch = true
	case "chain":
		r.opensChain = true
	case "pass":
		return disrupt(doPass)
	case "block":
		return disrupt(doBlock)
	case "deny":
		return disrupt(doDeny)
	case "drop":
		return disrupt(doDrop)
	case "redirect":
		if r.redirect, err = l.macro(v); err != nil {
			return err
		}
		return disrupt(doRedirect)
	case "allow":
		switch v {
		case "":
			return disrupt(doAllowAll)
		case "phase":
			return disrupt(doAllowPhase)
		case "request":
			return disrupt(doAllowRequest)
		}
		return fmt.Errorf("got %q, want nothing, phase or request", v)
	case "status":
		if r.status, err = strconv.Atoi(v); err != nil || r.status < 100 || r.status > 999 {
			return fmt.Errorf("got %q, want a status of HTTP", v)
		}
	case "skip":
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return fmt.Errorf("got %q, want a number above 0", v)
		}
		r.flow = append(r.flow, flow{skip: n})
	case "skipafter":
		r.flow = append(r.flow, flow{marker: l.mark(seclang.Unquote(v))})
	case "t":
		return r.addStep(v)
	case "logdata":
		r.logdata, err = l.macro(v)
		return err
	case "setvar":
		return l.setvar(r, v)
	case "ctl":
		return l.ctl(r, v)
	case "setenv":
		return l.setenv(r, v)
	case "initcol":
		return l.initcol(r, v)
	case "expirevar":
		return l.expirevar(r, v)
	}
	return nil
}

// apply applies a list of actions to a rule.
func (l *loader) apply(r *rule, as []seclang.Action) error {
	seen := map[string]bool{}
	for _, a := range as {
		if kinds[a.Name] == metaAction {
			if (a.Name == "id" || a.Name == "phase") && seen[a.Name] {
				return fmt.Errorf("action %s is there twice", a.Name)
			}
			seen[a.Name] = true
			if err := l.meta(r, a); err != nil {
				return err
			}
		}
	}
	if d := l.settings.defaults[r.Phase]; d != nil {
		as = merge(as, d)
	}
	for _, a := range as {
		if kinds[a.Name] != metaAction {
			if err := l.act(r, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// setenv:name=value sets a value of ENV, for this transaction and no program.
type setenv struct {
	key   string
	value macro
}

func (l *loader) setenv(r *rule, v string) error {
	key, val, ok := strings.Cut(v, "=")
	if !ok || key == "" || val == "" {
		return fmt.Errorf("got %q, want name=value", v)
	}
	m, err := l.macro(val)
	r.effects = append(r.effects, &setenv{key, m})
	return err
}

func (s *setenv) run(tx *Transaction, _ *rule) {
	tx.replace(vEnv, s.key, tx.expand(s.value))
}
