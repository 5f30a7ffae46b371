package transform

import (
	"encoding/base64"
	"unicode"
)

// bits64 is what each character of base64 stands for; 0xff is none.
var bits64 = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = byte(i)
	}
	return t
}()

func base64Decode(dst, src []byte) ([]byte, bool)    { return decode64(dst, src, false), true }
func base64DecodeExt(dst, src []byte) ([]byte, bool) { return decode64(dst, src, true), true }

func base64Encode(dst, src []byte) ([]byte, bool) {
	return base64.StdEncoding.AppendEncode(dst[:0], src), true
}

// decode64 reads up to the first character that ends the text; a forgiving one
// passes over what it does not know, and knows the alphabet for URLs as well.
func decode64(dst, src []byte, forgiving bool) []byte {
	dst = dst[:0]
	for len(src) >= 4 { // most of a text is groups of four that need no second look
		a, b, c, d := bits64[src[0]], bits64[src[1]], bits64[src[2]], bits64[src[3]]
		if (a|b|c|d)&0xc0 != 0 {
			break
		}
		x := int(a)<<18 | int(b)<<12 | int(c)<<6 | int(d)
		dst, src = append(dst, byte(x>>16), byte(x>>8), byte(x)), src[4:]
	}
	n, x := 0, 0
	for _, c := range src {
		if forgiving && (unicode.IsSpace(rune(c)) || c == '.') || c == '\r' || c == '\n' {
			continue
		}
		if c == '=' || c == ' ' {
			break
		}
		if forgiving && c == '-' {
			c = '+'
		} else if forgiving && c == '_' {
			c = '/'
		}
		v := bits64[c]
		if v == 0xff {
			if forgiving {
				continue
			}
			break
		}
		x = x<<6 | int(v)
		if n++; n == 4 {
			dst = append(dst, byte(x>>16), byte(x>>8), byte(x))
			n, x = 0, 0
		}
	}
	switch n {
	case 2:
		dst = append(dst, byte(x>>4))
	case 3:
		dst = append(dst, byte(x>>10), byte(x>>2))
	}
	return dst
}
