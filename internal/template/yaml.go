package template

import (
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ringwall/ringwall/internal/lazy"
)

// parseYAML returns nil when the text is no YAML; the reason is in errs.
func parseYAML(file, s string, errs *Errors) *Node {
	d := yaml.NewDecoder(strings.NewReader(s))
	var doc yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		errs.add(Pos{File: file}, "reading the template: the file is empty")
		return nil
	case err != nil:
		line, col := yamlPlace(s)
		errs.add(Pos{file, line, col}, "reading YAML: %s", yamlReason(err))
		return nil
	}
	var second yaml.Node
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		errs.add(Pos{file, max(1, second.Line), max(1, second.Column)}, "reading YAML: a second document starts here; want one template per file")
		return nil
	}
	r := yamlReader{file, errs}
	if len(doc.Content) != 1 {
		errs.add(Pos{File: file}, "reading the template: the file is empty")
		return nil
	}
	return r.node(doc.Content[0], 0)
}

// yamlAt is the place that the parser names.
var yamlAt = lazy.Regexp(`^yaml: line (\d+): `)

// yamlPlace finds where a text stops being YAML: the line behind the longest beginning
// that is. The parser itself names the line on which the broken list or map starts.
func yamlPlace(s string) (line, col int) {
	lines := strings.SplitAfter(s, "\n")
	ends := make([]int, len(lines)+1) // ends[n]: where n lines end
	for i, l := range lines {
		ends[i+1] = ends[i] + len(l)
	}
	budget := 32 * MaxSize // bytes that are read again for a better place
	ok := func(n int) bool {
		if budget -= ends[n]; budget < 0 {
			return false
		}
		var doc yaml.Node
		err := yaml.NewDecoder(strings.NewReader(s[:ends[n]])).Decode(&doc)
		return err == nil || errors.Is(err, io.EOF)
	}
	good := 0 // so many lines are YAML
	for range 20 {
		least, most := good, len(lines) // what is good, and what is not
		for most-least > 1 {
			n := (least + most) / 2
			switch { // most of what spans lines spans few
			case ok(n):
				least = n
			case n+1 < most && ok(n+1):
				least = n + 1
			case n+2 < most && ok(n+2):
				least = n + 2
			default:
				most = n
			}
		}
		good = least
		// A beginning may end within something that a later line ends.
		next := 0
		for n := good + 2; n < min(len(lines), good+100) && budget > 0; n++ {
			if ok(n) {
				next = n
				break
			}
		}
		if next == 0 {
			break
		}
		good = next
	}
	at := lines[min(good, len(lines)-1)]
	return good + 1, len(at) - len(strings.TrimLeft(at, " \t")) + 1
}

func yamlReason(err error) string {
	return strings.TrimPrefix(yamlAt().ReplaceAllString(err.Error(), ""), "yaml: ")
}

type yamlReader struct {
	file string
	errs *Errors
}

// short are the tags of intrinsic functions whose long form has no Fn:: before it.
var short = map[string]string{"!Ref": "Ref", "!Condition": "Condition"}

func (r *yamlReader) node(y *yaml.Node, depth int) *Node {
	n := &Node{Pos: Pos{r.file, max(1, y.Line), max(1, y.Column)}}
	if depth > maxDepth {
		r.errs.add(n.Pos, "reading YAML: nested deeper than %d", maxDepth)
		return n
	}
	tag := y.Tag
	if strings.HasPrefix(tag, "!") && !strings.HasPrefix(tag, "!!") && tag != "!" {
		name, ok := short[tag]
		if !ok {
			name = "Fn::" + tag[1:]
		}
		inner := *y
		inner.Tag = ""
		if y.Kind == yaml.ScalarNode {
			inner.Tag = "!!str"
		}
		n.Shape = Map
		n.Fields = []Field{{name, n.Pos, r.node(&inner, depth+1)}}
		return n
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.Shape = Map
		seen := map[string]int{}
		for i := 0; i+1 < len(y.Content); i += 2 {
			k, v := y.Content[i], y.Content[i+1]
			at := Pos{r.file, max(1, k.Line), max(1, k.Column)}
			if k.Kind != yaml.ScalarNode {
				r.errs.add(at, "reading YAML: a name must be a text")
				continue
			}
			if k.Tag == "!!merge" {
				r.errs.add(at, "reading YAML: CloudFormation has no merge keys (<<)")
				continue
			}
			if first, twice := seen[k.Value]; twice {
				r.errs.add(at, "%q is there twice; first at line %d", k.Value, first)
			}
			seen[k.Value] = k.Line
			n.Fields = append(n.Fields, Field{plain(k.Value), at, r.node(v, depth+1)})
		}
	case yaml.SequenceNode:
		n.Shape = List
		for _, v := range y.Content {
			n.Items = append(n.Items, r.node(v, depth+1))
		}
	case yaml.AliasNode:
		// CloudFormation has no aliases, and following them could make a small
		// file enormous (UserGuide, template formats).
		r.errs.add(n.Pos, "reading YAML: CloudFormation has no aliases (*%s); write the value out", y.Value)
	default:
		n.Text = plain(y.Value)
		switch y.ShortTag() {
		case "!!null":
			n.Shape = Null
		case "!!bool":
			n.Shape, n.Text = Bool, strings.ToLower(y.Value)
		case "!!int", "!!float":
			n.Shape = Number
		default:
			n.Shape = String
		}
	}
	return n
}
