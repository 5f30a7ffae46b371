package body

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

var (
	errJSON      = errors.New("invalid JSON")
	errJSONDepth = errors.New("max recursion reached while reading json object")
)

const (
	// A name repeats the whole path, so that names grow with depth times
	// leaves: together with values they may be this many times the body,
	// or spareBytes where that is more.
	bytesFactor = 8
	spareBytes  = 4096
	// brokenWork bounds what is spent on a body that is not JSON: its length
	// times its depth. A body beyond that is an error of which nothing is shown.
	brokenWork = 64 << 20
)

// JSON calls field for each value in a document that is not an object or array,
// by its path: json.a.0.b. Strings are decoded, null is empty, all else is as
// written. An array has its length as a value of its own path. Names and values
// are parts of b or in buf.
//
// l.Args bounds the values, and the lengths separately; truncated says that
// there are more. Of a body that is not JSON, or is too deep, the part that can
// be read is given before the error.
func JSON(b []byte, l Limits, buf *Buffer, field func(name, value []byte)) (truncated bool, err error) {
	f := flattener{b: b, limit: l.Args, depth: l.Depth, room: max(len(b)*bytesFactor, spareBytes), buf: buf, field: field}
	f.path = append(buf.path[:0], "json"...)
	if f.depth <= 0 {
		f.depth = 1 << 30
	}
	if validJSON(b, f.depth, buf) {
		f.whole()
	} else {
		f.broken()
	}
	buf.path = f.path
	return f.truncated, f.err
}

type flattener struct {
	b      []byte
	at     int
	limit  int
	depth  int
	room   int // bytes that names and values may still take
	leaves int
	sizes  int
	path   []byte
	buf    *Buffer
	field  func(name, value []byte)

	truncated bool
	err       error
}

func (f *flattener) give(value []byte) bool {
	if len(f.path)+len(value) > f.room {
		f.err = fmt.Errorf("flattened form exceeds the %d byte budget for a %d byte body", max(len(f.b)*bytesFactor, spareBytes), len(f.b))
		return false
	}
	f.room -= len(f.path) + len(value)
	f.field(append(f.buf.take(len(f.path)), f.path...), value)
	return true
}

func (f *flattener) full() bool { return f.limit > 0 && f.leaves >= f.limit }

// size gives an array's length, if all of it has been looked at.
func (f *flattener) size(n int) bool {
	if n == 0 {
		return true
	}
	if f.limit > 0 && f.sizes >= f.limit {
		f.truncated = true
		return false
	}
	f.sizes++
	return f.give(strconv.AppendInt(f.buf.take(20), int64(n), 10))
}

// whole walks a valid document.
func (f *flattener) whole() {
	f.space()
	if c := f.b[f.at]; c != '{' && c != '[' {
		f.path = append(f.path, ".0"...)
		ok := f.give(f.scalar())
		f.path = f.path[:len("json")]
		if f.leaves++; ok {
			f.size(1)
		}
		return
	}
	f.container()
}

func (f *flattener) space() {
	for f.at < len(f.b) && f.b[f.at] <= ' ' {
		f.at++
	}
}

// container walks an object or array from its opening on. It returns whether
// lengths of the arrays around it are still exact, and sets err to stop.
func (f *flattener) container() (exact bool) {
	array := f.b[f.at] == '['
	f.at++
	exact = true
	before := len(f.path)
	n := 0
	for {
		f.space()
		switch c := f.b[f.at]; c {
		case ',':
			f.at++
			continue
		case '}', ']':
			f.at++
			if array && exact {
				exact = f.size(n)
			}
			return exact
		}
		if f.full() {
			f.truncated = true
			f.at = len(f.b) // nothing after this is looked at
			return false
		}
		f.path = append(f.path, '.')
		if array {
			f.path = strconv.AppendInt(f.path, int64(n), 10)
		} else {
			f.path = append(f.path, f.text()...)
			f.space()
			f.at++ // the colon
			f.space()
		}
		n++
		if c := f.b[f.at]; c == '{' || c == '[' {
			if !f.container() {
				exact = false
				if f.err != nil || f.at == len(f.b) {
					return false
				}
			}
		} else {
			if !f.give(f.scalar()) {
				return false
			}
			f.leaves++
		}
		f.path = f.path[:before]
	}
}

// scalar reads a value that is not an object or array.
func (f *flattener) scalar() []byte {
	if f.b[f.at] == '"' {
		return f.text()
	}
	start := f.at
	for f.at < len(f.b) && f.b[f.at] > ' ' && f.b[f.at] != ',' && f.b[f.at] != ']' && f.b[f.at] != '}' {
		f.at++
	}
	if f.b[start] == 'n' {
		return nil
	}
	return f.b[start:f.at:f.at]
}

// text reads a string.
func (f *flattener) text() []byte {
	f.at++
	start := f.at
	for f.b[f.at] != '"' && f.b[f.at] != '\\' {
		f.at++
	}
	if f.b[f.at] == '"' {
		f.at++
		return f.b[start : f.at-1 : f.at-1]
	}
	for f.b[f.at] != '"' {
		if f.b[f.at] == '\\' {
			f.at++
		}
		f.at++
	}
	s := f.b[start:f.at]
	f.at++
	out := f.buf.take(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		i++
		switch c := s[i]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(s[i+1:])
			i += 4
			if utf16.IsSurrogate(r) && i+6 < len(s) && s[i+1] == '\\' && s[i+2] == 'u' {
				r = utf16.DecodeRune(r, hex4(s[i+3:]))
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
	}
	f.buf.back(len(s), out)
	return out[:len(out):len(out)]
}

func hex4(s []byte) (r rune) {
	for _, c := range s[:4] {
		r = r<<4 | rune(digit[c])
	}
	return r
}

// broken shows what can be read of a body that is not JSON, or is too deep.
func (f *flattener) broken() {
	deepest := nesting(f.b)
	if len(f.b)*min(deepest, f.depth) <= brokenWork {
		f.walk(gjson.ParseBytes(f.b), f.depth)
	}
	switch {
	case f.err != nil:
	case deepest > f.depth:
		f.err = errJSONDepth
	default:
		f.err = errJSON
	}
}

// walk is container for what gjson makes of a body.
func (f *flattener) walk(v gjson.Result, depth int) (exact bool) {
	if depth <= 0 {
		f.err = errJSONDepth
		return false
	}
	exact = true
	before := len(f.path)
	n := 0
	v.ForEach(func(key, value gjson.Result) bool {
		if f.full() {
			f.truncated, exact = true, false
			return false
		}
		f.path = append(f.path, '.')
		if key.Type == gjson.String {
			f.path = append(f.path, key.Str...)
		} else {
			f.path = strconv.AppendInt(f.path, int64(key.Num), 10)
			n++
		}
		ok := true
		switch value.Type {
		case gjson.JSON:
			if !f.walk(value, depth-1) {
				exact = false
			}
			ok = f.err == nil
		case gjson.String:
			ok = f.give(append(f.buf.take(len(value.Str)), value.Str...))
			f.leaves++
		case gjson.Null:
			ok = f.give(nil)
			f.leaves++
		default:
			ok = f.give(append(f.buf.take(len(value.Raw)), value.Raw...))
			f.leaves++
		}
		f.path = f.path[:before]
		return ok
	})
	f.path = f.path[:before]
	if f.err != nil {
		return false
	}
	if exact {
		exact = f.size(n)
	}
	return exact
}

// nesting is how deep brackets outside strings go.
func nesting(b []byte) int {
	depth, deepest := 0, 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
	}
	return deepest
}
