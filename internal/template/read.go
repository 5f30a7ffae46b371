package template

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Template is one file, read and not yet resolved.
type Template struct {
	Name       string // the stack's name: the file's, without its endings
	File       string
	Root       *Node
	Parameters []*Parameter
	Mappings   *Node
	Conditions *Node
	Resources  *Node
	Outputs    *Node
	Metadata   *Node

	params map[string]*Parameter
	ids    map[string]bool
	macro  string // a template-wide Transform that only CloudFormation can run
}

// A Parameter is a template's input.
type Parameter struct {
	Name    string
	Type    string
	Default *Node   // nil: it has none
	Allowed []*Node // nil: any value of the type
	Pattern string
	NoEcho  bool
	Pos     Pos
}

// sections are what a template may have (UserGuide, template anatomy).
var sections = []string{"AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Mappings",
	"Conditions", "Transform", "Resources", "Outputs", "Rules", "Hooks", "Globals"}

// Parse reads one template. The error lists everything that is wrong with it.
func Parse(file string, b []byte) (*Template, error) {
	var errs Errors
	t := parse(file, b, &errs)
	return t, errs.err()
}

func parse(file string, b []byte, errs *Errors) *Template {
	t := &Template{File: file, Name: stackName(file)}
	here := Pos{File: file}
	switch {
	case len(b) > MaxSize:
		errs.tooLarge(file, int64(len(b)))
		return t
	case !utf8.Valid(b):
		errs.add(here, "reading the template: it is not UTF-8 text")
		return t
	}
	s := strings.TrimPrefix(string(b), "\uFEFF")
	if strings.HasPrefix(strings.TrimLeft(s, " \t\r\n"), "{") {
		t.Root = parseJSON(file, s, errs)
	} else {
		t.Root = parseYAML(file, s, errs)
	}
	if t.Root == nil {
		return t
	}
	if t.Root.Shape != Map {
		errs.add(t.Root.Pos, "reading the template: got %s, want a map with Resources", t.Root.Shape)
		return t
	}
	for _, f := range t.Root.Fields {
		if !slices.Contains(sections, f.Name) {
			errs.add(f.Pos, "%q is no section of a template; want one of %s", f.Name, strings.Join(sections, ", "))
		}
	}
	t.Mappings, t.Conditions = t.section("Mappings", errs), t.section("Conditions", errs)
	t.Resources, t.Outputs = t.section("Resources", errs), t.section("Outputs", errs)
	t.Metadata = t.section("Metadata", errs)
	t.readTransform()
	t.readParameters(errs)
	t.readResources(errs)
	return t
}

// stackName is the name that a file gives its stack: wp-dev-network-stack of
// wp-dev-network-stack.template.json.
func stackName(file string) string {
	name := filepath.Base(file)
	for {
		ext := filepath.Ext(name)
		if !slices.Contains(endings, strings.ToLower(ext)) || ext == name {
			return name
		}
		name = strings.TrimSuffix(name, ext)
	}
}

var endings = []string{".json", ".yaml", ".yml", ".template"}

func (t *Template) section(name string, errs *Errors) *Node {
	n := t.Root.Get(name)
	if n == nil || n.Shape == Null {
		return nil
	}
	if n.Shape != Map {
		errs.add(n.Pos, "%s: got %s, want a map", name, n.Shape)
		return nil
	}
	return n
}

// known transforms change no resource that a wall rests on.
var known = []string{"AWS::LanguageExtensions", "AWS::SecretsManager-2020-07-23", "AWS::SecretsManager-2024-09-16"}

func (t *Template) readTransform() {
	n := t.Root.Get("Transform")
	if n == nil {
		return
	}
	for _, x := range append([]*Node{n}, n.Items...) {
		if name, ok := x.text(); ok && !slices.Contains(known, name) {
			t.macro = name
		}
	}
}

func (t *Template) readParameters(errs *Errors) {
	t.params = map[string]*Parameter{}
	n := t.section("Parameters", errs)
	if n == nil {
		return
	}
	for _, f := range n.Fields {
		if f.Value.Shape != Map {
			errs.add(f.Value.Pos, "parameter %s: got %s, want a map with a Type", f.Name, f.Value.Shape)
			continue
		}
		p := &Parameter{Name: f.Name, Pos: f.Pos, Default: f.Value.Get("Default")}
		p.Type, _ = f.Value.Get("Type").text()
		if p.Type == "" {
			errs.add(f.Pos, "parameter %s has no Type", f.Name)
		}
		if a := f.Value.Get("AllowedValues"); a != nil {
			switch {
			case a.Shape != List:
				errs.add(a.Pos, "parameter %s: AllowedValues: got %s, want a list", f.Name, a.Shape)
			case len(a.Items) == 0:
				errs.add(a.Pos, "parameter %s: AllowedValues: got an empty list, so no value is allowed", f.Name)
			}
			p.Allowed = a.Items
		}
		p.Pattern, _ = f.Value.Get("AllowedPattern").text()
		if s, ok := f.Value.Get("NoEcho").text(); ok {
			p.NoEcho = strings.EqualFold(s, "true")
		}
		t.Parameters = append(t.Parameters, p)
		t.params[f.Name] = p
	}
}

// maxResources is how many resources a template may have (CloudFormation quotas).
const maxResources = 500

// options are what a resource may have beside its Type and Properties.
var options = []string{"Type", "Properties", "Condition", "DependsOn", "Metadata", "CreationPolicy",
	"UpdatePolicy", "UpdateReplacePolicy", "DeletionPolicy"}

// custom says that a Lambda function of the template's author makes such a
// resource. It alone may have a Version beside the options.
func custom(typ string) bool {
	return typ == "AWS::CloudFormation::CustomResource" || strings.HasPrefix(typ, "Custom::")
}

func (t *Template) readResources(errs *Errors) {
	t.ids = map[string]bool{}
	if t.Resources == nil {
		errs.add(t.Root.Pos, "the template has no Resources")
		return
	}
	if n := len(t.Resources.Fields); n > maxResources {
		errs.add(t.Resources.Pos, "the template has %d resources, and CloudFormation takes at most %d; split it into stacks", n, maxResources)
		t.Resources = nil
		return
	}
	for _, f := range t.Resources.Fields {
		t.ids[f.Name] = true
		if strings.HasPrefix(f.Name, "Fn::ForEach") || f.Name == "Fn::Transform" {
			continue
		}
		if f.Value.Shape != Map {
			errs.add(f.Value.Pos, "resource %s: got %s, want a map with a Type", f.Name, f.Value.Shape)
			continue
		}
		typ, ok := f.Value.Get("Type").text()
		if !ok || typ == "" {
			errs.add(f.Pos, "resource %s has no Type", f.Name)
		}
		for _, o := range f.Value.Fields {
			if t.macro == "" && !slices.Contains(options, o.Name) && (o.Name != "Version" || !custom(typ)) {
				errs.add(o.Pos, "resource %s: %q is no part of a resource; want one of %s", f.Name, o.Name, strings.Join(options, ", "))
			}
		}
		if p := f.Value.Get("Properties"); p != nil && p.Shape != Map && p.Shape != Null {
			errs.add(p.Pos, "resource %s: Properties: got %s, want a map", f.Name, p.Shape)
		}
	}
	t.checkReferences(errs)
}

// pseudo parameters (UserGuide, pseudo parameters reference).
var pseudo = []string{"AWS::AccountId", "AWS::NotificationARNs", "AWS::NoValue", "AWS::Partition", "AWS::Region",
	"AWS::StackId", "AWS::StackName", "AWS::URLSuffix"}

// checkReferences finds what is referred to and is not there, and circles.
func (t *Template) checkReferences(errs *Errors) {
	uses := map[string][]string{}
	for _, f := range t.Resources.Fields {
		if f.Value.Shape != Map {
			continue
		}
		t.walk(f.Value, func(pos Pos, name string, attribute bool) {
			if t.ids[name] {
				uses[f.Name] = append(uses[f.Name], name)
			} else {
				t.dangling(pos, name, attribute, errs)
			}
		})
		for _, d := range f.Value.Get("DependsOn").scalars() {
			if !t.ids[d.Text] && !t.loops() {
				errs.add(d.Pos, "resource %s: DependsOn names %q, which is no resource of this template", f.Name, d.Text)
			}
			uses[f.Name] = append(uses[f.Name], d.Text)
		}
		t.wantCondition(f.Value.Get("Condition"), errs)
	}
	if t.Outputs != nil {
		for _, f := range t.Outputs.Fields {
			t.walk(f.Value, func(pos Pos, name string, attribute bool) {
				if !t.ids[name] {
					t.dangling(pos, name, attribute, errs)
				}
			})
			t.wantCondition(f.Value.Get("Condition"), errs)
		}
	}
	for _, c := range circles(uses) {
		if t.macro != "" {
			break // it may undo them, as SAM does
		}
		errs.add(t.Resources.Get(c[0]).Pos, "these resources wait for each other in a circle: %s", strings.Join(append(c, c[0]), " → "))
	}
	t.checkConditions(errs)
}

// loops says whether resources or conditions are made in ways that only
// CloudFormation sees.
func (t *Template) loops() bool {
	each := func(f Field) bool { return strings.HasPrefix(f.Name, "Fn::ForEach") || f.Name == "Fn::Transform" }
	return t.macro != "" || slices.ContainsFunc(t.Resources.Fields, func(f Field) bool {
		typ, _ := f.Value.Get("Type").text()
		return each(f) || strings.HasSuffix(typ, "::MODULE")
	}) || t.Conditions != nil && slices.ContainsFunc(t.Conditions.Fields, each)
}

func (t *Template) dangling(pos Pos, name string, attribute bool, errs *Errors) {
	if !attribute && (slices.Contains(pseudo, name) || t.params[name] != nil) || t.loops() || name == "" {
		return
	}
	var near []string
	for id := range t.ids {
		near = append(near, id)
	}
	for p := range t.params {
		near = append(near, p)
	}
	what := "is neither a resource nor a parameter of this template"
	if attribute {
		what = "is no resource of this template"
	}
	if n := nearest(name, near); n != "" {
		what += fmt.Sprintf("; did you mean %q?", n)
	}
	errs.add(pos, "%q %s", name, what)
}

func (n *Node) scalars() []*Node {
	if n == nil {
		return nil
	}
	if n.Shape == List {
		return slices.DeleteFunc(slices.Clone(n.Items), func(x *Node) bool { _, ok := x.text(); return !ok })
	}
	if _, ok := n.text(); ok {
		return []*Node{n}
	}
	return nil
}

// walk calls use for every Ref, GetAtt and ${} of a Sub under n.
func (t *Template) walk(n *Node, use func(pos Pos, name string, attribute bool)) {
	if n == nil {
		return
	}
	if name, arg, ok := n.only(); ok {
		switch name {
		case "Ref":
			if s, ok := arg.text(); ok {
				use(arg.Pos, s, false)
				return
			}
		case "Fn::GetAtt":
			if id, _, ok := getAtt(arg); ok {
				use(arg.Pos, id, true)
				return
			}
		case "Fn::Sub":
			format, vars := arg, (*Node)(nil)
			if arg.Shape == List && len(arg.Items) == 2 {
				format, vars = arg.Items[0], arg.Items[1]
			}
			for _, p := range subParts(format.Text) {
				if p.name == "" || vars.Get(p.name) != nil {
					continue
				}
				id, attr, _ := strings.Cut(p.name, ".")
				use(format.Pos, id, attr != "")
			}
			t.walk(vars, use)
			return
		}
	}
	for _, x := range n.Items {
		t.walk(x, use)
	}
	for _, f := range n.Fields {
		t.walk(f.Value, use)
	}
}

// getAtt splits the argument of Fn::GetAtt: a text with a dot, or a list of two.
func getAtt(n *Node) (id, attribute string, ok bool) {
	if s, isText := n.text(); isText {
		return strings.Cut(s, ".")
	}
	if n == nil || n.Shape != List || len(n.Items) != 2 {
		return "", "", false
	}
	id, ok = n.Items[0].text()
	attribute, _ = n.Items[1].text()
	return id, attribute, ok
}

// circles returns one circle for each group of names that wait for each other.
func circles(uses map[string][]string) [][]string {
	const white, grey, black = 0, 1, 2
	color := map[string]int{}
	var path []string
	var found [][]string
	var visit func(string)
	visit = func(n string) {
		color[n] = grey
		path = append(path, n)
		for _, m := range uses[n] {
			switch color[m] {
			case white:
				if _, ok := uses[m]; ok {
					visit(m)
				}
			case grey:
				found = append(found, slices.Clone(path[slices.Index(path, m):]))
			}
		}
		path = path[:len(path)-1]
		color[n] = black
	}
	var names []string
	for n := range uses {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		if color[n] == white {
			visit(n)
		}
	}
	return found
}

// nearest returns the known name that differs in the fewest letters, when few do.
func nearest(name string, from []string) string {
	slices.Sort(from)
	best, least := "", len(name)/3+1
	for _, k := range from {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

func distance(a, b string) int {
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		cur := []int{i + 1}
		for j := range len(b) {
			d := prev[j]
			if a[i] != b[j] {
				d = 1 + min(d, prev[j+1], cur[j])
			}
			cur = append(cur, d)
		}
		prev = cur
	}
	return cmp.Or(prev[len(b)], 0)
}
