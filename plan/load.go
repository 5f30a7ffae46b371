package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options say which site of which file Load reads.
type Options struct {
	File      string              // empty: ringwall.yaml or parameters.properties of this directory or the nearest above it
	Site      string              // <app>-<env>; empty: the file's default, or its only one
	Overrides map[string]string   // by dotted key: values from the command line
	Getenv    func(string) string // nil: os.Getenv
	Dir       string              // where the search starts; empty: the working directory
}

// Names of the configuration files, in the order in which they are looked for.
const (
	FileYAML       = "ringwall.yaml"
	FileProperties = "parameters.properties"
)

// ErrNoFile is returned by Load when there is no configuration to read.
var ErrNoFile = errors.New("no configuration found")

// Load reads a site's plan in three steps: it loads what flags, environment, file
// and preset say, fills in defaults, and validates. What is wrong with the
// configuration comes back as Errors, all of it at once.
func Load(opts Options) (*Plan, error) {
	l, err := open(opts)
	if err != nil {
		return nil, err
	}
	return l.plan(opts)
}

func (l *loader) plan(opts Options) (*Plan, error) {
	d := newDraft()

	l.load(d, opts)
	if len(l.problems) > 0 {
		l.late(d)
	} else if l.defaults(d); len(l.problems) == 0 {
		l.validate(d)
	}

	if len(l.problems) > 0 {
		l.problems.sort()
		return nil, l.problems
	}
	d.Flows = flows(&d.Plan)
	d.Notes = l.notes
	return &d.Plan, nil
}

// late looks for keys that do not go together where something was wrong already, so that
// all is told in one pass. A clash with a value that is wrong itself is left out, and so
// is one with a value that nobody wrote: it may come of what is wrong.
func (l *loader) late(d *draft) {
	l.wrong = map[string]bool{}
	for _, p := range l.problems {
		l.wrong[p.key] = true
	}
	notes := l.notes
	l.validateTiers(d)
	l.validateLimits(d)
	l.validateInside(d)
	l.validateBlocks(d)
	l.notes = notes
}

// Sites lists the sites of a configuration file, in the file's order; the file is
// found as Load finds it when its name is empty.
func Sites(file string) ([]string, error) {
	l, err := open(Options{File: file})
	if err != nil {
		return nil, err
	}
	names, _ := l.listSites()
	if len(l.problems) > 0 {
		l.problems.sort()
		return nil, l.problems
	}
	return names, nil
}

// A loader holds one reading of the configuration.
type loader struct {
	file     string // absolute
	show     string // as messages name it
	dir      string
	data     []byte
	source   string // of the origins being made
	lines    []string
	problems Errors
	notes    []string
	alias    map[string]string  // the name in the file of a dotted key, where they differ
	blocks   map[string][]block // addresses as written, by key
	merged   layer
	wrong    map[string]bool // dotted keys whose value was wrong; nil: nothing was so far
}

func open(opts Options) (*loader, error) {
	dir := opts.Dir
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			return nil, fmt.Errorf("looking for the configuration: %w", err)
		}
		dir = wd
	}
	file := opts.File
	if file == "" {
		found, err := find(dir)
		if err != nil {
			return nil, err
		}
		file = found
	} else if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	l := newLoader(filepath.Clean(file))
	if opts.File != "" {
		l.show = opts.File
	} else if rel, err := filepath.Rel(dir, l.file); err == nil && len(rel) < len(l.file) {
		l.show = rel
	}
	st, err := os.Stat(l.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("reading %s: %w: got no such file; ringwall init writes one", l.show, ErrNoFile)
	case err != nil:
		return nil, fmt.Errorf("reading the configuration: %w", err)
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("reading %s: got a %s, want a file", l.show, kindOf(st.Mode()))
	case st.Size() > maxFile:
		return nil, fmt.Errorf("reading %s:1:1: got %d bytes, want at most %d; is this the configuration?", l.show, st.Size(), maxFile)
	}
	data, err := os.ReadFile(l.file)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	l.data = withoutBOM(data)
	return l, nil
}

func newLoader(file string) *loader {
	return &loader{file: file, show: file, dir: filepath.Dir(file), source: "file",
		alias: map[string]string{}, blocks: map[string][]block{}, merged: layer{}}
}

func withoutBOM(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) }

func kindOf(m fs.FileMode) string {
	if m.IsDir() {
		return "directory"
	}
	return "device, socket or pipe"
}

// find walks up from dir to the first directory with a configuration file.
func find(dir string) (string, error) {
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		for _, name := range []string{FileYAML, FileProperties} {
			f := filepath.Join(d, name)
			if st, err := os.Stat(f); err == nil && st.Mode().IsRegular() {
				return f, nil
			}
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%w: looked for %s and %s in %s and every directory above it; ringwall init writes one, -c FILE names one", ErrNoFile, FileYAML, FileProperties, dir)
		}
	}
}

func (l *loader) isProperties() bool {
	return filepath.Ext(l.file) == ".properties"
}

func (l *loader) line(line, column int) Origin {
	return Origin{Source: l.source, File: l.show, Line: line, Column: column}
}

func (l *loader) note(s string) {
	if !slices.Contains(l.notes, s) {
		l.notes = append(l.notes, s)
	}
}

// full says that there are more problems than anybody will read.
func (l *loader) full() bool { return len(l.problems) >= 1000 }

// problem records what is wrong. Keys are named as the file names them.
func (l *loader) problem(at Origin, doing, got, want, hint string) {
	if l.wrong == nil { // what comes late is told by clash
		l.record(at, doing, got, want, hint)
	}
}

func (l *loader) record(at Origin, doing, got, want, hint string) {
	key := doing
	if name, ok := l.alias[doing]; ok && at.Source == "file" {
		doing = name
	}
	p := Problem{At: at, Doing: doing, Got: got, Want: want, Hint: hint, key: key}
	switch at.Source {
	case "file":
		p.Line = excerpt(l.lines, at.Line)
	case "environment":
		p.Doing = envName(doing)
	case "flag":
		p.Doing = "--set " + doing
	}
	if !l.full() {
		l.problems = append(l.problems, p)
	}
}

// listSites parses the file as far as its sites.
func (l *loader) listSites() (names []string, std string) {
	if l.isProperties() {
		return l.sites(l.readProperties(l.data))
	}
	return l.yamlSites(l.readYAML(l.data))
}

func (l *loader) yamlSites(doc *document) (names []string, std string) {
	app := doc.base["app"].text
	if len(doc.envs) == 0 {
		return []string{app + "-dev"}, app + "-dev"
	}
	for _, e := range doc.envs {
		names = append(names, app+"-"+e.name)
	}
	if doc.std != "" {
		if doc.env(doc.std) == nil {
			l.problem(doc.stdAt, keyDefault, quote(doc.std), "one of the environments: "+oneOf(doc.names()), didYouMean(doc.std, doc.names()))
		}
		std = app + "-" + doc.std
	}
	return names, std
}

// load merges the layers from the lowest to the highest and decodes the result.
func (l *loader) load(d *draft, opts Options) {
	var file layer
	if l.isProperties() {
		file = l.loadProperties(d, opts.Site)
	} else {
		file = l.loadYAML(d, opts.Site)
	}
	d.File = l.file
	over := l.overrides(opts)
	if len(l.problems) > 0 && file == nil {
		return
	}

	choice := layer{}
	for _, from := range []layer{file, over} {
		if v, ok := from["preset"]; ok {
			choice["preset"] = v
		}
	}
	name := PresetGeneric
	if v, ok := choice["preset"]; ok {
		name = v.text
	}
	for _, from := range []layer{defaultLayer(), presetLayer(name), file, over} {
		from.onto(l.merged)
	}
	for i := range keys() {
		k := &keys()[i]
		if v, ok := l.merged[k.name]; ok {
			l.decode(d, k, v)
			d.Origins[k.name] = v.at
		}
	}
}

// pick chooses the site that is meant.
func (l *loader) pick(asked string, names []string, std string) (string, bool) {
	switch {
	case asked != "" && slices.Contains(names, asked):
		return asked, true
	case asked != "":
		l.problem(Origin{Source: "argument"}, "looking for the site", quote(asked), "a site of "+l.show+": "+oneOf(names), didYouMean(asked, names))
	case len(names) == 1:
		return names[0], true
	case std != "" && slices.Contains(names, std):
		return std, true
	case len(l.problems) > 0: // said already
	case std != "":
		l.problem(l.line(1, 1), "[default]", "the site "+quote(std), "a stanza of the file: "+oneOf(names), didYouMean(std, names))
	case len(names) == 0:
		l.problem(l.line(1, 1), "reading the file", "no site", "a stanza such as [wp-dev]", "")
	default:
		l.problem(Origin{Source: "argument"}, "looking for the site", "no name", "one of "+oneOf(names), "name it after the command, or set default: in the file")
	}
	return "", false
}

func (l *loader) loadYAML(d *draft, asked string) layer {
	doc := l.readYAML(l.data)
	app, ok := doc.base["app"]
	if !ok && len(l.problems) == 0 {
		l.problem(l.line(1, 1), "reading the file", "no app", "app: <name>", "")
	}
	if len(l.problems) > 0 && !ok {
		return nil
	}
	if app.kind != textValue || isName(app.text) != nil {
		l.problem(app.at, "app", app.what(), isName("").want, "")
		return nil
	}
	names, std := l.yamlSites(doc)
	site, ok := l.pick(asked, names, std)
	if !ok {
		return nil
	}
	d.Env = strings.TrimPrefix(site, app.text+"-")
	merged := layer{}
	doc.base.onto(merged)
	for _, e := range l.lineage(doc, d.Env) {
		e.layer.onto(merged)
	}
	return merged
}

// lineage lists an environment after those it inherits from. The whole file is
// checked for cycles, so that one hidden in another environment is found too.
func (l *loader) lineage(doc *document, name string) []*environment {
	var out []*environment
	said := map[string]bool{} // circles, by their members
	for _, start := range doc.envs {
		var chain []*environment
		seen := []string{}
		for e := start; ; {
			if slices.Contains(seen, e.name) {
				if e == start && !said[e.name] {
					for _, member := range seen {
						said[member] = true
					}
					l.problem(e.inhAt, keyEnvironments+"."+e.name+"."+keyInherits, "a circle: "+strings.Join(append(seen, e.name), " → "), "an environment that does not lead back here", "")
				}
				break
			}
			seen = append(seen, e.name)
			chain = append(chain, e)
			if e.inherits == "" {
				break
			}
			parent := doc.env(e.inherits)
			if parent == nil {
				if e == start {
					others := slices.DeleteFunc(doc.names(), func(n string) bool { return n == e.name })
					l.problem(e.inhAt, keyEnvironments+"."+e.name+"."+keyInherits, quote(e.inherits), "another environment: "+oneOf(others), didYouMean(e.inherits, others))
				}
				break
			}
			e = parent
		}
		if start.name == name {
			slices.Reverse(chain)
			out = chain
		}
	}
	return out
}

func (l *loader) loadProperties(d *draft, asked string) layer {
	all := l.readProperties(l.data)
	names, std := l.sites(all)
	site, ok := l.pick(asked, names, std)
	if !ok {
		return nil
	}
	var s *stanza
	for _, one := range all {
		if s == nil && one.name == site {
			s = one
		}
	}
	app, env, ok := cutLast(site, "-")
	if !ok || isName(app) != nil || isName(env) != nil {
		l.problem(s.at, "reading the stanza's name", quote(site), "[<app>-<env>] in small letters, digits and dashes, such as [wp-dev]", "")
		return nil
	}
	d.Env = env
	out := l.translate(s)
	out["app"] = text(app, s.at)
	preset, at := presetOf(s)
	out["preset"] = text(preset, at)
	return out
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// overrides is the layer of the environment with that of the flags upon it.
func (l *loader) overrides(opts Options) layer {
	getenv := opts.Getenv
	if getenv == nil {
		getenv = os.Getenv
	}
	out := layer{}
	set := func(k *key, s string, at Origin) {
		v, err := fromText(k, s, at)
		if err != nil {
			l.problem(at, k.name, strings.TrimPrefix(err.Error(), "got "), "", "")
			return
		}
		out[k.name] = v
	}
	for i := range keys() {
		k := &keys()[i]
		if k.name == "app" {
			continue
		}
		if s := getenv(envName(k.name)); s != "" {
			set(k, s, Origin{Source: "environment"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(opts.Overrides)) {
		k := keyNamed(name)
		if t, entry := tableOf(name); t != nil {
			v, ok := out[t.name]
			if !ok {
				v = value{at: Origin{Source: "flag"}}
			}
			v.put(entry, text(opts.Overrides[name], Origin{Source: "flag"}))
			out[t.name] = v
			continue
		}
		if k == nil || name == "app" {
			var known []string
			for _, k := range keys() {
				known = append(known, k.name)
			}
			l.problem(Origin{Source: "flag"}, name, "an unknown key", "a key of ringwall.yaml", didYouMean(name, known))
			continue
		}
		set(k, opts.Overrides[name], Origin{Source: "flag"})
	}
	return out
}

// tableOf finds the table that a name such as tiers.fleet.env.LANG is an entry of.
func tableOf(name string) (*key, string) {
	before, entry, ok := cutLast(name, ".")
	if k := keyNamed(before); ok && k != nil && entry != "" && k.shape() == tableValue {
		return k, entry
	}
	return nil, ""
}

// defaultLayer is what the table of keys says.
func defaultLayer() layer {
	out := layer{}
	for i := range keys() {
		k := &keys()[i]
		if k.def == "" {
			continue
		}
		v, err := fromText(k, k.def, Origin{Source: "default"})
		if err != nil {
			panic("plan: the default of " + k.name + ": " + err.Error()) // the table is ours; a test reads it
		}
		out[k.name] = v
	}
	return out
}
