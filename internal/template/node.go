// Package template reads anyone's CloudFormation templates, JSON or YAML, and
// resolves their intrinsic functions as far as a file can tell. Every value
// keeps the place it was written at, and what cannot be resolved is a value of
// its own kind, never a guess.
package template

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxSize is the largest template that CloudFormation takes, in bytes (1 MB from
// S3; CloudFormation quotas, "template body size"). A larger one is an error.
const MaxSize = 1 << 20

// maxDepth bounds the nesting of a document.
const maxDepth = 100

// A Pos is a place in a file. The zero Pos is nowhere.
type Pos struct {
	File string `json:"file"`
	Line int    `json:"line"` // from 1
	Col  int    `json:"col"`  // from 1, in characters
}

func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// IsZero says whether p is nowhere.
func (p Pos) IsZero() bool { return p == Pos{} }

// A Shape is what a node is, before anything is resolved.
type Shape uint8

const (
	Null Shape = iota
	Bool
	Number
	String
	List
	Map
)

var shapes = [...]string{"nothing", "true or false", "a number", "a text", "a list", "a map"}

func (s Shape) String() string { return shapes[s] }

// A Node is one value of a document, as it was written. Short forms (!Ref x) are
// written out: {"Ref": "x"}.
type Node struct {
	Shape  Shape
	Text   string  // of a scalar
	Items  []*Node // of a list
	Fields []Field // of a map, in the file's order
	Pos    Pos
}

// A Field is one entry of a map.
type Field struct {
	Name  string
	Pos   Pos // of the name
	Value *Node
}

// Get returns the value of a map's field, or nil.
func (n *Node) Get(name string) *Node {
	if n == nil {
		return nil
	}
	for i := range n.Fields {
		if n.Fields[i].Name == name {
			return n.Fields[i].Value
		}
	}
	return nil
}

// only returns a map's single field.
func (n *Node) only() (string, *Node, bool) {
	if n == nil || n.Shape != Map || len(n.Fields) != 1 {
		return "", nil, false
	}
	return n.Fields[0].Name, n.Fields[0].Value, true
}

// text returns a scalar's text.
func (n *Node) text() (string, bool) {
	if n == nil || n.Shape == List || n.Shape == Map || n.Shape == Null {
		return "", false
	}
	return n.Text, true
}

// An Error is what is wrong at one place of a template.
type Error struct {
	Pos Pos
	Msg string
}

func (e *Error) Error() string {
	if e.Pos.IsZero() {
		return e.Msg
	}
	return e.Pos.String() + ": " + e.Msg
}

// Errors are everything that one pass found, in the files' order.
type Errors []*Error

func (es Errors) Error() string {
	var b strings.Builder
	for i, e := range es {
		if i == maxErrors {
			fmt.Fprintf(&b, "\nand %d more", len(es)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

// maxErrors bounds what is printed of one pass.
const maxErrors = 25

func (es *Errors) add(pos Pos, format string, a ...any) {
	*es = append(*es, &Error{pos, fmt.Sprintf(format, a...)})
}

func (es *Errors) tooLarge(file string, size int64) {
	es.add(Pos{File: file}, "reading the template: %d bytes, and CloudFormation takes at most %d; split it into stacks", size, MaxSize)
}

// err returns the errors in order of place, each once, or nil.
func (es Errors) err() error {
	if len(es) == 0 {
		return nil
	}
	slices.SortStableFunc(es, func(a, b *Error) int {
		return comparePos(a.Pos, b.Pos)
	})
	es = slices.CompactFunc(es, func(a, b *Error) bool { return *a == *b })
	return es
}

// AsErrors returns the places of an error that Load or Parse returned.
func AsErrors(err error) (Errors, bool) {
	var es Errors
	ok := errors.As(err, &es)
	return es, ok
}

func comparePos(a, b Pos) int {
	if c := strings.Compare(a.File, b.File); c != 0 {
		return c
	}
	if a.Line != b.Line {
		return a.Line - b.Line
	}
	return a.Col - b.Col
}
