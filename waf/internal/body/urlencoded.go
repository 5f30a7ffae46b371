package body

import (
	"bytes"
	"encoding/binary"

	"github.com/ringwall/ringwall/waf/internal/transform"
)

// URLEncoded calls field for each name and value of a form or a query, in
// order. Names and values are parts of b, or decoded into buf. At most limit
// are given (0: all); truncated says that there are more.
func URLEncoded(b []byte, separator byte, limit int, buf *Buffer, field func(name, value []byte)) (truncated bool) {
	n := 0
	for len(b) > 0 {
		pair := b
		if i := bytes.IndexByte(b, separator); i >= 0 {
			pair, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		if len(pair) == 0 {
			continue
		}
		if limit > 0 && n >= limit {
			return true
		}
		n++
		name, value, _ := bytes.Cut(pair, []byte("="))
		field(unescape(name, buf), unescape(value, buf))
	}
	return false
}

var digit = transform.HexDigit

// unescape decodes + and %XX; what is no escape stays as it is.
func unescape(s []byte, buf *Buffer) []byte {
	i := bytes.IndexByte(s, '%')
	head := s
	if i >= 0 {
		head = s[:i]
	}
	if j := bytes.IndexByte(head, '+'); j >= 0 {
		i = j
	}
	if i < 0 {
		return s
	}
	out := append(buf.take(len(s)), s[:i]...)
	for s := s[i:]; len(s) > 0; {
		n := len(s) // what is no escape
		if i := bytes.IndexByte(s, '%'); i >= 0 {
			n = i
		}
		if n > 0 {
			at := len(out)
			out = append(out, s[:n]...)
			spaces(out[at:])
		} else if n = 3; len(s) >= 3 && digit[s[1]] >= 0 && digit[s[2]] >= 0 {
			out = append(out, byte(digit[s[1]])<<4|byte(digit[s[2]]))
		} else {
			n, out = 1, append(out, s[0])
		}
		s = s[n:]
	}
	buf.back(len(s), out)
	return out[:len(out):len(out)]
}

// spaces makes plus signs spaces, eight bytes at a time.
func spaces(b []byte) {
	const each, low = 0x0101010101010101, 0x7f7f7f7f7f7f7f7f
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		y := x ^ '+'*each
		is := ^((y&low + low) | y | low) >> 7 // 1 in each byte that is a plus
		binary.LittleEndian.PutUint64(b, x^is*('+'^' '))
	}
	for i, c := range b {
		if c == '+' {
			b[i] = ' '
		}
	}
}
