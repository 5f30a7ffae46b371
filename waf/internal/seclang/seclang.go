// Package seclang reads rules in SecLang, the language of ModSecurity, Coraza
// and the OWASP core rule set. It knows the grammar only: what a directive, a
// variable or an action means is up to the caller.
package seclang

import (
	"fmt"
	"io/fs"
)

// A Pos is where something stands in the rules.
type Pos struct {
	File string // as opened; "inline" for text that is in no file
	Line int    // from 1
}

func (p Pos) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// An Error is what is wrong with the rules, and where.
type Error struct {
	Pos Pos
	Err error
}

func (e *Error) Error() string { return e.Pos.String() + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error.
func Errorf(p Pos, format string, args ...any) error {
	return &Error{p, fmt.Errorf(format, args...)}
}

// A Directive is one logical line. Include is resolved by the parser and never
// reaches the caller.
type Directive struct {
	Pos  Pos
	Name string   // in lower case: secrule
	Raw  string   // the whole line, continuations joined
	Args []string // without their quotes
	Rule *Rule    // of SecRule and SecAction
}

// A Rule is the grammar of one SecRule or SecAction.
type Rule struct {
	Targets  []Target // none for SecAction
	Operator Operator // its Name is empty for SecAction
	Actions  []Action
}

// A Target is one element of a rule's variable list.
type Target struct {
	Name   string // in upper case: ARGS
	Key    string // as written, without the slashes of a regular expression
	Regexp bool   // Key is a regular expression
	Count  bool   // & before the name
	Except bool   // ! before the name
}

// An Operator is what a rule tests its targets with.
type Operator struct {
	Name string // as written, without the at sign: rx, pmFromFile
	Arg  string
	Not  bool
}

// An Action is one element of a rule's action list.
type Action struct {
	Name  string // in lower case
	Value string // without its single quotes
}

// maxIncludes bounds the files that one load reads.
const maxIncludes = 1000

// maxDepth bounds how deep files include files.
const maxDepth = 32

// ParseFile reads a file of rules and all that it includes.
func ParseFile(fsys fs.FS, name string) ([]Directive, error) {
	p := &parser{fsys: fsys}
	if err := p.file(Pos{File: name, Line: 1}, name); err != nil {
		return nil, err
	}
	return p.out, nil
}

// ParseString reads rules from a string. Its includes are looked up from the
// root of fsys.
func ParseString(fsys fs.FS, text string) ([]Directive, error) {
	p := &parser{fsys: fsys}
	if err := p.text("inline", ".", text); err != nil {
		return nil, err
	}
	return p.out, nil
}
