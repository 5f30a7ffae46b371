package template

import (
	"regexp"
	"slices"
	"strings"
)

// wantCondition says when a resource or an output rests on a condition that is
// not there.
func (t *Template) wantCondition(n *Node, errs *Errors) {
	s, ok := n.text()
	if !ok || t.Conditions.Get(s) != nil || t.loops() {
		return
	}
	errs.add(n.Pos, "condition %q is not among the Conditions", s)
}

// checkConditions finds conditions that are missing, and circles of them.
func (t *Template) checkConditions(errs *Errors) {
	uses := map[string][]string{}
	var find func(n *Node, in string)
	find = func(n *Node, in string) {
		if n == nil {
			return
		}
		if name, arg, ok := n.only(); ok {
			if name == "Condition" && in != "" {
				t.wantCondition(arg, errs)
				uses[in] = append(uses[in], arg.Text)
				return
			}
			if name == "Fn::If" && arg.Shape == List && len(arg.Items) > 0 {
				t.wantCondition(arg.Items[0], errs)
			}
		}
		for _, x := range n.Items {
			find(x, in)
		}
		for _, f := range n.Fields {
			find(f.Value, in)
		}
	}
	if t.Conditions != nil {
		for _, f := range t.Conditions.Fields {
			uses[f.Name] = append(uses[f.Name], []string{}...)
			find(f.Value, f.Name)
		}
	}
	t.walk(t.Conditions, func(pos Pos, name string, attribute bool) {
		switch {
		case t.ids[name]:
			errs.add(pos, "a condition refers to the resource %q; it can refer to parameters only", name)
		default:
			t.dangling(pos, name, attribute, errs)
		}
	})
	find(t.Resources, "")
	find(t.Outputs, "")
	for _, c := range circles(uses) {
		errs.add(t.Conditions.Get(c[0]).Pos, "these conditions rest on each other in a circle: %s", strings.Join(append(c, c[0]), " → "))
	}
}

// compared are the values that conditions compare a parameter with.
func (t *Template) compared(param string) []string {
	var out []string
	var find func(n *Node)
	find = func(n *Node) {
		if n == nil {
			return
		}
		if name, arg, ok := n.only(); ok && name == "Fn::Equals" && arg.Shape == List && len(arg.Items) == 2 {
			for i, x := range arg.Items {
				fn, ref, ok := x.only()
				s, isText := ref.text()
				other, lit := arg.Items[1-i].text()
				if ok && fn == "Ref" && isText && s == param && lit && !slices.Contains(out, other) {
					out = append(out, other)
				}
			}
		}
		for _, x := range n.Items {
			find(x)
		}
		for _, f := range n.Fields {
			find(f.Value)
		}
	}
	find(t.Conditions)
	return out
}

// permits says whether the parameter's pattern allows a value.
func (p *Parameter) permits(s string) bool {
	if p.Pattern == "" {
		return true
	}
	re, err := regexp.Compile(`^(?:` + p.Pattern + `)$`)
	return err != nil || re.MatchString(s)
}

// A subPart is a piece of a Fn::Sub text: literal, or a name in ${}.
type subPart struct{ literal, name string }

func subParts(s string) []subPart {
	var out []subPart
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			break
		}
		j := strings.IndexByte(s[i:], '}')
		if j < 0 {
			break
		}
		name := strings.TrimSpace(s[i+2 : i+j])
		if strings.HasPrefix(name, "!") { // ${!x} is the text ${x}
			out = append(out, subPart{literal: s[:i] + "${" + name[1:] + "}"})
		} else {
			out = append(out, subPart{literal: s[:i]}, subPart{name: name})
		}
		s = s[i+j+1:]
	}
	return append(out, subPart{literal: s})
}
