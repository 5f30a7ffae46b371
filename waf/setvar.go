package waf

import (
	"fmt"
	"strconv"
	"strings"
)

// setvar:tx.name=value, =+n, =-n; !tx.name takes it away.
type setvar struct {
	v      varID
	key    macro
	slot   int // the place of a key without variables; -1 otherwise
	name   string
	value  macro
	remove bool
}

func (l *loader) setvar(r *rule, s string) error {
	a := &setvar{slot: -1}
	rest, remove := strings.CutPrefix(s, "!")
	a.remove = remove
	name, val, valued := strings.Cut(rest, "=")
	col, key, _ := strings.Cut(name, ".")
	var ok bool
	if a.v, ok = varIDs[strings.ToUpper(strings.TrimSpace(col))]; !ok || a.v != vTX && vars[a.v].kind != kindStore {
		return fmt.Errorf("got %q, want a value of TX, IP, GLOBAL, SESSION, USER or RESOURCE, such as tx.name", s)
	}
	if strings.TrimSpace(key) == "" {
		return fmt.Errorf("got %q, want %s.name", s, col)
	}
	var err error
	if a.key, err = l.macro(key); err != nil {
		return err
	}
	if plain, ok := a.key.plain(); ok {
		a.name = strings.ToLower(plain)
		if a.v == vTX {
			a.slot = l.slot(a.name)
		}
	}
	switch {
	case remove:
	case !valued:
		a.value = macro{{text: "1"}}
	case val == "":
		a.value = macro{{text: ""}}
	default:
		if a.value, err = l.macro(val); err != nil {
			return err
		}
	}
	r.effects = append(r.effects, a)
	return nil
}

func (a *setvar) run(tx *Transaction, _ *rule) {
	name := a.name
	if name == "" {
		name = tx.mem.lower(tx.expand(a.key))
	}
	if a.remove {
		switch {
		case a.v != vTX:
			tx.storeRemove(a.v, name)
		case a.slot >= 0:
			tx.setTX(a.slot, txValue{})
		default:
			tx.txRemove(name)
		}
		return
	}
	value := tx.expand(a.value)
	if value != "" && (value[0] == '+' || value[0] == '-') {
		var ok bool
		if value, ok = tx.sum(a.current(tx, name), value[0], value[1:]); !ok {
			return
		}
	}
	switch {
	case a.v != vTX:
		tx.storeSet(a.v, name, value)
	case a.slot >= 0:
		tx.setTX(a.slot, txValue{value, true})
	default:
		tx.txSet(name, value)
	}
}

func (a *setvar) current(tx *Transaction, name string) string {
	if a.slot >= 0 {
		return tx.txs[a.slot].value
	}
	var s string
	if a.v == vTX {
		s, _ = tx.txGet(name)
	} else {
		s, _ = tx.stored(a.v, name)
	}
	return s
}

// sum adds +3 or -3 to a number. A text that is no number, such as +x, is the new
// value itself; a macro without a value, +tx.x, changes nothing.
func (tx *Transaction) sum(current string, sign byte, change string) (string, bool) {
	n := 0
	if change != "" {
		var err error
		if n, err = strconv.Atoi(change); err != nil {
			return tx.mem.join(string(sign), change), !strings.HasPrefix(change, "tx.")
		}
	}
	if sign == '-' {
		n = -n
	}
	if current != "" {
		c, err := strconv.Atoi(current)
		if err != nil {
			return "", false
		}
		n += c
	}
	return strconv.Itoa(n), true
}
