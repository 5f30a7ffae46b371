// Package cfn writes CloudFormation templates: a set of stacks, the resources in
// them as typed structs (package res), references between the stacks, and a writer
// that gives the same bytes for the same set. A template that breaks the resource
// schema cannot be written. It does not read templates.
//
// A wall adds resources and says what it has to offer to others:
//
//	st := stacks.Stack("network")
//	vpc := st.Add("Vpc", &res.EC2VPC{CidrBlock: cfn.S("10.0.0.0/16")}, cfn.Retain())
//	stacks.Provide(plan.RefVPC, st, vpc.Ref())
//
// Another one, in any stack and in any order, uses it:
//
//	st.Add("Group", &res.EC2SecurityGroup{VpcId: stacks.Use(plan.RefVPC, st)})
//
// Errors are collected, and returned by Templates, all at once.
package cfn

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Name says what a thing is called and which wall owns it. plan.Ref is one.
type Name interface {
	Parts() (owner, name string)
}

type key struct{ owner, name string }

func (k key) String() string { return k.owner + "/" + k.name }

// id is the key as a logical id: VpcPrivateSubnet1.
func (k key) id() string { return strings.ToUpper(k.owner[:1]) + k.owner[1:] + k.name }

// Stacks is a set of stacks that are deployed together.
type Stacks struct {
	Home string // the Region of stacks that name none
	Tags []Tag  // put on every resource that takes tags

	list      []*Stack
	provided  map[key]*provision
	uses      []*use
	notes     []Note
	errs      []error
	wall      string
	templates []*Template
	scratch   []byte // of the template that is being built
	done      bool
}

type provision struct {
	stack *Stack
	value String
	wall  string
}

type use struct {
	key   key
	stack *Stack
	wall  string
	value String // once resolved
}

// An Input is a parameter of a stack whose value is an output of a stack in
// another Region. The one who deploys carries it over.
type Input struct {
	Parameter string
	Stack     string // name of the stack that has the output
	Region    string // of that stack
	Output    string
}

// New returns an empty set whose stacks are in the Region home.
func New(home string) *Stacks {
	return &Stacks{Home: home, provided: map[key]*provision{}}
}

// Declare adds a stack. The Region "" is the set's own.
func (s *Stacks) Declare(role, name, region, description string) *Stack {
	st := &Stack{Name: name, Role: role, Region: cmp.Or(region, s.Home), Description: description, set: s, named: map[string]string{}}
	s.list = append(s.list, st)
	return st
}

// Stack returns the stack of that role. One that nobody declared is an error of
// Templates, and the stack that is returned is never written.
func (s *Stacks) Stack(role string) *Stack {
	for _, st := range s.list {
		if st.Role == role {
			return st
		}
	}
	s.errorf("there is no stack %q in this set", role)
	return &Stack{Name: role, Role: role, set: s, named: map[string]string{}}
}

// All lists the stacks in the order in which they were declared.
func (s *Stacks) All() []*Stack { return slices.Clone(s.list) }

// As names the wall whose resources are added from now on: it is in messages, and a
// tag of each resource.
func (s *Stacks) As(wall string) { s.wall = wall }

// Note tells the user something.
func (s *Stacks) Note(n Note) { s.notes = append(s.notes, n) }

// Notes lists what was noted, in order.
func (s *Stacks) Notes() []Note { return slices.Clone(s.notes) }

func (s *Stacks) errorf(format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf(format, args...))
}

// Provide offers a value of a stack under a name. A name is provided once, by the
// wall that owns it.
func (s *Stacks) Provide(n Name, st *Stack, v String) {
	k := keyOf(n)
	if old, ok := s.provided[k]; ok {
		s.errorf("%s is provided twice: by %s and by %s", k, owner(old.wall), owner(s.wall))
		return
	}
	if s.wall != "" && s.wall != k.owner {
		s.errorf("%s is provided by %s: want its owner %s", k, s.wall, k.owner)
	}
	s.provided[k] = &provision{st, v, s.wall}
}

// Use is the value of a name, for a stack. It may come before Provide does. In the
// stack of its origin it is the value itself, in another stack of that Region an
// import, and in another Region a parameter that deployment fills.
func (s *Stacks) Use(n Name, in *Stack) String {
	k := keyOf(n)
	i := slices.IndexFunc(s.uses, func(u *use) bool { return u.key == k && u.stack == in })
	if i < 0 {
		i = len(s.uses)
		s.uses = append(s.uses, &use{key: k, stack: in, wall: s.wall})
	}
	u := s.uses[i]
	return stringOf(func(b *builder) any {
		if b.stack != in {
			b.errorf("%s was taken for the stack %s and is used in %s: want Use for each stack", k, in.Name, b.stack.Name)
			return ""
		}
		return u.value.tree(b)
	})
}

// Provided lists what has been provided, as owner/name, sorted.
func (s *Stacks) Provided() []string {
	var out []string
	for k := range s.provided {
		out = append(out, k.String())
	}
	slices.Sort(out)
	return out
}

func keyOf(n Name) key {
	owner, name := n.Parts()
	return key{owner, name}
}

// resolve gives every use its value.
func (s *Stacks) resolve() {
	slices.SortStableFunc(s.uses, func(a, b *use) int {
		return cmp.Or(cmp.Compare(a.stack.Name, b.stack.Name), cmp.Compare(a.key.String(), b.key.String()))
	})
	for _, u := range s.uses {
		p, ok := s.provided[u.key]
		switch {
		case !ok:
			s.errorf("%s needs %s in the stack %s, and nobody provides it: its owner is perimeter/%s", owner(u.wall), u.key, u.stack.Name, u.key.owner)
			u.value = S("missing")
		case p.stack == u.stack:
			u.value = p.value
		case p.stack.Region == u.stack.Region:
			name := p.stack.Name + ":" + u.key.id()
			p.stack.export(u.key, name, p.value)
			u.value = stringOf(func(*builder) any { return call("Fn::ImportValue", name) })
		default:
			p.stack.export(u.key, "", p.value)
			u.value = u.stack.Param(u.key.id(), Parameter{Type: "String", Description: fmt.Sprintf("output %s of the stack %s in %s", u.key.id(), p.stack.Name, p.stack.Region)})
			u.stack.inputs = append(u.stack.inputs, Input{u.key.id(), p.stack.Name, p.stack.Region, u.key.id()})
		}
	}
}

// export makes a value an output, once; name is the export's, empty for none.
func (st *Stack) export(k key, name string, v String) {
	for _, o := range st.outputs {
		if o.id == k.id() {
			o.export = cmp.Or(o.export, name)
			return
		}
	}
	st.outputs = append(st.outputs, &output{id: k.id(), description: k.String(), export: name, value: v})
}

// order sorts the stacks so that each comes after those whose values it uses.
func (s *Stacks) order() []*Stack {
	needs := map[*Stack][]*use{}
	for _, u := range s.uses {
		if p := s.provided[u.key]; p != nil && p.stack != u.stack {
			needs[u.stack] = append(needs[u.stack], u)
		}
	}
	var out []*Stack
	state := map[*Stack]int{} // 1: being visited, 2: done
	var visit func(st *Stack, path []string)
	visit = func(st *Stack, path []string) {
		switch state[st] {
		case 2:
			return
		case 1:
			s.errorf("the stacks need each other in a circle: %s", strings.Join(path, "; "))
			return
		}
		state[st] = 1
		for _, u := range needs[st] {
			from := s.provided[u.key].stack
			visit(from, append(slices.Clone(path), fmt.Sprintf("%s uses %s of %s", st.Name, u.key, from.Name)))
		}
		state[st] = 2
		out = append(out, st)
	}
	for _, st := range s.list {
		visit(st, nil)
	}
	return out
}

// Templates gives the set's templates in the order in which they can be deployed.
// Stacks without a resource have none. After it the set is not to be changed; what
// it returns is shared. The error joins everything that is wrong.
func (s *Stacks) Templates() ([]*Template, error) {
	if s.done {
		return s.templates, errors.Join(s.errs...)
	}
	s.done = true
	s.resolve()
	for _, st := range s.order() {
		if len(st.resources) > 0 {
			s.templates = append(s.templates, s.build(st))
		}
	}
	if len(s.errs) > 0 {
		s.templates = nil
	}
	return s.templates, errors.Join(s.errs...)
}
