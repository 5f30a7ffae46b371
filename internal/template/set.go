package template

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Set is the templates that are judged together: stacks that export to each
// other, and stacks within stacks.
type Set struct {
	Templates []*Template
	// Region is where the stacks of unknown place are made, if it is known.
	Region string

	byFile map[string]*Template
	nested map[string]bool // files that are another stack's part
	first  *World          // with the default values, as long as Region is empty
}

// A File is a template's name and text.
type File struct {
	Name string
	Text []byte
}

// maxFiles bounds how many templates one Set has.
const maxFiles = 500

// Load reads the templates of a directory and its subdirectories, or one file.
// The error lists what is wrong with each of them, in one pass.
func Load(path string) (*Set, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading templates: %w", err)
	}
	var names []string
	if !st.IsDir() {
		names = []string{path}
	} else if names, err = find(path); err != nil {
		return nil, err
	}
	var files []File
	var errs Errors
	for _, n := range names {
		if st, err := os.Stat(n); err == nil && st.Size() > MaxSize {
			errs.tooLarge(n, st.Size())
			continue
		}
		b, err := os.ReadFile(n)
		if err != nil {
			return nil, fmt.Errorf("reading templates: %w", err)
		}
		switch {
		case looksLike(b):
		case !st.IsDir():
			if slices.Contains(endings, strings.ToLower(filepath.Ext(n))) { // it may be broken before its Resources
				if _, err := build([]File{{n, b}}, nil); err != nil {
					return nil, err
				}
			}
			return nil, fmt.Errorf("reading templates: %s is none: it has no Resources; want a CloudFormation template, a directory of them, or the name of a site", path)
		default:
			continue
		}
		files = append(files, File{n, b})
	}
	if len(files) == 0 && len(errs) == 0 {
		return nil, fmt.Errorf("reading templates: %s has none; want files that end in .json, .yaml, .yml or .template with Resources in them", path)
	}
	return build(files, errs)
}

func find(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != dir && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.IsDir() || !slices.Contains(endings, strings.ToLower(filepath.Ext(p))):
			return nil
		case len(names) == maxFiles:
			return fmt.Errorf("%s has more than %d files that could be templates; name a smaller directory", dir, maxFiles)
		}
		names = append(names, p)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading templates: %w", err)
	}
	slices.Sort(names)
	return names, nil
}

// looksLike tells a template from other files with the same endings: a manifest,
// a CI's workflow. A file that is broken before its Resources must not slip by,
// so the word alone decides.
func looksLike(b []byte) bool {
	s := string(b)
	return strings.Contains(s, "Resources") || strings.Contains(s, "AWSTemplateFormatVersion")
}

// New reads templates that are already in memory.
func New(files []File) (*Set, error) { return build(files, nil) }

// Give says which value a parameter will have when the stacks are made, in every
// template that has one of the name: it is judged with that value and no other. false:
// none has.
func (s *Set) Give(name, value string) bool {
	found := false
	for _, t := range s.Templates {
		if p := t.params[name]; p != nil {
			n := &Node{Shape: String, Text: value, Pos: p.Pos}
			p.Default, p.Allowed, found = n, []*Node{n}, true
		}
	}
	if found {
		s.first = nil
	}
	return found
}

// build makes a Set; errs are of files that could not be read.
func build(files []File, errs Errors) (*Set, error) {
	s := &Set{byFile: map[string]*Template{}, nested: map[string]bool{}}
	unread := len(errs) > 0
	for _, f := range files {
		t := parse(f.Name, f.Text, &errs)
		unread = unread || t.Resources == nil
		s.Templates = append(s.Templates, t)
		s.byFile[filepath.Clean(f.Name)] = t
	}
	byName := map[string]*Template{}
	for _, t := range s.Templates {
		if first := byName[t.Name]; first != nil {
			t.Name = strings.ReplaceAll(filepath.ToSlash(t.File), "/", "-")
		}
		byName[t.Name] = t
	}
	if unread { // what it exports is not known
		return nil, errs.err()
	}
	for _, t := range s.Templates {
		s.findNested(t)
	}
	if s.checkNesting(&errs) {
		w := s.world(true, nil) // even where something is wrong: all is told in one pass
		w.errs.sortInto(&errs)
		s.first = w
	}
	if len(errs) > 0 {
		return nil, errs.err()
	}
	return s, nil
}

func (es Errors) sortInto(into *Errors) { *into = append(*into, es...) }

// findNested marks the files that the stacks of a template are made from.
func (s *Set) findNested(t *Template) {
	for _, f := range t.Resources.Fields {
		if c := s.child(t, f.Value); c != nil {
			s.nested[c.File] = true
		}
	}
}

// child is the template of a stack within a stack, when it is one of this Set.
func (s *Set) child(t *Template, res *Node) *Template {
	if typ, _ := res.Get("Type").text(); typ != "AWS::CloudFormation::Stack" {
		return nil
	}
	// The CDK writes an address that exists only after an upload, and the local
	// file's name beside it.
	for _, n := range []*Node{res.Get("Metadata").Get("aws:asset:path"), res.Get("Properties").Get("TemplateURL")} {
		if p, ok := n.text(); ok && !strings.Contains(p, "://") {
			if c := s.byFile[filepath.Join(filepath.Dir(t.File), filepath.FromSlash(p))]; c != nil {
				return c
			}
		}
	}
	return nil
}

// checkNesting finds stacks that have themselves as a part, and says whether there
// are none.
func (s *Set) checkNesting(errs *Errors) bool {
	uses := map[string][]string{}
	for _, t := range s.Templates {
		uses[t.File] = nil
		for _, f := range t.Resources.Fields {
			if c := s.child(t, f.Value); c != nil {
				uses[t.File] = append(uses[t.File], c.File)
			}
		}
	}
	found := circles(uses)
	for _, c := range found {
		errs.add(Pos{File: c[0]}, "these templates are each other's parts in a circle: %s", strings.Join(append(c, c[0]), " → "))
	}
	return len(found) == 0
}
