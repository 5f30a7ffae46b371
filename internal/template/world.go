package template

import (
	"fmt"
	"slices"
	"strings"
)

// A World is a Set with every parameter and condition decided in one way. Where
// a parameter may have any value, its value is unknown.
type World struct {
	Set       *Set
	Stacks    []*Stack
	Resources []*Resource // in the files' order; those whose condition is false are not there
	// Default: the parameters have their default values, and nothing else had to
	// be decided.
	Default bool
	// Holes are parts of the templates that only CloudFormation sees: what a macro
	// makes of them, stacks whose template is elsewhere. With one, nothing can be
	// said to be absent.
	Holes []string
	// Notes are what the world takes for granted.
	Notes []string
	// Decided is what was chosen, in words: "Env=prod". Empty: nothing had to be.
	Decided []string

	byKey    map[string]*Resource
	byType   map[string][]*Resource
	byStack  map[string]*Stack
	exports  map[string]export
	defaults bool
	fixed    map[string]int
	asked    []question
	errs     Errors
	busy     map[string]bool
	memo     map[string]*Value
	imports  map[string][]string // by stack: the stacks whose exports it takes
}

// A Stack is one use of a template.
type Stack struct {
	Name     string // its file's name; parent.ID for a stack within a stack
	Template *Template
	parent   *Stack
	given    *Node // parameters from the parent
}

// A Resource is one thing that a stack makes.
type Resource struct {
	Stack *Stack
	ID    string
	Type  string
	Pos   Pos
	Props *Value
	Init  *Value // what cfn-init is told, of the resource's metadata
	// Authentication are the credentials that cfn-init has, of the metadata too.
	Authentication *Value
	Options        *Node // the resource as it was written, with its DeletionPolicy and the like
}

// Key is the resource's name in a World: stack/ID.
func (r *Resource) Key() string { return r.Stack.Name + "/" + r.ID }

// Get returns a property by its path of names; nil when it is absent.
func (r *Resource) Get(path ...string) *Value {
	if r == nil {
		return nil
	}
	return r.Props.Get(path...)
}

// Place is where a property was written, or else where the resource was.
func (r *Resource) Place(path ...string) Pos {
	for n := len(path); n > 0; n-- {
		if v := r.Get(path[:n]...); v != nil {
			return v.Place(r.Pos)
		}
	}
	return r.Pos
}

// Option is a text beside the properties, such as the DeletionPolicy.
func (r *Resource) Option(name string) string {
	s, _ := r.Options.Get(name).text()
	return s
}

type export struct {
	stack *Stack
	value *Node
	pos   Pos
}

type question struct {
	key string
	n   int
}

// maxWorlds bounds how many ways of deciding are tried.
const maxWorlds = 64

// Worlds returns the ways in which a Set may come out: first with the
// parameters' default values, then with any permitted ones. all is false when
// there are more ways than could be tried.
func (s *Set) Worlds() (worlds []*World, all bool) {
	first := s.first
	if first == nil || s.Region != "" {
		first = s.world(true, nil)
	}
	first.Default = len(first.asked) == 0
	worlds = []*World{first}
	free := s.world(false, nil)
	if !free.differs() {
		return worlds, true
	}
	queue := []*World{free}
	for len(queue) > 0 {
		w := queue[0]
		queue = queue[1:]
		worlds = append(worlds, w)
		for i := len(w.fixed); i < len(w.asked); i++ {
			for k := 1; k < w.asked[i].n; k++ {
				fixed := map[string]int{}
				for _, q := range w.asked[:i] {
					fixed[q.key] = w.fixed[q.key]
				}
				fixed[w.asked[i].key] = k
				if len(worlds)+len(queue) >= maxWorlds {
					return append(worlds, queue...), false
				}
				queue = append(queue, s.world(false, fixed))
			}
		}
	}
	return worlds, true
}

// Union is a world with everything that any of several worlds of a Set makes, each
// resource as the first of them that has it says. No worlds: nil.
func Union(worlds []*World) *World {
	if len(worlds) < 2 {
		return slices.Concat(worlds, []*World{nil})[0]
	}
	u := *worlds[0]
	u.Resources, u.byKey, u.byType = nil, map[string]*Resource{}, map[string][]*Resource{}
	for _, w := range worlds {
		for _, r := range w.Resources {
			if u.byKey[r.Key()] == nil {
				u.Resources = append(u.Resources, r)
				u.byKey[r.Key()] = r
				u.byType[r.Type] = append(u.byType[r.Type], r)
			}
		}
	}
	return &u
}

// differs says whether any parameter or open question bears on the world.
func (w *World) differs() bool {
	if len(w.asked) > 0 {
		return true
	}
	for _, st := range w.Stacks {
		if st.parent == nil && len(st.Template.Parameters) > 0 {
			return true
		}
	}
	return false
}

// OfType returns the resources of some types, in the files' order.
func (w *World) OfType(types ...string) []*Resource {
	if len(types) == 1 {
		return w.byType[types[0]]
	}
	var out []*Resource
	for _, t := range types {
		out = append(out, w.byType[t]...)
	}
	return out
}

// Resource returns the resource of a key, or nil.
func (w *World) Resource(key string) *Resource { return w.byKey[key] }

// Of returns the resource that a value is a plain reference to, or nil.
func (w *World) Of(v *Value) *Resource {
	key, _, ok := v.Key()
	if !ok {
		return nil
	}
	return w.byKey[key]
}

// pick decides a question: the same way each time it is asked in one world.
func (w *World) pick(key string, n int) int {
	k, ok := w.fixed[key]
	if !slices.ContainsFunc(w.asked, func(q question) bool { return q.key == key }) {
		w.asked = append(w.asked, question{key, n})
		if !ok {
			if w.fixed == nil {
				w.fixed = map[string]int{}
			}
		}
	}
	return k
}

func (s *Set) world(defaults bool, fixed map[string]int) *World {
	w := &World{Set: s, byKey: map[string]*Resource{}, byType: map[string][]*Resource{}, byStack: map[string]*Stack{},
		exports: map[string]export{}, defaults: defaults, fixed: fixed, busy: map[string]bool{}, memo: map[string]*Value{}, imports: map[string][]string{}}
	for _, t := range s.Templates {
		if !s.nested[t.File] {
			w.addStack(&Stack{Name: t.Name, Template: t})
		}
	}
	for _, st := range w.Stacks {
		w.readExports(st)
	}
	for _, st := range w.Stacks {
		w.readResources(st)
	}
	for _, st := range w.Stacks {
		w.readOutputs(st)
	}
	for _, c := range circles(w.imports) {
		if slices.ContainsFunc(w.errs, func(e *Error) bool { return strings.Contains(e.Error(), "rests on itself") }) {
			break // told already
		}
		w.errs.add(Pos{File: w.byStack[c[0]].Template.File}, "these stacks import from each other in a circle, so that none of them can be the first: %s", strings.Join(append(c, c[0]), " → "))
	}
	return w
}

// maxStacks bounds stacks within stacks.
const maxStacks = 200

func (w *World) addStack(st *Stack) {
	if len(w.Stacks) >= maxStacks {
		w.errs.add(Pos{File: st.Template.File}, "more than %d stacks within stacks", maxStacks)
		return
	}
	w.Stacks = append(w.Stacks, st)
	w.byStack[st.Name] = st
	if st.Template.macro != "" {
		w.Holes = append(w.Holes, "macro "+st.Template.macro+" rewrites "+st.Template.File+" when it is deployed")
	}
	for _, f := range st.Template.Resources.Fields {
		typ, _ := f.Value.Get("Type").text()
		switch {
		case strings.HasPrefix(f.Name, "Fn::"):
			w.Holes = append(w.Holes, f.Pos.String()+": "+f.Name+" makes resources when it is deployed")
		case strings.HasSuffix(typ, "::MODULE"):
			w.Holes = append(w.Holes, f.Pos.String()+": module "+f.Name+" makes resources when it is deployed")
		case typ == "AWS::CloudFormation::Stack" && w.Set.child(st.Template, f.Value) == nil:
			w.Holes = append(w.Holes, f.Pos.String()+": the template of the stack "+f.Name+" is not here")
		}
		if c := w.Set.child(st.Template, f.Value); c != nil {
			w.addStack(&Stack{Name: st.Name + "." + f.Name, Template: c, parent: st, given: f.Value.Get("Properties").Get("Parameters")})
		}
	}
}

func (w *World) readExports(st *Stack) {
	if st.Template.Outputs == nil {
		return
	}
	for _, f := range st.Template.Outputs.Fields {
		name := f.Value.Get("Export").Get("Name")
		if name == nil || !w.condition(st, f.Value.Get("Condition")) {
			continue
		}
		v := w.eval(st, name)
		if v.String() == "" {
			continue
		}
		if first, twice := w.exports[v.Text]; twice && first.value != f.Value.Get("Value") {
			w.errs.add(f.Pos, "export %q is there twice; first at %s", v.Show(), first.pos)
		}
		w.exports[v.Text] = export{st, f.Value.Get("Value"), f.Pos}
	}
}

func (w *World) readResources(st *Stack) {
	for _, f := range st.Template.Resources.Fields {
		if f.Value.Shape != Map {
			continue
		}
		typ, _ := f.Value.Get("Type").text()
		if typ == "" || !w.condition(st, f.Value.Get("Condition")) {
			continue
		}
		r := &Resource{Stack: st, ID: f.Name, Type: typ, Pos: f.Pos, Options: f.Value}
		if p := f.Value.Get("Properties"); p != nil {
			r.Props = w.eval(st, p)
		}
		meta := f.Value.Get("Metadata")
		if m := meta.Get("AWS::CloudFormation::Init"); m != nil {
			r.Init = w.eval(st, m)
		}
		if m := meta.Get("AWS::CloudFormation::Authentication"); m != nil {
			r.Authentication = w.eval(st, m)
		}
		w.Resources = append(w.Resources, r)
		w.byKey[r.Key()] = r
		w.byType[typ] = append(w.byType[typ], r)
	}
}

// readOutputs resolves what the outputs need, so that an import that nobody
// exports is found there too.
func (w *World) readOutputs(st *Stack) {
	if st.Template.Outputs == nil {
		return
	}
	for _, f := range st.Template.Outputs.Fields {
		if w.condition(st, f.Value.Get("Condition")) {
			w.eval(st, f.Value.Get("Value"))
		}
	}
}

// condition says whether a named condition holds here; an absent one does.
func (w *World) condition(st *Stack, name *Node) bool {
	s, ok := name.text()
	if !ok {
		return true
	}
	return w.truth(st, st.Template.Conditions.Get(s), st.Name+"?"+s)
}

// truth decides a condition. One that cannot be told is decided both ways, each
// in a world of its own.
func (w *World) truth(st *Stack, n *Node, key string) bool {
	open := func() bool {
		yes := w.pick(key, 2) == 1
		w.decide(fmt.Sprintf("condition %s is %t", key[strings.LastIndexAny(key, "?/")+1:], yes))
		return yes
	}
	name, arg, ok := n.only()
	if !ok {
		return open()
	}
	switch name {
	case "Condition":
		s, _ := arg.text()
		c := st.Template.Conditions.Get(s)
		if c == nil || w.busy["condition "+st.Name+s] {
			return open()
		}
		w.busy["condition "+st.Name+s] = true
		defer delete(w.busy, "condition "+st.Name+s)
		return w.truth(st, c, st.Name+"?"+s)
	case "Fn::Not":
		if len(arg.Items) == 1 {
			return !w.truth(st, arg.Items[0], key+"/not")
		}
	case "Fn::And", "Fn::Or":
		all := name == "Fn::And"
		for i, x := range arg.Items {
			if w.truth(st, x, fmt.Sprintf("%s/%d", key, i)) != all {
				return !all
			}
		}
		return all
	case "Fn::Equals":
		if len(arg.Items) == 2 {
			a, b := w.eval(st, arg.Items[0]), w.eval(st, arg.Items[1])
			if eq, ok := equal(a, b); ok {
				return eq
			}
		}
	}
	return open()
}

// equal compares two values; ok is false when that cannot be told.
func equal(a, b *Value) (eq, ok bool) {
	if a.Unknown() || b.Unknown() {
		// A parameter's value that differs from all that conditions compare it
		// with is no literal.
		if other(a) && literal(b) || other(b) && literal(a) {
			return false, true
		}
		return false, false
	}
	x, y := a.String(), b.String()
	if x == y {
		return true, true
	}
	return false, !strings.Contains(x, open) && !strings.Contains(y, open)
}

func literal(v *Value) bool { _, ok := v.Literal(); return ok }

// other says whether the value is the one that stands for all that no condition
// mentions.
func other(v *Value) bool { return v != nil && strings.HasPrefix(v.why, otherValue) }

func (w *World) decide(what string) {
	if !slices.Contains(w.Decided, what) {
		w.Decided = append(w.Decided, what)
	}
}
