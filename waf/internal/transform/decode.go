package transform

import (
	"bytes"
	"encoding/hex"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// HexDigit is the value of a hexadecimal digit, or negative.
var HexDigit = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i := range 10 {
		t['0'+i] = int8(i)
	}
	for i := range 6 {
		t['a'+i], t['A'+i] = int8(10+i), int8(10+i)
	}
	return t
}()

func isHex(c byte) bool   { return HexDigit[c] >= 0 }
func isOctal(c byte) bool { return '0' <= c && c <= '7' }

// hexAt is the byte that the two digits at s[0] and s[1] stand for.
func hexAt(s []byte) byte { return byte(HexDigit[s[0]])<<4 | byte(HexDigit[s[1]]) }

// indexEscape is the place of the first % or +, or -1.
func indexEscape(s []byte) int {
	i := bytes.IndexByte(s, '%')
	head := s
	if i >= 0 {
		head = s[:i]
	}
	if j := bytes.IndexByte(head, '+'); j >= 0 {
		return j
	}
	return i
}

func urlDecode(dst, src []byte) ([]byte, bool) {
	first := indexEscape(src)
	if first < 0 {
		return src, false
	}
	dst = append(dst[:0], src[:first]...)
	for i := first; i < len(src); i++ {
		switch c := src[i]; {
		case c == '+':
			dst = append(dst, ' ')
		case c == '%' && i+2 < len(src) && isHex(src[i+1]) && isHex(src[i+2]):
			dst = append(dst, hexAt(src[i+1:]))
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return dst, true
}

func urlDecodeUni(dst, src []byte) ([]byte, bool) {
	first := indexEscape(src)
	if first < 0 {
		return src, false
	}
	changed := false
	dst = append(dst[:0], src[:first]...)
	for i := first; i < len(src); {
		c := src[i]
		switch {
		case c != '%': // and what follows that is no escape
			n := bytes.IndexByte(src[i:], '%')
			if n < 0 {
				n = len(src) - i
			}
			dst, changed = spaced(dst, src[i:i+n], changed)
			i += n
		case i+1 < len(src) && (src[i+1] == 'u' || src[i+1] == 'U'):
			if i+5 < len(src) && isHex(src[i+2]) && isHex(src[i+3]) && isHex(src[i+4]) && isHex(src[i+5]) {
				dst, changed = append(dst, fromIIS(hexAt(src[i+2:]), hexAt(src[i+4:]))), true
				i += 6
				continue
			}
			dst = append(dst, c, src[i+1])
			i += 2
		case i+2 < len(src) && isHex(src[i+1]) && isHex(src[i+2]):
			dst, changed = append(dst, hexAt(src[i+1:])), true
			i += 3
		default:
			dst = append(dst, c)
			i++
		}
	}
	if !changed {
		return src, false
	}
	return dst, true
}

// spaced appends a text with a space for every +; changed is true if it was, or
// if there is one.
func spaced(dst, src []byte, changed bool) ([]byte, bool) {
	n := len(dst)
	dst = append(dst, src...)
	i := bytes.IndexByte(src, '+')
	if i < 0 {
		return dst, changed
	}
	out := dst[n+i:]
	for k, c := range out {
		if c == '+' {
			c = ' '
		}
		out[k] = c
	}
	return dst, true
}

// fromIIS is the byte that IIS makes of %uXXXX: the nearest ASCII character,
// or the lower byte.
func fromIIS(high, low byte) byte {
	if b, ok := nearestASCII[uint16(high)<<8|uint16(low)]; ok {
		return b
	}
	if high == 0xff && low > 0 && low < 0x5f { // full width ASCII
		return low + 0x20
	}
	return low
}

func htmlEntityDecode(dst, src []byte) ([]byte, bool) {
	i := bytes.IndexByte(src, '&')
	if i < 0 {
		return src, false
	}
	dst = append(dst[:0], src[:i]...)
	for i < len(src) {
		n := reference(src[i:])
		if n == 1 {
			dst = append(dst, '&')
		} else {
			// Whether more text follows matters to the reader, and what text does not.
			const pad = "   "
			after := min(len(pad), len(src)-i-n)
			s := html.UnescapeString(string(src[i:i+n]) + pad[:after])
			dst = append(dst, s[:len(s)-after]...)
		}
		i += n
		n = bytes.IndexByte(src[i:], '&')
		if n < 0 {
			n = len(src) - i
		}
		dst = append(dst, src[i:i+n]...)
		i += n
	}
	return dst, len(dst) != len(src)
}

// reference is the length of what may be a character reference at the start of s,
// which is an ampersand: 1 if there is none.
func reference(s []byte) int {
	n := 1
	if n < len(s) && s[n] == '#' {
		n++
	}
	for ; n < len(s); n++ {
		if c := s[n] | 0x20; (c < 'a' || c > 'z') && (s[n] < '0' || s[n] > '9') {
			break
		}
	}
	if n > 1 && n < len(s) && s[n] == ';' {
		n++
	}
	return n
}

func jsDecode(dst, src []byte) ([]byte, bool) {
	first := bytes.IndexByte(src, '\\')
	if first < 0 {
		return src, false
	}
	changed := false
	dst = append(dst[:0], src[:first]...)
	for i := first; i < len(src); {
		if src[i] != '\\' || i+1 == len(src) {
			dst = append(dst, src[i])
			i++
			continue
		}
		changed = true
		s := src[i+1:]
		if n, code := braced(s); n > 0 { // \u{H...H}
			if 0xff01 <= code && code <= 0xff5e {
				code += 0x20
			}
			dst = append(dst, byte(code))
			i += 1 + n
			continue
		}
		switch {
		case s[0] == 'u' && len(s) >= 5 && isHex(s[1]) && isHex(s[2]) && isHex(s[3]) && isHex(s[4]):
			c := hexAt(s[3:])
			if c > 0 && c < 0x5f && hexAt(s[1:]) == 0xff {
				c += 0x20
			}
			dst = append(dst, c)
			i += 6
		case s[0] == 'x' && len(s) >= 3 && isHex(s[1]) && isHex(s[2]):
			dst = append(dst, hexAt(s[1:]))
			i += 4
		case isOctal(s[0]):
			n, v := 1, int(s[0]-'0')
			for n < 3 && n < len(s) && isOctal(s[n]) && v*8+int(s[n]-'0') <= 255 {
				v = v*8 + int(s[n]-'0')
				n++
			}
			dst = append(dst, byte(v))
			i += 1 + n
		default:
			c := s[0]
			if e := controls[c]; e != 0 {
				c = e
			}
			dst = append(dst, c)
			i += 2
		}
	}
	if !changed {
		return src, false
	}
	return dst, true
}

// controls are the characters that \a, \b and so on stand for.
var controls = [256]byte{'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

// braced reads u{H...H} with one to six digits: its length and value, or 0.
func braced(s []byte) (n int, code rune) {
	if len(s) < 2 || s[0] != 'u' || s[1] != '{' {
		return 0, 0
	}
	n = 2
	for n < 8 && n < len(s) && isHex(s[n]) {
		code = code<<4 | rune(HexDigit[s[n]])
		n++
	}
	if n == 2 || n == len(s) || s[n] != '}' {
		return 0, 0
	}
	return n + 1, code
}

func escapeSeqDecode(dst, src []byte) ([]byte, bool) {
	first := bytes.IndexByte(src, '\\')
	if first < 0 {
		return src, false
	}
	changed := false
	dst = append(dst[:0], src[:first]...)
	for i := first; i < len(src); {
		if src[i] != '\\' || i+1 == len(src) {
			dst = append(dst, src[i])
			i++
			continue
		}
		changed = true
		c := src[i+1]
		switch {
		case controls[c] != 0:
			dst = append(dst, controls[c])
			i += 2
		case (c == 'x' || c == 'X') && i+3 < len(src) && isHex(src[i+2]) && isHex(src[i+3]):
			dst = append(dst, hexAt(src[i+2:]))
			i += 4
		case isOctal(c):
			v, n := 0, 1
			for n < 4 && i+n < len(src) && isOctal(src[i+n]) {
				v = v<<3 | int(src[i+n]-'0')
				n++
			}
			dst = append(dst, byte(v))
			i += n
		default:
			dst = append(dst, c)
			i += 2
		}
	}
	if !changed {
		return src, false
	}
	return dst, true
}

func cssDecode(dst, src []byte) ([]byte, bool) {
	first := bytes.IndexByte(src, '\\')
	if first < 0 {
		return src, false
	}
	dst = append(dst[:0], src[:first]...)
	for i := first; i < len(src); {
		if src[i] != '\\' {
			dst = append(dst, src[i])
			i++
			continue
		}
		if i++; i == len(src) {
			break // a backslash that escapes nothing goes
		}
		n, code := 0, rune(0)
		for n < 6 && i+n < len(src) && isHex(src[i+n]) {
			code = code<<4 | rune(HexDigit[src[i+n]])
			n++
		}
		switch {
		case n > 0:
			if code == 0 {
				code = utf8.RuneError
			}
			if 0xff01 <= code && code <= 0xff5e { // full width ASCII
				code -= 0xfee0
			}
			dst = utf8.AppendRune(dst, code)
			if i += n; i < len(src) && classes[src[i]]&Blank != 0 {
				i++ // one blank ends the escape
			}
		case src[i] == '\n':
			i++
		default:
			dst = append(dst, src[i])
			i++
		}
	}
	return dst, true
}

func hexDecode(dst, src []byte) ([]byte, bool) {
	if len(src)%2 != 0 {
		return src, false
	}
	for _, c := range src {
		if !isHex(c) {
			return src, false
		}
	}
	dst = dst[:0]
	for i := 0; i < len(src); i += 2 {
		dst = append(dst, hexAt(src[i:]))
	}
	return dst, true
}

func hexEncode(dst, src []byte) ([]byte, bool) {
	return hex.AppendEncode(dst[:0], src), true
}
