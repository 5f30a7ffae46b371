package template

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A jsonReader reads RFC 8259 with the place of every value, which encoding/json
// does not give.
type jsonReader struct {
	file      string
	s         string
	i         int
	line, col int
	errs      *Errors
}

// parseJSON returns nil when the text cannot be read on; the reason is in errs.
func parseJSON(file, s string, errs *Errors) *Node {
	r := &jsonReader{file: file, s: s, line: 1, col: 1, errs: errs}
	n := r.value(0)
	if n == nil {
		return nil
	}
	r.space()
	if r.i < len(r.s) {
		r.errs.add(r.pos(), "reading JSON: got %s after the end of the template", r.seen())
		return nil
	}
	return n
}

func (r *jsonReader) pos() Pos { return Pos{r.file, r.line, r.col} }

// step goes over one byte. Continuation bytes have no column of their own.
func (r *jsonReader) step() {
	switch c := r.s[r.i]; {
	case c == '\n':
		r.line++
		r.col = 1
	case c&0xC0 != 0x80:
		r.col++
	}
	r.i++
}

func (r *jsonReader) space() {
	for r.i < len(r.s) {
		switch r.s[r.i] {
		case ' ', '\t', '\r', '\n':
			r.step()
		default:
			return
		}
	}
}

func (r *jsonReader) seen() string {
	if r.i >= len(r.s) {
		return "the end of the file"
	}
	c, _ := utf8.DecodeRuneInString(r.s[r.i:])
	return strconv.QuoteRune(c)
}

// want goes over c, or says what stands in its place.
func (r *jsonReader) want(c byte, where string) bool {
	r.space()
	if r.i < len(r.s) && r.s[r.i] == c {
		r.step()
		return true
	}
	r.errs.add(r.pos(), "reading JSON: got %s, want %q %s", r.seen(), string(c), where)
	return false
}

func (r *jsonReader) peek() byte {
	r.space()
	if r.i < len(r.s) {
		return r.s[r.i]
	}
	return 0
}

func (r *jsonReader) value(depth int) *Node {
	c := r.peek()
	n := &Node{Pos: r.pos()}
	if depth > maxDepth {
		r.errs.add(n.Pos, "reading JSON: nested deeper than %d", maxDepth)
		return nil
	}
	switch {
	case c == '{':
		return r.object(n, depth)
	case c == '[':
		return r.array(n, depth)
	case c == '"':
		s, ok := r.str()
		if !ok {
			return nil
		}
		n.Shape, n.Text = String, s
		return n
	case c == '-' || c >= '0' && c <= '9':
		start := r.i
		for r.i < len(r.s) && strings.IndexByte("+-.eE0123456789", r.s[r.i]) >= 0 {
			r.step()
		}
		n.Shape, n.Text = Number, r.s[start:r.i]
		if _, err := strconv.ParseFloat(n.Text, 64); err != nil {
			r.errs.add(n.Pos, "reading JSON: got %q, want a number", n.Text)
			return nil
		}
		return n
	}
	for _, w := range []struct {
		word  string
		shape Shape
	}{{"true", Bool}, {"false", Bool}, {"null", Null}} {
		if strings.HasPrefix(r.s[r.i:], w.word) {
			for range w.word {
				r.step()
			}
			n.Shape, n.Text = w.shape, w.word
			return n
		}
	}
	r.errs.add(n.Pos, "reading JSON: got %s, want a value", r.seen())
	return nil
}

func (r *jsonReader) object(n *Node, depth int) *Node {
	n.Shape = Map
	r.step()
	if r.peek() == '}' {
		r.step()
		return n
	}
	seen := map[string]Pos{}
	for {
		if r.peek() != '"' {
			r.errs.add(r.pos(), "reading JSON: got %s, want a name in quotes", r.seen())
			return nil
		}
		f := Field{Pos: r.pos()}
		var ok bool
		if f.Name, ok = r.str(); !ok {
			return nil
		}
		if first, twice := seen[f.Name]; twice {
			r.errs.add(f.Pos, "%q is there twice; first at line %d", f.Name, first.Line)
		}
		seen[f.Name] = f.Pos
		if !r.want(':', "after a name") {
			return nil
		}
		if f.Value = r.value(depth + 1); f.Value == nil {
			return nil
		}
		n.Fields = append(n.Fields, f)
		if r.peek() == ',' {
			r.step()
			continue
		}
		if !r.want('}', "or a comma in a map") {
			return nil
		}
		return n
	}
}

func (r *jsonReader) array(n *Node, depth int) *Node {
	n.Shape = List
	r.step()
	if r.peek() == ']' {
		r.step()
		return n
	}
	for {
		v := r.value(depth + 1)
		if v == nil {
			return nil
		}
		n.Items = append(n.Items, v)
		if r.peek() == ',' {
			r.step()
			continue
		}
		if !r.want(']', "or a comma in a list") {
			return nil
		}
		return n
	}
}

func (r *jsonReader) str() (string, bool) {
	start := r.pos()
	r.step()
	from := r.i
	for r.i < len(r.s) && r.s[r.i] != '"' && r.s[r.i] != '\\' && r.s[r.i] >= ' ' {
		r.step()
	}
	if r.i < len(r.s) && r.s[r.i] == '"' {
		s := r.s[from:r.i]
		r.step()
		return plain(s), true
	}
	b := []byte(r.s[from:r.i])
	for r.i < len(r.s) {
		c := r.s[r.i]
		switch {
		case c == '"':
			r.step()
			return plain(string(b)), true
		case c < ' ':
			r.errs.add(r.pos(), "reading JSON: a text must not have a line break or a control character in it")
			return "", false
		case c != '\\':
			b = append(b, c)
			r.step()
		default:
			var ok bool
			if b, ok = r.escape(b); !ok {
				return "", false
			}
		}
	}
	r.errs.add(start, "reading JSON: a text that starts here has no end")
	return "", false
}

func (r *jsonReader) escape(b []byte) ([]byte, bool) {
	at := r.pos()
	r.step()
	if r.i < len(r.s) {
		c := r.s[r.i]
		if k := strings.IndexByte(`"\/bfnrt`, c); k >= 0 {
			r.step()
			return append(b, "\"\\/\b\f\n\r\t"[k]), true
		}
		if c == 'u' {
			u, ok := r.hex()
			if ok && utf16.IsSurrogate(u) && strings.HasPrefix(r.s[r.i:], `\u`) {
				r.step()
				var low rune
				low, ok = r.hex()
				u = utf16.DecodeRune(u, low)
			}
			if ok {
				return utf8.AppendRune(b, u), true
			}
		}
	}
	r.errs.add(at, "reading JSON: got a \\ that starts no known escape")
	return nil, false
}

// hex reads uXXXX.
func (r *jsonReader) hex() (rune, bool) {
	if r.i+5 > len(r.s) || r.s[r.i] != 'u' {
		return 0, false
	}
	u, err := strconv.ParseUint(r.s[r.i+1:r.i+5], 16, 16)
	if err != nil {
		return 0, false
	}
	for range 5 {
		r.step()
	}
	return rune(u), true
}
