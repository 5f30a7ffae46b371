// Package transform has the transformations of SecLang, t:urlDecodeUni and its
// like, as functions on bytes. Results are those of Coraza 3.8, byte for byte.
package transform

import "strings"

// A Func writes src transformed over dst, which it grows if need be, and gives
// the result. dst and src do not overlap. Where nothing had to be done the
// result is src itself, see Same.
//
// changed is what multiMatch goes by: whether the transformation counts as one
// that gave another value. A few say so of an equal result (base64Decode,
// urlDecode of "%"), and htmlEntityDecode does not of one of the same length.
type Func func(dst, src []byte) (out []byte, changed bool)

// A Transform is a transformation by its name.
type Transform struct {
	Name string // as the reference manual writes it
	Func Func
	// Acts is what the transformation looks for: a text in which Scan finds
	// none of it is left as it is, and counts as not changed.
	Acts Class
}

// Same says whether out is src itself: the same memory, not just the same text.
func Same(out, src []byte) bool {
	return len(out) == len(src) && (len(src) == 0 || &out[0] == &src[0])
}

var byName = map[string]*Transform{}

var all = []*Transform{
	{"base64Decode", base64Decode, Always},
	{"base64DecodeExt", base64DecodeExt, Always},
	{"base64Encode", base64Encode, Always},
	{"cmdLine", cmdLine, Upper | Quote | Backslash | Blank | Delimiter},
	{"compressWhitespace", compressWhitespace, Blank | High},
	{"cssDecode", cssDecode, Backslash},
	{"escapeSeqDecode", escapeSeqDecode, Backslash},
	{"hexDecode", hexDecode, Always},
	{"hexEncode", hexEncode, Always},
	{"htmlEntityDecode", htmlEntityDecode, Ampersand},
	{"jsDecode", jsDecode, Backslash},
	{"length", length, Always},
	{"lowercase", lowercase, Upper | High},
	{"md5", md5Sum, Always},
	{"none", none, 0},
	{"normalisePath", normalisePath, Slash | Dot},
	{"normalisePathWin", normalisePathWin, Slash | Dot | Backslash | Blank | Colon},
	{"normalizePath", normalisePath, Slash | Dot},
	{"normalizePathWin", normalisePathWin, Slash | Dot | Backslash | Blank | Colon},
	{"removeComments", removeComments, Slash | Comment},
	{"removeCommentsChar", removeCommentsChar, Slash | Comment},
	{"removeNulls", removeNulls, Null},
	{"removeWhitespace", removeWhitespace, Blank | High},
	{"replaceComments", replaceComments, Slash},
	{"replaceNulls", replaceNulls, Null},
	{"sha1", sha1Sum, Always},
	{"trim", trim, Blank},
	{"trimLeft", trimLeft, Blank},
	{"trimRight", trimRight, Blank},
	{"uppercase", uppercase, Lower | High},
	{"urlDecode", urlDecode, Percent},
	{"urlDecodeUni", urlDecodeUni, Percent},
	{"urlEncode", urlEncode, Always},
	{"utf8toUnicode", utf8ToUnicode, High},
}

func init() {
	for _, t := range all {
		byName[strings.ToLower(t.Name)] = t
	}
}

// Lookup finds a transformation by its name, in any case.
func Lookup(name string) (*Transform, bool) {
	t, ok := byName[strings.ToLower(name)]
	return t, ok
}

// A Class is a set of kinds of bytes.
type Class uint32

// The kinds that transformations look for. Always is in every text.
const (
	Percent   Class = 1 << iota // % and +
	Backslash                   // \
	Ampersand                   // &
	Null                        // NUL
	Upper                       // A to Z
	Lower                       // a to z
	High                        // 0x80 and up
	Blank                       // space, \t, \n, \v, \f and \r
	Slash                       // /
	Dot                         // .
	Colon                       // :
	Comment                     // *, -, < and #
	Quote                       // ", ' and ^
	Delimiter                   // , and ;
	Always
)

var classes = func() (t [256]Class) {
	for class, bytes := range map[Class]string{Percent: "%+", Backslash: `\`, Ampersand: "&", Null: "\x00", Blank: " \t\n\v\f\r",
		Slash: "/", Dot: ".", Colon: ":", Comment: "*-<#", Quote: `"'^`, Delimiter: ",;"} {
		for i := range len(bytes) {
			t[bytes[i]] |= class
		}
	}
	for c := range 256 {
		switch {
		case 'A' <= c && c <= 'Z':
			t[c] |= Upper
		case 'a' <= c && c <= 'z':
			t[c] |= Lower
		case c >= 0x80:
			t[c] |= High
		}
	}
	return t
}()

// Scan says what kinds of bytes are in a text, in one reading.
func Scan(b []byte) Class {
	c0, c1, c2, c3 := Always, Always, Always, Always
	for ; len(b) >= 8; b = b[8:] {
		c0 |= classes[b[0]] | classes[b[4]]
		c1 |= classes[b[1]] | classes[b[5]]
		c2 |= classes[b[2]] | classes[b[6]]
		c3 |= classes[b[3]] | classes[b[7]]
	}
	for _, c := range b {
		c0 |= classes[c]
	}
	return c0 | c1 | c2 | c3
}

func none(_, src []byte) ([]byte, bool) { return src, false }
