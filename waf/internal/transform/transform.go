// Package transform has the transformations of SecLang, t:urlDecodeUni and its
// like, as functions on bytes. Results are those of Coraza 3.8, byte for byte.
package transform

import (
	"math"
	"strings"
	"unsafe"
)

// A Func writes src transformed over dst, which it grows if need be, and gives
// the result. dst and src do not overlap. Where nothing had to be done the
// result is src itself, see Same; it may be a part of src, see Shares.
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
	// Keeps says that the result of a text in ASCII has no bytes that the text has
	// not, but for letters in the other case, spaces in place of other marks, and
	// slashes in place of backslashes.
	Keeps bool
}

// Most is how many characters the result of a text of n bytes may have.
func (t *Transform) Most(n int) int {
	switch t.Name {
	case "base64Decode", "base64DecodeExt":
		return n/4*3 + n%4
	case "base64Encode", "hexEncode", "length", "md5", "sha1", "urlEncode", "utf8toUnicode":
		return math.MaxInt
	}
	return n
}

// Same says whether out is src itself: the same memory, not just the same text.
func Same(out, src []byte) bool {
	return len(out) == len(src) && (len(src) == 0 || &out[0] == &src[0])
}

// Shares says whether out is, or could be made longer to be, memory of src.
func Shares(out, src []byte) bool {
	if cap(out) == 0 || cap(src) == 0 {
		return false
	}
	at, from := uintptr(unsafe.Pointer(unsafe.SliceData(out))), uintptr(unsafe.Pointer(unsafe.SliceData(src)))
	return at >= from && at < from+uintptr(cap(src))
}

var byName = map[string]*Transform{}

var all = []*Transform{
	{"base64Decode", base64Decode, Always, false},
	{"base64DecodeExt", base64DecodeExt, Always, false},
	{"base64Encode", base64Encode, Always, false},
	{"cmdLine", cmdLine, Upper | Quote | Backslash | Blank | Delimiter, true},
	{"compressWhitespace", compressWhitespace, Blank | High, true},
	{"cssDecode", cssDecode, Backslash, false},
	{"escapeSeqDecode", escapeSeqDecode, Backslash, false},
	{"hexDecode", hexDecode, Always, false},
	{"hexEncode", hexEncode, Always, false},
	{"htmlEntityDecode", htmlEntityDecode, Ampersand, false},
	{"jsDecode", jsDecode, Backslash, false},
	{"length", length, Always, false},
	{"lowercase", lowercase, Upper | High, true},
	{"md5", md5Sum, Always, false},
	{"none", none, 0, true},
	{"normalisePath", normalisePath, Slash | Dot, true},
	{"normalisePathWin", normalisePathWin, Slash | Dot | Backslash | Blank | Colon, true},
	{"normalizePath", normalisePath, Slash | Dot, true},
	{"normalizePathWin", normalisePathWin, Slash | Dot | Backslash | Blank | Colon, true},
	{"removeComments", removeComments, Slash | Comment, false},
	{"removeCommentsChar", removeCommentsChar, Slash | Comment, true},
	{"removeNulls", removeNulls, Null, true},
	{"removeWhitespace", removeWhitespace, Blank | High, true},
	{"replaceComments", replaceComments, Slash, true},
	{"replaceNulls", replaceNulls, Null, true},
	{"sha1", sha1Sum, Always, false},
	{"trim", trim, Blank, true},
	{"trimLeft", trimLeft, Blank, true},
	{"trimRight", trimRight, Blank, true},
	{"uppercase", uppercase, Lower | High, true},
	{"urlDecode", urlDecode, Percent, false},
	{"urlDecodeUni", urlDecodeUni, Percent, false},
	{"urlEncode", urlEncode, Always, false},
	{"utf8toUnicode", utf8ToUnicode, High, false},
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
	Digit                       // 0 to 9
	Always
)

// The kinds that say how plain a text is: each has fewer bytes than the one before.
const (
	NotWord  Class = 1 << (20 + iota) // all but letters, digits and _
	NotPlain                          // of these, all but those of plain text
	NotLink                           // of these, all but those of addresses of pages and forms
)

const (
	plainMarks = " -.,"
	linkMarks  = "/:?&=+%;~*@"
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
		case '0' <= c && c <= '9':
			t[c] |= Digit
		case c == '_':
		case c >= 0x80:
			t[c] |= High | NotWord | NotPlain | NotLink
		case strings.IndexByte(plainMarks, byte(c)) >= 0:
			t[c] |= NotWord
		case strings.IndexByte(linkMarks, byte(c)) >= 0:
			t[c] |= NotWord | NotPlain
		default:
			t[c] |= NotWord | NotPlain | NotLink
		}
	}
	return t
}()

// Without says which bytes are of none of the kinds.
func Without(kinds Class) (set [256]bool) {
	for c := range set {
		set[c] = classes[c]&kinds == 0
	}
	return set
}

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

// Names are the names of all transformations, as the reference manual writes them.
func Names() (out []string) {
	for _, t := range all {
		out = append(out, t.Name)
	}
	return out
}
