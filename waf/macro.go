package waf

import (
	"fmt"
	"strings"
)

// A macro is a text in which %{VARIABLE.key} stands for a value. A macro of one
// part without a variable is a plain text.
type macro []part

type part struct {
	text string // what stands for it when the variable has no such key
	v    varID  // vUnknown: the text itself
	key  string // in lower case
	slot int    // of TX
}

// plain returns the text of a macro that has no variables.
func (m macro) plain() (string, bool) {
	if len(m) == 1 && m[0].v == vUnknown {
		return m[0].text, true
	}
	return "", false
}

func (l *loader) macro(s string) (macro, error) {
	if s == "" {
		return nil, fmt.Errorf("got an empty text")
	}
	var m macro
	for rest := s; rest != ""; {
		before, after, ok := strings.Cut(rest, "%{")
		if before != "" {
			m = append(m, part{text: before})
		}
		if !ok {
			break
		}
		name, tail, ok := strings.Cut(after, "}")
		if !ok {
			return nil, fmt.Errorf("got %%{ without } in %.60q", s)
		}
		rest = tail
		if i := strings.IndexFunc(name, func(c rune) bool { return !macroChar(c) }); i >= 0 || name == "" {
			return nil, fmt.Errorf("got %%{%s}, want the name of a variable", name)
		}
		v, key, keyed := strings.Cut(name, ".")
		id, known := varIDs[strings.ToUpper(v)]
		if !known {
			return nil, fmt.Errorf("got %%{%s}: variable %s is not known", name, v)
		}
		if keyed && key == "" {
			return nil, fmt.Errorf("got %%{%s}, want a key after the dot", name)
		}
		p := part{text: name, v: id, key: strings.ToLower(key), slot: -1}
		if id == vTX && key != "" {
			p.slot = l.slot(key)
		}
		m = append(m, p)
	}
	return m, nil
}

func macroChar(c rune) bool {
	return c == '[' || c == ']' || c == '.' || c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// expand returns the text of a macro now. It lives as long as the transaction's
// memory does.
func (tx *Transaction) expand(m macro) string {
	switch len(m) {
	case 0:
		return ""
	case 1:
		return tx.part(&m[0])
	}
	n := 0
	var few [8]string
	texts := few[:0]
	for i := range m {
		s := tx.part(&m[i])
		texts = append(texts, s)
		n += len(s)
	}
	b := tx.mem.alloc(n)[:0]
	for _, s := range texts {
		b = append(b, s...)
	}
	return text(b)
}

func (tx *Transaction) part(p *part) string {
	if p.v == vUnknown {
		return p.text
	}
	if s, ok := tx.first(p); ok {
		return s
	}
	return p.text
}

// first returns the first value that a macro's variable has.
func (tx *Transaction) first(p *part) (string, bool) {
	switch info := &vars[p.v]; info.kind {
	case kindSingle:
		return tx.singles[p.v], true
	case kindLazy:
		return tx.lazy(p.v), true
	case kindTX:
		if p.slot < 0 {
			return "", false
		}
		s := &tx.txs[p.slot]
		return s.value, s.set
	case kindList:
		return tx.list(p.v).get(p.key)
	case kindNames:
		return tx.list(info.of).get(p.key)
	case kindConcat:
		for _, v := range argLists {
			if s, ok := tx.list(v).get(p.key); ok {
				return s, ok
			}
		}
		return "", false
	case kindStore:
		return tx.stored(p.v, p.key)
	}
	return tx.matchedValue(p.v, p.key)
}
