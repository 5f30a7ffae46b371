package body

// validJSON says whether b is one JSON value with no more than depth levels of
// objects and arrays. Bytes in strings need not be UTF-8.
func validJSON(b []byte, depth int, buf *Buffer) bool {
	if buf.levels == nil {
		buf.levels = make([]uint64, 4)
	}
	v := validator{b: b, most: depth, stack: buf.levels}
	ok := v.value() && v.after()
	buf.levels = v.stack
	return ok
}

type validator struct {
	b     []byte
	at    int
	level int
	most  int
	stack []uint64 // a bit for each level: whether it is an array
}

// byte is the next byte that is not space, or 0.
func (v *validator) byte() byte {
	for v.at < len(v.b) {
		switch c := v.b[v.at]; c {
		case ' ', '\t', '\n', '\r':
			v.at++
		default:
			return c
		}
	}
	return 0
}

func (v *validator) open(array bool) bool {
	if v.level++; v.level > v.most {
		return false
	}
	word, bit := v.level>>6, uint64(1)<<(v.level&63)
	if word == len(v.stack) {
		v.stack = append(v.stack, 0)
	}
	if array {
		v.stack[word] |= bit
	} else {
		v.stack[word] &^= bit
	}
	return true
}

func (v *validator) inArray() bool { return v.stack[v.level>>6]&(1<<(v.level&63)) != 0 }

// value reads to the end of one scalar, or of one whole object or array.
func (v *validator) value() bool {
	for {
		opened := false
		switch c := v.byte(); c {
		case '{', '[':
			v.at++
			if !v.open(c == '[') {
				return false
			}
			opened = true
		case '"':
			if !v.text() {
				return false
			}
		case 't':
			if !v.word("true") {
				return false
			}
		case 'f':
			if !v.word("false") {
				return false
			}
		case 'n':
			if !v.word("null") {
				return false
			}
		default:
			if !v.number() {
				return false
			}
		}
		for { // what may follow, until another value is wanted
			if v.level == 0 {
				return true
			}
			c := v.byte()
			if c == ']' && v.inArray() || c == '}' && !v.inArray() {
				v.at++
				v.level--
				opened = false
				continue
			}
			if !opened {
				if c != ',' {
					return false
				}
				v.at++
				c = v.byte()
			}
			if !v.inArray() {
				if c != '"' || !v.text() || v.byte() != ':' {
					return false
				}
				v.at++
			}
			break
		}
	}
}

func (v *validator) word(w string) bool {
	if len(v.b)-v.at < len(w) || string(v.b[v.at:v.at+len(w)]) != w {
		return false
	}
	v.at += len(w)
	return true
}

func (v *validator) text() bool {
	b := v.b
	for i := v.at + 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			v.at = i + 1
			return true
		case c < ' ':
			return false
		case c == '\\':
			if i++; i == len(b) {
				return false
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					if i++; i == len(b) || digit[b[i]] < 0 {
						return false
					}
				}
			default:
				return false
			}
		}
	}
	return false
}

func (v *validator) digits() bool {
	start := v.at
	for v.at < len(v.b) && '0' <= v.b[v.at] && v.b[v.at] <= '9' {
		v.at++
	}
	return v.at > start
}

func (v *validator) number() bool {
	is := func(c byte) bool { return v.at < len(v.b) && v.b[v.at] == c }
	if is('-') {
		v.at++
	}
	if is('0') {
		v.at++
	} else if !v.digits() {
		return false
	}
	if is('.') {
		if v.at++; !v.digits() {
			return false
		}
	}
	if is('e') || is('E') {
		if v.at++; is('+') || is('-') {
			v.at++
		}
		return v.digits()
	}
	return true
}

// after says whether nothing but space is left.
func (v *validator) after() bool {
	return v.byte() == 0 && v.at == len(v.b)
}
