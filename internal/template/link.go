package template

import "strings"

// Our own templates say in their metadata, under Ringwall, what deploy does: which
// Region a stack is made in, which parameters it fills from outputs of stacks in
// other Regions (Inputs), and which it looks up in the account (Lookups).

func (t *Template) own() *Node { return t.Metadata.Get("Ringwall") }

// linked is the value of a parameter that deploy fills; nil for any other.
func (w *World) linked(st *Stack, p *Parameter) *Value {
	if in := st.Template.own().Get("Inputs").Get(p.Name); in != nil {
		from, _ := in.Get("Stack").text()
		name, _ := in.Get("Output").text()
		other := w.byStack[from]
		if other == nil || other.Template.Outputs.Get(name) == nil {
			return nil
		}
		return w.output(p.Pos, other, name)
	}
	if s, ok := st.Template.own().Get("Lookups").Get(p.Name).text(); ok {
		kind, name, _ := strings.Cut(s, ":")
		if region, known := st.region(); known {
			name = strings.ReplaceAll(name, "{region}", region)
		}
		v := text(p.Pos, Lookup(kind, name))
		w.decideNote("parameter " + p.Name + " of " + st.Name + " is what deploy finds in the account: " + s)
		return v
	}
	return nil
}

// Lookup is the text that stands for what deploy finds in the account under a
// name: Lookup("prefix-list", "com.amazonaws.global.cloudfront.origin-facing").
func Lookup(kind, name string) string { return token(kindPseudo, kind+":"+name) }

func (st *Stack) region() (string, bool) {
	for s := st; s != nil; s = s.parent {
		if r, ok := s.Template.own().Get("Region").text(); ok {
			return r, true
		}
	}
	return "", false
}

// Region is the Region of a stack as a text; a token where it is not known.
func (w *World) Region(st *Stack) string {
	if r, ok := st.region(); ok {
		return r
	}
	if w.Set.Region != "" {
		return w.Set.Region
	}
	return Pseudo("Region")
}

func (w *World) decideNote(s string) {
	for _, n := range w.Notes {
		if n == s {
			return
		}
	}
	w.Notes = append(w.Notes, s)
}

// StoreName is the name in a parameter store that a property's parameter has by
// default; "" when the property is no reference to such a parameter.
func (r *Resource) StoreName(path ...string) string {
	n := r.Options.Get("Properties")
	for _, p := range path {
		n = n.Get(p)
	}
	name, arg, ok := n.only()
	if s, isText := n.text(); isText {
		s, found := strings.CutPrefix(s, "{{resolve:ssm:")
		if found {
			return strings.TrimSuffix(s, "}}")
		}
		return ""
	}
	if !ok || name != "Ref" {
		return ""
	}
	p := r.Stack.Template.params[arg.Text]
	if p == nil || !strings.HasPrefix(p.Type, "AWS::SSM::Parameter::Value") {
		return ""
	}
	s, _ := p.Default.text()
	return s
}

// An Echo is a property that is a reference to a parameter which CloudFormation shows.
type Echo struct {
	Property, Parameter string
	Pos                 Pos
}

// Echoed finds the properties of these names, at any depth, that are references to a
// parameter without NoEcho. A parameter of a store's secret is none.
func (r *Resource) Echoed(named func(string) bool) []Echo {
	var out []Echo
	var find func(n *Node)
	find = func(n *Node) {
		if n == nil {
			return
		}
		for _, f := range n.Fields {
			name, arg, ok := f.Value.only()
			s, _ := arg.text()
			if p := r.Stack.Template.params[s]; ok && name == "Ref" && p != nil && !p.NoEcho && named(f.Name) && p.Type == "String" {
				out = append(out, Echo{f.Name, s, f.Value.Pos})
			}
			find(f.Value)
		}
		for _, x := range n.Items {
			find(x)
		}
	}
	find(r.Options.Get("Properties"))
	return out
}
