package seclang

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

type parser struct {
	fsys  fs.FS
	out   []Directive
	files int
	depth int
}

// file reads one file. at is where it is asked for.
func (p *parser) file(at Pos, name string) error {
	if p.files++; p.files > maxIncludes {
		return Errorf(at, "including %q: got more than %d files", name, maxIncludes)
	}
	if p.depth++; p.depth > maxDepth {
		return Errorf(at, "including %q: files include each other more than %d deep", name, maxDepth)
	}
	defer func() { p.depth-- }()
	if p.fsys == nil {
		return Errorf(at, "including %q: the rules have no file system", name)
	}
	b, err := fs.ReadFile(p.fsys, name)
	if err != nil {
		return Errorf(at, "including %q: %w", name, err)
	}
	return p.text(name, path.Dir(name), string(b))
}

// include reads the files that a name or a pattern stands for: looked up beside
// the including file first, then from the root.
func (p *parser) include(at Pos, dir, pattern string) error {
	if p.fsys == nil {
		return Errorf(at, "including %q: the rules have no file system", pattern)
	}
	pattern = strings.TrimPrefix(pattern, "/")
	if pattern == "" {
		return Errorf(at, "Include: got no file name")
	}
	for _, name := range []string{path.Join(dir, pattern), path.Clean(pattern)} {
		if !strings.ContainsAny(name, "*?[") {
			if _, err := fs.Stat(p.fsys, name); errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return p.file(at, name)
		}
		found, err := fs.Glob(p.fsys, name)
		if err != nil {
			return Errorf(at, "including %q: %w", pattern, err)
		}
		for _, f := range found {
			if err := p.file(at, f); err != nil {
				return err
			}
		}
		if len(found) > 0 {
			return nil
		}
	}
	if strings.ContainsAny(pattern, "*?[") {
		return nil // a pattern may match nothing: directories of plugins are often empty
	}
	return Errorf(at, "including %q: no such file beside this one or at the root", pattern)
}

// text splits rules into logical lines. A backslash at the end of a line
// continues it; comment lines and empty lines between are dropped. A backtick at
// the end opens a block that a line of one backtick closes.
func (p *parser) text(file, dir, text string) error {
	var b strings.Builder
	start := Pos{File: file}
	block, pending := false, false
	n := 0
	for raw := range strings.Lines(text) {
		n++
		line := strings.TrimSpace(raw)
		if line == "" || line[0] == '#' {
			continue
		}
		if !pending {
			start.Line, pending = n, true
		}
		switch {
		case !block && line[len(line)-1] == '`' && line != "`":
			block = true
		case block && line == "`":
			block = false
		}
		if block {
			b.WriteString(line)
			b.WriteByte('\n')
			continue
		}
		if rest, ok := strings.CutSuffix(line, `\`); ok {
			b.WriteString(rest)
			continue
		}
		b.WriteString(line)
		if err := p.line(start, dir, b.String()); err != nil {
			return err
		}
		b.Reset()
		pending = false
	}
	switch {
	case block:
		return Errorf(start, "the block that starts here has no closing backtick")
	case pending:
		return Errorf(start, "the line that starts here ends in a backslash and the file ends")
	}
	return nil
}

// line reads one directive.
func (p *parser) line(at Pos, dir, line string) error {
	name, rest := line, ""
	if i := strings.IndexAny(line, " \t\n"); i >= 0 {
		name, rest = line[:i], strings.TrimSpace(line[i:])
	}
	d := Directive{Pos: at, Name: strings.ToLower(name), Raw: line}
	var err error
	if d.Name == "secdataset" {
		key, block, ok := strings.Cut(rest, " ")
		block = strings.TrimSpace(block)
		if !ok || len(block) < 2 || block[0] != '`' || block[len(block)-1] != '`' {
			return Errorf(at, "SecDataset: got %q, want a name and a block between backticks", rest)
		}
		d.Args = []string{key, block[1 : len(block)-1]}
	} else if d.Args, err = arguments(rest); err != nil {
		return Errorf(at, "%s: %w", name, err)
	}
	switch d.Name {
	case "include":
		if len(d.Args) != 1 {
			return Errorf(at, "Include: got %d arguments, want one file name or pattern", len(d.Args))
		}
		return p.include(at, dir, d.Args[0])
	case "secrule":
		if n := len(d.Args); n != 2 && n != 3 {
			return Errorf(at, "SecRule: got %d arguments, want variables, \"operator\" and \"actions\"", n)
		}
		d.Rule, err = rule(d.Args)
	case "secaction":
		if len(d.Args) != 1 {
			return Errorf(at, "SecAction: got %d arguments, want \"actions\"", len(d.Args))
		}
		d.Rule = &Rule{}
		d.Rule.Actions, err = Actions(d.Args[0])
	}
	if err != nil {
		return Errorf(at, "%s: %w", name, err)
	}
	p.out = append(p.out, d)
	return nil
}

func rule(args []string) (*Rule, error) {
	r := &Rule{}
	var err error
	if r.Targets, err = Targets(args[0]); err != nil {
		return nil, err
	}
	if r.Operator, err = operator(args[1]); err != nil {
		return nil, err
	}
	if len(args) == 3 {
		if r.Actions, err = Actions(args[2]); err != nil {
			return nil, err
		}
	}
	return r, nil
}
