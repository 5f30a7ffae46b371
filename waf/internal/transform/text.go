package transform

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// index is the place of the first byte of a class, or -1.
func index(s []byte, c Class) int {
	for i, b := range s {
		if classes[b]&c != 0 {
			return i
		}
	}
	return -1
}

func lowercase(dst, src []byte) ([]byte, bool) {
	first := index(src, Upper|High)
	if first < 0 {
		return src, false
	}
	if index(src[first:], High) >= 0 {
		return mapRunes(dst, src, unicode.ToLower)
	}
	dst = append(dst[:0], src...)
	for i := first; i < len(dst); i++ {
		if c := dst[i]; 'A' <= c && c <= 'Z' {
			dst[i] = c + 'a' - 'A'
		}
	}
	return dst, true
}

func uppercase(dst, src []byte) ([]byte, bool) {
	first := index(src, Lower|High)
	if first < 0 {
		return src, false
	}
	if index(src[first:], High) >= 0 {
		return mapRunes(dst, src, unicode.ToUpper)
	}
	dst = append(dst[:0], src...)
	for i := first; i < len(dst); i++ {
		if c := dst[i]; 'a' <= c && c <= 'z' {
			dst[i] = c - 'a' + 'A'
		}
	}
	return dst, true
}

// mapRunes is strings.Map: what is not UTF-8 becomes U+FFFD.
func mapRunes(dst, src []byte, f func(rune) rune) ([]byte, bool) {
	dst = dst[:0]
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		i += n
		dst = utf8.AppendRune(dst, f(r))
	}
	if bytes.Equal(dst, src) {
		return src, false
	}
	return dst, true
}

// removeWhitespace drops what Unicode calls space; like strings.Map it writes
// U+FFFD for what is not UTF-8, which does not count as a change.
func removeWhitespace(dst, src []byte) ([]byte, bool) {
	first := index(src, Blank|High)
	if first < 0 {
		return src, false
	}
	if index(src[first:], High) < 0 {
		dst = room(dst, len(src))
		n := copy(dst, src[:first])
		for _, c := range src[first:] {
			dst[n] = c
			n += int(blankOr0[c])
		}
		return dst[:n], true
	}
	changed, written := false, false
	dst = append(dst[:0], src[:first]...)
	for i := first; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		i += n
		if unicode.IsSpace(r) {
			changed = true
			continue
		}
		written = written || r == utf8.RuneError && n == 1
		dst = utf8.AppendRune(dst, r)
	}
	if !changed && !written {
		return src, false
	}
	return dst, changed
}

// blankOr0 is 0 for blanks and 1 for all other bytes.
var blankOr0 = func() (t [256]uint8) {
	for c := range t {
		if classes[c]&Blank == 0 {
			t[c] = 1
		}
	}
	return t
}()

// room gives dst n bytes, whose contents do not matter.
func room(dst []byte, n int) []byte {
	if cap(dst) < n {
		return make([]byte, n)
	}
	return dst[:n]
}

// latinSpace is what compressWhitespace makes one space of: the blanks, U+0085
// and U+00A0, and the byte 0xA0 where it is not part of a character.
func latinSpace(s []byte) (space bool, size int) {
	c := s[0]
	if c < utf8.RuneSelf {
		return classes[c]&Blank != 0, 1
	}
	r, n := utf8.DecodeRune(s)
	return r == 0x85 || r == 0xa0 || c == 0xa0, n
}

func compressWhitespace(dst, src []byte) ([]byte, bool) {
	// Most texts have single spaces only: look for the first thing to change.
	i, before := 0, false
	for ; i < len(src); i++ {
		c := src[i]
		if c == ' ' && !before {
			before = true
			continue
		}
		if classes[c]&(Blank|High) != 0 {
			space, n := latinSpace(src[i:])
			if space {
				break
			}
			i += n - 1
		}
		before = false
	}
	if i >= len(src) {
		return src, false
	}
	dst = append(dst[:0], src[:i]...)
	for i < len(src) {
		space, n := latinSpace(src[i:])
		switch {
		case !space:
			dst = append(dst, src[i:i+n]...)
		case !before:
			dst = append(dst, ' ')
		}
		before = space
		i += n
	}
	return dst, true
}

func removeNulls(dst, src []byte) ([]byte, bool) {
	first := bytes.IndexByte(src, 0)
	if first < 0 {
		return src, false
	}
	dst = append(dst[:0], src[:first]...)
	for _, c := range src[first:] {
		if c != 0 {
			dst = append(dst, c)
		}
	}
	return dst, true
}

func replaceNulls(dst, src []byte) ([]byte, bool) {
	first := bytes.IndexByte(src, 0)
	if first < 0 {
		return src, false
	}
	dst = append(dst[:0], src...)
	for i, c := range dst {
		if c == 0 {
			dst[i] = ' '
		}
	}
	return dst, true
}

const blanks = " \t\n\r\f\v"

func trim(_, src []byte) ([]byte, bool) {
	out := bytes.Trim(src, blanks)
	return out, len(out) != len(src)
}

func trimLeft(_, src []byte) ([]byte, bool) {
	out := bytes.TrimLeft(src, blanks)
	return out, len(out) != len(src)
}

func trimRight(_, src []byte) ([]byte, bool) {
	out := bytes.TrimRight(src, blanks)
	return out, len(out) != len(src)
}

// cmdLine takes out what shells take out, and writes what is left in lower case
// with one space between words.
func cmdLine(dst, src []byte) ([]byte, bool) {
	i, space := 0, false
	for ; i < len(src); i++ {
		switch does := shell[src[i]]; {
		case does == shellKeep:
			space = false
			continue
		case does == shellSpace && src[i] == ' ' && !space:
			space = true
			continue
		case does == shellJoin && !space:
			continue
		}
		break
	}
	if i == len(src) {
		return src, false
	}
	dst = append(dst[:0], src[:i]...)
	for _, c := range src[i:] {
		switch shell[c] {
		case shellDrop:
			continue
		case shellSpace:
			if !space {
				dst = append(dst, ' ')
			}
			space = true
			continue
		case shellJoin:
			if space {
				dst = dst[:len(dst)-1]
			}
		case shellLower:
			c += 'a' - 'A'
		}
		dst, space = append(dst, c), false
	}
	return dst, true
}

// What cmdLine does with a byte.
const (
	shellKeep  = iota
	shellDrop  // nothing is left of it
	shellSpace // it makes a space
	shellJoin  // no space stays before it
	shellLower
)

var shell = func() (t [256]uint8) {
	for does, bytes := range map[uint8]string{shellDrop: `"'\^`, shellSpace: " ,;\t\r\n", shellJoin: "/("} {
		for i := range len(bytes) {
			t[bytes[i]] = does
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		t[c] = shellLower
	}
	return t
}()

const lowerHex = "0123456789abcdef"

func urlEncode(dst, src []byte) ([]byte, bool) {
	changed := false
	dst = dst[:0]
	for _, c := range src {
		switch {
		case c == ' ':
			dst, changed = append(dst, '+'), true
		case c == '*' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z':
			dst = append(dst, c)
		default:
			dst, changed = append(dst, '%', lowerHex[c>>4], lowerHex[c&15]), true
		}
	}
	if !changed {
		return src, false
	}
	return dst, true
}

func utf8ToUnicode(dst, src []byte) ([]byte, bool) {
	first := index(src, High)
	if first < 0 {
		return src, false
	}
	dst = append(dst[:0], src[:first]...)
	for i := first; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		i += n
		if r < utf8.RuneSelf {
			dst = append(dst, byte(r))
			continue
		}
		dst = append(dst, '%', 'u')
		for limit := rune(0x1000); limit > 0xf && r < limit; limit >>= 4 {
			dst = append(dst, '0')
		}
		dst = strconv.AppendUint(dst, uint64(r), 16)
	}
	return dst, true
}

func length(dst, src []byte) ([]byte, bool) {
	return strconv.AppendInt(dst[:0], int64(len(src)), 10), true
}

func md5Sum(dst, src []byte) ([]byte, bool) {
	sum := md5.Sum(src)
	return append(dst[:0], sum[:]...), true
}

func sha1Sum(dst, src []byte) ([]byte, bool) {
	sum := sha1.Sum(src)
	return append(dst[:0], sum[:]...), true
}
