package cfn

import (
	"fmt"
)

// A Resource is one of the structs of package res, or a Custom.
type Resource interface {
	CFNType() string
}

// A Custom is a custom resource: a function of ours does what CloudFormation lacks.
type Custom struct {
	Kind         string // Custom::DatabaseUsers
	ServiceToken String
	Properties   M // beside the token
}

// CFNType is the kind.
func (c *Custom) CFNType() string { return c.Kind }

// A Handle is a resource of a stack.
type Handle struct {
	stack *Stack
	entry *entry
}

type entry struct {
	id         string
	resource   Resource
	wall       string
	dependsOn  []*Handle
	deletion   string
	update     string
	condition  string
	metadata   M
	attributes M // UpdatePolicy, CreationPolicy
}

// Ref is the resource's Ref: for most types its name or id.
func (h *Handle) Ref() String {
	return stringOf(func(b *builder) any {
		b.sameStack(h)
		return call("Ref", h.entry.id)
	})
}

// Att is an attribute of the resource (Fn::GetAtt). One that its type does not
// have fails synthesis.
func (h *Handle) Att(name string) String {
	return stringOf(func(b *builder) any {
		b.sameStack(h)
		return call("Fn::GetAtt", []any{h.entry.id, name})
	})
}

// ID is the resource's logical id.
func (h *Handle) ID() string { return h.entry.id }

// Resource is what was added; it may be changed until the templates are made.
func (h *Handle) Resource() Resource { return h.entry.resource }

// An Option is an attribute of a resource beside its properties.
type Option func(*entry)

// DependsOn makes the resource after others that its properties do not mention.
func DependsOn(list ...*Handle) Option {
	return func(e *entry) { e.dependsOn = append(e.dependsOn, list...) }
}

// Retain keeps the real thing when the resource leaves the template or is replaced.
func Retain() Option { return func(e *entry) { e.deletion, e.update = "Retain", "Retain" } }

// RetainUnlessNew is Retain, except that a creation that fails is taken back.
func RetainUnlessNew() Option {
	return func(e *entry) { e.deletion, e.update = "RetainExceptOnCreate", "Retain" }
}

// Snapshot takes a snapshot before the resource is deleted or replaced.
func Snapshot() Option { return func(e *entry) { e.deletion, e.update = "Snapshot", "Snapshot" } }

// Delete says that the resource holds nothing to keep.
func Delete() Option { return func(e *entry) { e.deletion, e.update = "Delete", "Delete" } }

// When makes the resource only under a condition of its stack.
func When(condition string) Option { return func(e *entry) { e.condition = condition } }

// Metadata adds to the resource's metadata.
func Metadata(key string, v any) Option {
	return func(e *entry) {
		if e.metadata == nil {
			e.metadata = M{}
		}
		e.metadata[key] = v
	}
}

// Attribute sets CreationPolicy or UpdatePolicy.
func Attribute(name string, v any) Option {
	return func(e *entry) {
		if e.attributes == nil {
			e.attributes = M{}
		}
		e.attributes[name] = v
	}
}

// A Parameter is a value that the one who deploys gives.
type Parameter struct {
	Type          string // String, Number, AWS::SSM::Parameter::Value<AWS::EC2::Image::Id> …
	Default       any    // nil: none; it must be given
	Description   string
	AllowedValues []string
	Pattern       string
	Constraint    string // what a value that does not match is told it should be
	NoEcho        bool

	// Lookup says how the one who deploys finds the value in the account:
	// "prefix-list:<name>", "hosted-zone:<domain>". In the name, {region} stands for
	// the stack's Region. It is kept in the template's metadata.
	Lookup string
}

type parameter struct {
	id string
	Parameter
}

type output struct {
	id, description, export string
	value                   String
}

type condition struct {
	name string
	expr any
}

// A Stack is one template.
type Stack struct {
	Name        string // of the stack: wp-dev-network-stack
	Role        string // network
	Region      string // us-east-1
	Description string

	set        *Stacks
	resources  []*entry
	parameters []*parameter
	outputs    []*output
	conditions []*condition
	inputs     []Input
	named      map[string]string // every id that is taken → what took it
}

// isLogicalID says whether CloudFormation takes a name: 1 to 255 letters and digits.
func isLogicalID(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= 255
}

func (st *Stack) name(id, what string) bool {
	if !isLogicalID(id) {
		st.set.errorf("%s: %s %q: got a name CloudFormation refuses, want letters and digits", st.Name, what, id)
		return false
	}
	if old, ok := st.named[id]; ok {
		st.set.errorf("%s: the name %s is taken twice: by %s, and by %s", st.Name, id, old, what)
		return false
	}
	st.named[id] = what
	return true
}

// Add puts a resource into the stack. A name that is taken, or not one, is an
// error of Templates.
func (st *Stack) Add(id string, r Resource, opts ...Option) *Handle {
	e := &entry{id: id, resource: r, wall: st.set.wall}
	for _, o := range opts {
		o(e)
	}
	if st.name(id, "a resource of "+owner(st.set.wall)) {
		st.resources = append(st.resources, e)
	}
	return &Handle{st, e}
}

func owner(wall string) string {
	if wall == "" {
		return "nobody in particular"
	}
	return wall
}

// Param adds a parameter, once; a second one of that name is the first.
func (st *Stack) Param(id string, p Parameter) String {
	for _, old := range st.parameters {
		if old.id == id {
			if fmt.Sprint(old.Parameter) != fmt.Sprint(p) {
				st.set.errorf("%s: the parameter %s is added twice, with two meanings", st.Name, id)
			}
			return RefTo(id)
		}
	}
	if st.name(id, "a parameter of "+owner(st.set.wall)) {
		st.parameters = append(st.parameters, &parameter{id, p})
	}
	return RefTo(id)
}

// RefTo is the Ref of a resource or parameter that is yet to be added, by its
// logical id. One that is never added fails synthesis.
func RefTo(id string) String { return stringOf(func(*builder) any { return call("Ref", id) }) }

// Output adds an output: something that a person or a program outside wants to know.
func (st *Stack) Output(id, description string, v String) {
	if st.name("Output"+id, "an output of "+owner(st.set.wall)) {
		st.outputs = append(st.outputs, &output{id: id, description: description, value: v})
	}
}

// Condition adds a condition, for When and If.
func (st *Stack) Condition(name string, expr any) {
	if st.name("Condition"+name, "a condition of "+owner(st.set.wall)) {
		st.conditions = append(st.conditions, &condition{name, expr})
	}
}

// If is one value or another, as a condition of the stack says. A zero Value is
// none (AWS::NoValue).
func If[T string | int | float64 | bool](condition string, yes, no Value[T]) Value[T] {
	side := func(b *builder, v Value[T]) any {
		if !v.set {
			return call("Ref", "AWS::NoValue")
		}
		return v.tree(b)
	}
	return Value[T]{set: true, expr: func(b *builder) any {
		return call("Fn::If", []any{condition, side(b, yes), side(b, no)})
	}}
}

// Find returns the resource of that logical id, or nil.
func (st *Stack) Find(id string) *Handle {
	for _, e := range st.resources {
		if e.id == id {
			return &Handle{st, e}
		}
	}
	return nil
}

// Handles lists the stack's resources in the order in which they were added.
func (st *Stack) Handles() []*Handle {
	out := make([]*Handle, len(st.resources))
	for i, e := range st.resources {
		out[i] = &Handle{st, e}
	}
	return out
}
