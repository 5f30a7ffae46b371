package waf

import (
	"github.com/ringwall/ringwall/waf/internal/dfa"
	"github.com/ringwall/ringwall/waf/internal/transform"
)

// An alphabet is a few kinds of bytes. A text that has no others is read with sets
// that were made for it: most patterns need a byte that it does not have.
type alphabet int

const (
	anyBytes alphabet = iota
	marks             // no letters and digits
	links             // letters, digits and the marks of addresses and forms
	plain             // letters, digits and the marks of plain text
	word              // letters, digits and _
	numAlphabets
)

// lacking are the kinds of bytes that texts of an alphabet do not have.
var lacking = [numAlphabets]transform.Class{
	marks: transform.Upper | transform.Lower | transform.Digit | transform.High,
	links: transform.NotLink,
	plain: transform.NotPlain,
	word:  transform.NotWord,
}

// narrow says whether an alphabet has letters, and not many marks.
func (a alphabet) narrow() bool { return a >= links }

// alphabetOf is the narrowest alphabet of a text with some kinds of bytes.
func alphabetOf(kinds transform.Class) alphabet {
	for a := word; a > anyBytes; a-- {
		if kinds&lacking[a] == 0 {
			return a
		}
	}
	return anyBytes
}

var alphabets = func() (out [numAlphabets]*dfa.Alphabet) {
	for a := anyBytes + 1; a < numAlphabets; a++ {
		bytes := transform.Without(lacking[a])
		out[a] = (*dfa.Alphabet)(bytes[:128])
	}
	return out
}()
