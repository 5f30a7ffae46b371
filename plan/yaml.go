package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

const (
	maxFile  = 1 << 20 // bytes of a configuration file
	maxDepth = 16      // of groups in groups; the table of keys needs six
)

// A document is a ringwall.yaml, before anything is merged.
type document struct {
	base  layer
	std   string // the environment that is meant when none is named
	stdAt Origin
	envs  []*environment
}

type environment struct {
	name     string
	at       Origin
	inherits string
	inhAt    Origin
	layer    layer
}

func (d *document) env(name string) *environment {
	for _, e := range d.envs {
		if e.name == name {
			return e
		}
	}
	return nil
}

func (d *document) names() []string {
	var out []string
	for _, e := range d.envs {
		out = append(out, e.name)
	}
	return out
}

// Keys of the file that are not settings of a site.
const (
	keyDefault      = "default"
	keyEnvironments = "environments"
	keyInherits     = "inherits"
)

// readYAML parses a ringwall.yaml. What is wrong goes to the loader's problems.
func (l *loader) readYAML(data []byte) *document {
	doc := &document{base: layer{}}
	root := l.parseYAML(data)
	if root == nil {
		return doc
	}
	if root.Kind != yaml.MappingNode {
		l.problem(l.at(root), "reading the file", nodeWhat(root), "keys with values, such as app: board", "")
		return doc
	}
	l.flatten(doc.base, root, "", 0, []string{keyDefault, keyEnvironments}, func(name string, k, v *yaml.Node) {
		if name == keyDefault {
			doc.std, doc.stdAt = l.word(name, v), l.at(v)
			return
		}
		l.environments(doc, v)
	})
	return doc
}

func (l *loader) environments(doc *document, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		l.problem(l.at(n), keyEnvironments, nodeWhat(n), "a group for each environment, such as dev: {}", "")
		return
	}
	l.pairs(n, keyEnvironments, func(k, v *yaml.Node) {
		e := &environment{name: k.Value, at: l.at(k), layer: layer{}}
		if d := isName(e.name); d != nil {
			l.problem(e.at, keyEnvironments, quote(e.name), d.want, "")
			return
		}
		doc.envs = append(doc.envs, e)
		if v.Kind == yaml.ScalarNode && v.ShortTag() == "!!null" {
			return
		}
		if v.Kind != yaml.MappingNode {
			l.problem(l.at(v), keyEnvironments+"."+e.name, nodeWhat(v), "a group of keys", "")
			return
		}
		l.flatten(e.layer, v, "", 0, []string{keyInherits}, func(name string, k, v *yaml.Node) {
			e.inherits, e.inhAt = l.word(keyEnvironments+"."+e.name+"."+name, v), l.at(v)
		})
		if v, ok := e.layer["app"]; ok {
			l.problem(v.at, keyEnvironments+"."+e.name+".app", quote(v.text), "no app here", "every environment of a file has the app named at its top")
		}
	})
}

func (l *loader) word(name string, n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		l.problem(l.at(n), name, nodeWhat(n), "the name of an environment", "")
		return ""
	}
	return n.Value
}

// flatten puts the settings of a mapping into the layer by dotted key. Names in
// meta, at the top only, go to other.
func (l *loader) flatten(into layer, n *yaml.Node, prefix string, depth int, meta []string, other func(string, *yaml.Node, *yaml.Node)) {
	known := under(prefix)
	l.pairs(n, prefix, func(k, v *yaml.Node) {
		if slices.Contains(meta, k.Value) {
			other(k.Value, k, v)
			return
		}
		name := k.Value
		if prefix != "" {
			name = prefix + "." + k.Value
		}
		switch {
		case keyNamed(name) != nil:
			into[name] = l.value(v, name, 0)
		case slices.Contains(known, k.Value): // a group
			switch {
			case v.Kind == yaml.MappingNode:
				l.flatten(into, v, name, depth+1, nil, nil)
			case v.Kind == yaml.ScalarNode && v.ShortTag() == "!!null":
			default:
				l.problem(l.at(v), name, nodeWhat(v), "a group with the keys "+oneOf(under(name)), "")
			}
		default:
			l.unknown(l.at(k), prefix, k.Value, append(slices.Clone(known), meta...))
		}
	})
}

// unknown reports a key that nothing reads, with the nearest that something does.
func (l *loader) unknown(at Origin, in, word string, known []string) {
	if l.full() {
		return
	}
	doing := "reading the file"
	if in != "" {
		doing = in
	}
	hint := didYouMean(word, known)
	if hint == "" {
		for _, k := range keys() { // the right word in another group
			if last := k.name[strings.LastIndexByte(k.name, '.')+1:]; strings.EqualFold(last, word) {
				hint = fmt.Sprintf("did you mean %s?", k.name)
				break
			}
		}
	}
	l.problem(at, doing, "the unknown key "+quote(word), oneOf(known), hint)
}

// pairs calls f for each key of a mapping, once.
func (l *loader) pairs(n *yaml.Node, where string, f func(k, v *yaml.Node)) {
	first := map[string]*yaml.Node{}
	if where == "" {
		where = "reading the file"
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			l.problem(l.at(k), where, nodeWhat(k)+" as a key", "a word", "")
			continue
		}
		if k.ShortTag() == "!!merge" {
			l.problem(l.at(k), where, "a merge key <<", "plain keys", "an environment takes another's keys with inherits: <name>")
			continue
		}
		if old := first[k.Value]; old != nil {
			l.problem(l.at(k), where, "the key "+quote(k.Value)+" twice", "it once", fmt.Sprintf("the first is on line %d", old.Line))
			continue
		}
		first[k.Value] = k
		f(k, v)
	}
}

func (l *loader) value(n *yaml.Node, name string, depth int) value {
	v := value{at: l.at(n)}
	switch n.Kind {
	case yaml.ScalarNode:
		if n.ShortTag() != "!!null" {
			v.kind, v.text = textValue, n.Value
		}
	case yaml.SequenceNode:
		v.kind = listValue
		for _, c := range n.Content {
			v.list = append(v.list, l.value(c, name, depth+1))
		}
	case yaml.MappingNode:
		v.kind = tableValue
		l.pairs(n, name, func(k, c *yaml.Node) {
			v.table = append(v.table, field{k.Value, l.at(k), l.value(c, name+"."+k.Value, depth+1)})
		})
	}
	return v
}

func (l *loader) at(n *yaml.Node) Origin {
	return Origin{Source: l.source, File: l.show, Line: max(1, n.Line), Column: max(1, n.Column)}
}

func nodeWhat(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a group of keys"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.ShortTag() == "!!null" {
		return "nothing"
	}
	return quote(n.Value)
}

var yamlLine = pattern(`^yaml: (?:unmarshal errors:\s*)?(?:line (\d+): )?`)

// parseYAML returns the only document of the file, without anchors, tags and
// depth that the format has no use for; nil when there is none or it is wrong.
func (l *loader) parseYAML(data []byte) (root *yaml.Node) {
	if !l.readable(data) {
		return nil
	}
	defer func() {
		if r := recover(); r != nil { // the parser is not ours
			l.problem(l.line(1, 1), "reading the file", "text that the YAML parser gives up on", "YAML", "")
			root = nil
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := d.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) {
			l.syntax(err)
		} else {
			l.problem(l.line(1, 1), "reading the file", "an empty file", "at least app: <name>", "ringwall init writes one")
		}
		return nil
	}
	if err := d.Decode(&second); err == nil {
		l.problem(l.line(max(1, second.Line), 1), "reading the file", "a second document", "one", "take the line --- away; several environments go under environments:")
		return nil
	} else if !errors.Is(err, io.EOF) {
		l.syntax(err)
		return nil
	}
	if len(doc.Content) != 1 {
		l.problem(l.line(1, 1), "reading the file", "an empty file", "at least app: <name>", "ringwall init writes one")
		return nil
	}
	before := len(l.problems)
	l.plain(doc.Content[0], 0)
	if len(l.problems) > before {
		return nil
	}
	return doc.Content[0]
}

// plain refuses what makes a configuration harder to read than it need be.
func (l *loader) plain(n *yaml.Node, depth int) bool {
	switch {
	case depth > maxDepth:
		l.problem(l.at(n), "reading the file", fmt.Sprintf("groups more than %d deep", maxDepth), "fewer", "")
		return false
	case n.Anchor != "":
		l.problem(l.at(n), "reading the file", "the anchor &"+n.Anchor, "plain values", "an environment takes another's keys with inherits: <name>")
		return false
	case n.Kind == yaml.AliasNode:
		l.problem(l.at(n), "reading the file", "the alias *"+n.Value, `plain values; "*" in quotes for everybody`, "an environment takes another's keys with inherits: <name>")
		return false
	case n.Style&yaml.TaggedStyle != 0:
		l.problem(l.at(n), "reading the file", "the tag "+n.Tag, "plain values", "")
		return false
	}
	entries := len(n.Content)
	if n.Kind == yaml.MappingNode {
		entries /= 2
	}
	if entries > maxEntries {
		l.problem(l.at(n), "reading the file", fmt.Sprintf("%d entries", entries), fmt.Sprintf("at most %d", maxEntries), "")
		return false
	}
	for _, c := range n.Content {
		if !l.plain(c, depth+1) {
			return false
		}
	}
	return true
}

// syntax reports what the parser said, at the line it said it of.
func (l *loader) syntax(err error) {
	msg := err.Error()
	m := yamlLine().FindStringSubmatch(msg)
	line := 1
	if m != nil {
		msg = msg[len(m[0]):]
		if n, err := strconv.Atoi(m[1]); err == nil && n > 0 {
			line = n
		}
	}
	for i, s := range l.lines { // the usual cause, at its real place
		indent := s[:len(s)-len(strings.TrimLeft(s, " \t"))]
		if t := strings.IndexByte(indent, '\t'); t >= 0 && strings.TrimSpace(s) != "" {
			l.problem(l.line(i+1, t+1), "reading the file", "a tab in front of the line", "spaces", "")
			return
		}
	}
	hint := ""
	want := "YAML"
	switch {
	case strings.Contains(msg, "unknown anchor"), strings.Contains(msg, "alphabetic or numeric"):
		want, hint = "plain values", `write "*" in quotes for everybody`
	case strings.Contains(msg, "mapping values are not allowed"):
		want, hint = "one key on a line", "put a text that holds a colon in quotes, and check the indentation"
	case strings.Contains(msg, "unexpected end of stream"):
		want, hint = "the quote or bracket that closes a value", "look for the one that opens it"
	case strings.Contains(msg, "cannot start any token"):
		want, hint = "plain values", "put a text that starts with @, ` or % in quotes"
	}
	line = min(line, max(1, len(l.lines)))
	if line < len(l.lines) && strings.TrimSpace(l.lines[line-1]) == "" {
		line = min(line+1, len(l.lines))
	}
	col := 1
	if s := l.lines[line-1]; strings.TrimSpace(s) != "" {
		col = 1 + len(s) - len(strings.TrimLeft(s, " \t"))
	}
	l.problem(l.line(line, col), "reading the file", "text that is not YAML ("+msg+")", want, hint)
}

// readable refuses bytes that are no text, before any parser sees them, and cuts
// the file into lines.
func (l *loader) readable(data []byte) bool {
	l.lines = nil
	switch {
	case len(data) > maxFile:
		l.problem(l.line(1, 1), "reading the file", fmt.Sprintf("%d bytes", len(data)), fmt.Sprintf("at most %d", maxFile), "")
		return false
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		l.problem(l.line(1, 1), "reading the file", "UTF-16", "UTF-8", "save the file again as UTF-8")
		return false
	}
	lines := strings.Split(strings.TrimPrefix(string(data), "\uFEFF"), "\n")
	l.lines = lines
	for i, s := range lines {
		col := 0
		for j, r := range s {
			col++
			if r == utf8.RuneError {
				if _, size := utf8.DecodeRuneInString(s[j:]); size == 1 {
					l.problem(l.line(i+1, col), "reading the file", fmt.Sprintf("the byte 0x%02x, which is not UTF-8", s[j]), "UTF-8", "save the file again as UTF-8")
					return false
				}
			}
			if r < ' ' && r != '\t' && (r != '\r' || j != len(s)-1) || r == 0x7f || r == 0xFEFF {
				l.problem(l.line(i+1, col), "reading the file", fmt.Sprintf("the control character %U", r), "text", "")
				return false
			}
		}
	}
	return true
}
