package cfn

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/internal/schema"
)

// Limits of CloudFormation on one template
// (docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html).
const (
	maxBody       = 1 << 20 // bytes
	maxResources  = 500
	maxParameters = 200
	maxOutputs    = 200
)

// A checker holds a stack's tree against the resource schema.
type checker struct {
	stack                         *Stack
	params, conditions, resources object
	at                            string              // resource, condition or output
	path                          []string            // within it
	edges                         map[string][]string // resource → those it refers to
	from                          string
	size                          int // bytes of the template
}

func (c *checker) errorf(format string, args ...any) {
	at := strings.Join(append([]string{c.at}, c.path...), ".")
	c.stack.set.errorf("%s: %s: %s", c.stack.Name, at, fmt.Sprintf(format, args...))
}

func (c *checker) run(body object) {
	c.edges = map[string][]string{}
	for _, m := range c.resources {
		r := m.value.(object)
		c.at, c.from = m.key, m.key
		t, _ := r.get("Type")
		name := t.(string)
		props, _ := r.get("Properties")
		o, _ := props.(object)
		if deps, ok := r.get("DependsOn"); ok {
			for _, d := range deps.([]any) {
				c.refer(d.(string))
			}
		}
		if cond, ok := r.get("Condition"); ok {
			c.condition(cond)
		}
		for _, key := range []string{"Metadata", "CreationPolicy", "UpdatePolicy"} {
			if v, ok := r.get(key); ok {
				c.any(v)
			}
		}
		if strings.HasPrefix(name, "Custom::") {
			c.any(o)
			continue
		}
		def := schema.Lookup(name)
		if def == nil {
			c.errorf("the type %s is not in the schema; internal/schema/gen/types.txt lists those that are", name)
			continue
		}
		c.object(o, def.Properties)
	}
	c.from = ""
	for _, part := range []string{"Conditions", "Outputs"} {
		o, _ := body.get(part)
		list, _ := o.(object)
		for _, m := range list {
			c.at = m.key
			c.any(m.value)
		}
	}
	c.at = "the template"
	c.circles()
	outputs, _ := body.get("Outputs")
	outs, _ := outputs.(object)
	for _, l := range []struct {
		what      string
		got, most int
	}{
		{"resources", len(c.resources), maxResources}, {"parameters", len(c.params), maxParameters},
		{"outputs", len(outs), maxOutputs}, {"bytes", c.size, maxBody},
	} {
		if l.got > l.most {
			c.errorf("got %d %s, want at most %d", l.got, l.what, l.most)
		}
	}
}

// inside runs f for a part of the present place.
func (c *checker) inside(part string, f func()) {
	c.path = append(c.path, part)
	f()
	c.path = c.path[:len(c.path)-1]
}

func (c *checker) object(o object, props map[string]*schema.Property) {
	for _, m := range o {
		p := props[m.key]
		if p == nil {
			hint := ""
			if n := schema.Nearest(m.key, props); n != "" {
				hint = "; did you mean " + n + "?"
			}
			c.errorf("got the property %s, which its type does not have%s", m.key, hint)
			continue
		}
		c.inside(m.key, func() { c.value(m.value, p.Type, p) })
	}
	for name, p := range props {
		if p.Required {
			if _, ok := o.get(name); !ok {
				c.errorf("got no %s, which its type requires", name)
			}
		}
	}
}

// value holds a tree against a type; p is the property it belongs to.
func (c *checker) value(v any, t *schema.Type, p *schema.Property) {
	if o, ok := v.(object); ok {
		if fn, arg, ok := intrinsic(o); ok {
			c.function(fn, arg, t, p)
			return
		}
	}
	wrong := func() { c.errorf("got %s, want %s", describe(v), t.Kind) }
	switch t.Kind {
	case schema.JSON:
		c.any(v)
	case schema.String:
		s, ok := v.(string)
		switch {
		case !ok:
			wrong()
		case t.Enum != nil && !slices.Contains(t.Enum, s):
			c.errorf("got %q, want one of %s", s, strings.Join(t.Enum, ", "))
		}
	case schema.Int:
		if _, ok := v.(int); !ok {
			wrong()
		}
	case schema.Number:
		switch v.(type) {
		case int, float64:
		default:
			wrong()
		}
	case schema.Bool:
		if _, ok := v.(bool); !ok {
			wrong()
		}
	case schema.Tag:
		o, ok := v.(object)
		if !ok {
			wrong()
			return
		}
		c.object(o, tagProperties)
	case schema.List:
		list, ok := v.([]any)
		if !ok {
			wrong()
			return
		}
		for i, x := range list {
			c.inside(strconv.Itoa(i), func() { c.value(x, t.Elem, p) })
		}
	case schema.Map:
		o, ok := v.(object)
		if !ok {
			wrong()
			return
		}
		for _, m := range o {
			c.inside(m.key, func() { c.value(m.value, t.Elem, p) })
		}
	case schema.Object:
		o, ok := v.(object)
		if !ok {
			wrong()
			return
		}
		c.object(o, t.Properties)
	case schema.Union:
		c.union(v, t, p)
	}
}

// union accepts what one of the kinds accepts.
func (c *checker) union(v any, t *schema.Type, p *schema.Property) {
	errs := c.stack.set.errs
	for _, u := range t.Of {
		c.stack.set.errs = nil
		c.value(v, u, p)
		if len(c.stack.set.errs) == 0 {
			c.stack.set.errs = errs
			return
		}
	}
	c.stack.set.errs = errs
	c.errorf("got %s, which is none of the kinds it may be", describe(v))
}

var tagProperties = map[string]*schema.Property{
	"Key":   {Name: "Key", Type: &schema.Type{Kind: schema.String}, Required: true},
	"Value": {Name: "Value", Type: &schema.Type{Kind: schema.String}, Required: true},
}

func describe(v any) string {
	switch v := v.(type) {
	case object:
		return "an object"
	case []any:
		return "a list"
	case string:
		return fmt.Sprintf("%q", short(v))
	}
	return fmt.Sprint(v)
}

func intrinsic(o object) (fn string, arg any, ok bool) {
	if len(o) == 1 && (o[0].key == "Ref" || strings.HasPrefix(o[0].key, "Fn::")) {
		return o[0].key, o[0].value, true
	}
	return "", nil, false
}

// function checks an intrinsic where a value of type t is wanted.
func (c *checker) function(fn string, arg any, t *schema.Type, p *schema.Property) {
	switch fn {
	case "Fn::If":
		list, _ := arg.([]any)
		if len(list) != 3 {
			c.errorf("Fn::If: got %s, want a condition and two values", describe(arg))
			return
		}
		c.condition(list[0])
		c.value(list[1], t, p)
		c.value(list[2], t, p)
		return
	case "Ref", "Fn::GetAtt":
		if t.Kind == schema.Object {
			c.errorf("got %s, want %s", fn, t.Kind)
			return
		}
		c.target(arg, p)
	}
	c.any(object{{fn, arg}})
}

// target checks that a reference goes to a kind of resource that the property
// takes. The specification's list of kinds is not complete where there are many, and
// an attribute with a dot belongs to something within the resource.
func (c *checker) target(arg any, p *schema.Property) {
	if p == nil || len(p.RefersTo) == 0 || len(p.RefersTo) > 4 {
		return
	}
	name, _ := arg.(string)
	if list, ok := arg.([]any); ok && len(list) == 2 {
		name, _ = list[0].(string)
		if att, _ := list[1].(string); strings.Contains(att, ".") {
			return
		}
	}
	r, ok := c.resources.get(name)
	if !ok {
		return
	}
	kind, _ := r.(object).get("Type")
	if s := kind.(string); !slices.Contains(p.RefersTo, s) && !strings.HasPrefix(s, "Custom::") && !c.alsoTakes(s, p) {
		c.errorf("got a reference to %s, a %s, want one of %s", name, s, strings.Join(p.RefersTo, ", "))
	}
}

// alsoTakes knows what the specification's list of references leaves out.
func (c *checker) alsoTakes(kind string, p *schema.Property) bool {
	return slices.ContainsFunc(p.RefersTo, func(want string) bool { return slices.Contains(also[want], kind) })
}

var also = map[string][]string{
	"AWS::KMS::Key": {"AWS::KMS::Alias"},
}

// any checks the references within a tree of any shape.
func (c *checker) any(v any) {
	switch v := v.(type) {
	case []any:
		for i, x := range v {
			c.inside(strconv.Itoa(i), func() { c.any(x) })
		}
	case object:
		if fn, arg, ok := intrinsic(v); ok {
			c.reference(fn, arg)
			return
		}
		for _, m := range v {
			c.inside(m.key, func() { c.any(m.value) })
		}
	}
}

// placeholders are the names in ${} of a Fn::Sub; ${!x} is text.
func placeholders(format string) []string {
	var out []string
	for {
		_, rest, ok := strings.Cut(format, "${")
		name, after, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			return out
		}
		if name != "" && name[0] != '!' {
			out = append(out, name)
		}
		format = after
	}
}

func (c *checker) reference(fn string, arg any) {
	switch fn {
	case "Ref":
		name, _ := arg.(string)
		c.refer(name)
		return
	case "Fn::GetAtt":
		if list, ok := arg.([]any); ok && len(list) == 2 {
			name, _ := list[0].(string)
			att, _ := list[1].(string)
			c.attribute(name, att)
		}
		return
	case "Fn::If":
		if list, ok := arg.([]any); ok && len(list) > 0 {
			c.condition(list[0])
			c.any(list[1:])
			return
		}
	case "Fn::Sub":
		format, given := "", object{}
		switch a := arg.(type) {
		case string:
			format = a
		case []any:
			format, _ = a[0].(string)
			given, _ = a[1].(object)
		}
		for _, m := range placeholders(format) {
			if _, ok := given.get(m); ok {
				continue
			}
			if name, att, ok := strings.Cut(m, "."); ok {
				c.attribute(name, att)
			} else {
				c.refer(m)
			}
		}
	}
	c.any(arg)
}

func (c *checker) refer(name string) {
	if strings.HasPrefix(name, "AWS::") {
		return
	}
	if _, ok := c.params.get(name); ok {
		return
	}
	if _, ok := c.resources.get(name); !ok {
		c.errorf("it refers to %q, which is neither a resource nor a parameter of this stack", name)
		return
	}
	c.edges[c.from] = append(c.edges[c.from], name)
}

func (c *checker) attribute(name, att string) {
	r, ok := c.resources.get(name)
	if !ok {
		c.errorf("it asks for %s of %q, which is no resource of this stack", att, name)
		return
	}
	c.edges[c.from] = append(c.edges[c.from], name)
	kind, _ := r.(object).get("Type")
	def := schema.Lookup(kind.(string))
	if def == nil {
		return // a custom resource returns what it likes; an unknown type is reported on its own
	}
	if _, ok := def.Attributes[att]; !ok {
		c.errorf("it asks for %s of %s, an attribute that %s does not have", att, name, kind)
	}
}

func (c *checker) condition(v any) {
	name, _ := v.(string)
	if _, ok := c.conditions.get(name); !ok {
		c.errorf("it names the condition %q, which this stack does not have", name)
	}
}

// circles reports resources that wait for each other.
func (c *checker) circles() {
	state := map[string]int{}
	var visit func(id string, path []string)
	visit = func(id string, path []string) {
		if state[id] == 2 {
			return
		}
		path = append(path, id)
		if state[id] == 1 {
			c.errorf("resources that wait for each other in a circle: %s", strings.Join(path[slices.Index(path, id):], " → "))
			return
		}
		state[id] = 1
		for _, to := range c.edges[id] {
			visit(to, path)
		}
		state[id] = 2
	}
	for _, m := range c.resources {
		visit(m.key, nil)
	}
}
