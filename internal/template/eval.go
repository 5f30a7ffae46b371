package template

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// otherValue begins the reason of a parameter's value that no condition mentions.
const otherValue = "parameter "

// eval resolves a node in a stack. The result of a map or list has its parts
// resolved; AWS::NoValue takes a part away.
func (w *World) eval(st *Stack, n *Node) *Value {
	if n == nil {
		return nil
	}
	switch n.Shape {
	case Null:
		return &Value{Shape: Null, Pos: n.Pos}
	case Bool, Number, String:
		v := &Value{Shape: n.Shape, Text: n.Text, Pos: n.Pos}
		if n.Shape == String {
			v.Text = dynamic(n.Text)
		}
		return v
	case List:
		v := &Value{Shape: List, Pos: n.Pos, Items: make([]*Value, 0, len(n.Items))}
		for _, x := range n.Items {
			if e := w.eval(st, x); e != nil {
				v.Items = append(v.Items, e)
			}
		}
		return v
	}
	if name, arg, ok := n.only(); ok && (name == "Ref" || strings.HasPrefix(name, "Fn::")) {
		v := w.call(st, n, name, arg)
		if v != nil && v.Pos.IsZero() {
			v.Pos = n.Pos
		}
		return v
	}
	v := &Value{Shape: Map, Pos: n.Pos, Fields: make([]Entry, 0, len(n.Fields))}
	for _, f := range n.Fields {
		if strings.HasPrefix(f.Name, "Fn::Transform") || strings.HasPrefix(f.Name, "Fn::ForEach") {
			return unknown(f.Pos, f.Name+" is run by CloudFormation")
		}
		if e := w.eval(st, f.Value); e != nil {
			v.Fields = append(v.Fields, Entry{f.Name, e, f.Pos})
		}
	}
	return v
}

// dynamic marks {{resolve:ssm:…}} as unknown. A secret's value stays as it is
// written: two equal references are one value.
func dynamic(s string) string {
	if !strings.Contains(s, "{{resolve:ssm:") {
		return s
	}
	return token(kindUnknown, "it is read from a parameter store when the stack is made")
}

func (w *World) call(st *Stack, n *Node, name string, arg *Node) *Value {
	bad := func(want string) *Value {
		w.errs.add(n.Pos, "%s: want %s", name, want)
		return unknown(n.Pos, name+" is written wrongly")
	}
	if inner, _, ok := arg.only(); ok && inner == "Fn::Transform" {
		return w.call(st, arg, inner, nil)
	}
	args := func(least, most int) ([]*Node, bool) {
		return arg.Items, arg.Shape == List && len(arg.Items) >= least && len(arg.Items) <= most
	}
	switch name {
	case "Ref":
		s, ok := arg.text()
		if !ok {
			return bad("the name of a parameter or a resource")
		}
		return w.ref(st, n.Pos, s)
	case "Fn::GetAtt":
		id, attr, ok := getAtt(arg)
		if !ok || attr == "" {
			return bad("a resource and its attribute, as Resource.Attribute")
		}
		return w.attribute(st, n.Pos, id, attr)
	case "Fn::Sub":
		return w.sub(st, n, arg)
	case "Fn::If":
		a, ok := args(3, 3)
		if !ok {
			return bad("a condition's name and two values")
		}
		if w.condition(st, a[0]) {
			return w.eval(st, a[1])
		}
		return w.eval(st, a[2])
	case "Fn::Join":
		a, ok := args(2, 2)
		if !ok {
			return bad("a separator and a list")
		}
		sep, list := w.eval(st, a[0]), w.eval(st, a[1])
		if list.Unknown() && list.Shape != List {
			return unknown(n.Pos, list.Why())
		}
		var parts []string
		for _, x := range list.List() {
			parts = append(parts, x.embed())
		}
		return text(n.Pos, strings.Join(parts, sep.String()))
	case "Fn::Select":
		a, ok := args(2, 2)
		if !ok {
			return bad("an index and a list")
		}
		return w.selected(st, n, a)
	case "Fn::Split":
		a, ok := args(2, 2)
		if !ok {
			return bad("a separator and a text")
		}
		sep, s := w.eval(st, a[0]), w.eval(st, a[1])
		if s.Unknown() || sep.String() == "" {
			return unknown(n.Pos, s.Why())
		}
		v := &Value{Shape: List, Pos: n.Pos}
		for _, part := range splitText(s.String(), sep.String()) {
			v.Items = append(v.Items, text(n.Pos, part))
		}
		return v
	case "Fn::FindInMap":
		a, ok := args(3, 4)
		if !ok {
			return bad("a mapping's name and two keys")
		}
		return w.findInMap(st, n, a)
	case "Fn::ImportValue":
		return w.imported(st, n, arg)
	case "Fn::GetAZs":
		v := &Value{Shape: List, Pos: n.Pos}
		for i := range 6 {
			v.Items = append(v.Items, text(n.Pos, Pseudo("zone "+strconv.Itoa(i))))
		}
		return v
	case "Fn::Cidr":
		a, ok := args(2, 3)
		if !ok {
			return bad("a block, a count and the number of bits")
		}
		return w.cidr(st, n, a)
	case "Fn::Base64":
		v := w.eval(st, arg)
		if v == nil {
			return nil
		}
		// Nobody needs the encoded form; what is in the text is what matters.
		c := *v
		c.Pos = n.Pos
		return &c
	case "Fn::Length":
		v := w.eval(st, arg)
		if v.Unknown() {
			return unknown(n.Pos, v.Why())
		}
		return &Value{Shape: Number, Text: strconv.Itoa(len(v.List())), Pos: n.Pos}
	case "Fn::ToJsonString":
		v := w.eval(st, arg)
		if v != nil {
			c := *v
			return &c
		}
		return nil
	case "Fn::Transform":
		return unknown(n.Pos, "a macro decides it (Fn::Transform)")
	case "Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals":
		return &Value{Shape: Bool, Text: strconv.FormatBool(w.truth(st, n, n.Pos.String())), Pos: n.Pos}
	}
	return unknown(n.Pos, name+" is not known here")
}

// embed is a value as a part of a longer text.
func (v *Value) embed() string {
	if v == nil {
		return ""
	}
	if v.why != "" || v.Shape == List || v.Shape == Map {
		return token(kindUnknown, plain(v.Why()))
	}
	return v.Text
}

// splitText splits outside tokens.
func splitText(s, sep string) []string {
	var out []string
	from, inside := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == open[0]:
			inside = true
		case s[i] == closing[0]:
			inside = false
		case !inside && strings.HasPrefix(s[i:], sep):
			out = append(out, s[from:i])
			i += len(sep) - 1
			from = i + 1
		}
	}
	return append(out, s[from:])
}

func (w *World) ref(st *Stack, pos Pos, name string) *Value {
	switch name {
	case "AWS::NoValue":
		return nil
	case "AWS::Partition":
		return text(pos, "aws")
	case "AWS::URLSuffix":
		return text(pos, "amazonaws.com")
	case "AWS::StackName":
		return text(pos, st.Name)
	case "AWS::Region":
		return text(pos, w.Region(st))
	case "AWS::StackId": // templates take it apart: its last part is of the stack alone
		return text(pos, "arn:aws:cloudformation:"+w.Region(st)+":"+Pseudo("AccountId")+":stack/"+st.Name+"/"+Pseudo("StackId"))
	case "AWS::AccountId", "AWS::NotificationARNs":
		return text(pos, Pseudo(strings.TrimPrefix(name, "AWS::")))
	}
	if p := st.Template.params[name]; p != nil {
		v := w.param(st, p)
		if v == nil {
			return nil
		}
		c := *v
		if c.why == "" {
			c.Pos = pos
		}
		return &c
	}
	if st.Template.ids[name] {
		if !w.exists(st, name) {
			return unknown(pos, name+" is not made under these conditions")
		}
		return text(pos, Token(st.Name+"/"+name, ""))
	}
	return unknown(pos, name+" is made by a macro")
}

// exists says whether a resource's condition holds.
func (w *World) exists(st *Stack, id string) bool {
	return w.condition(st, st.Template.Resources.Get(id).Get("Condition"))
}

// param is a parameter's value in this world.
func (w *World) param(st *Stack, p *Parameter) *Value {
	key := st.Name + ":" + p.Name
	if v, ok := w.memo[key]; ok {
		return v
	}
	if w.busy[key] {
		return unknown(p.Pos, "parameter "+p.Name+" rests on itself")
	}
	w.busy[key] = true
	v := w.paramValue(st, p, key)
	delete(w.busy, key)
	w.memo[key] = v
	return v
}

func (w *World) paramValue(st *Stack, p *Parameter, key string) *Value {
	if st.parent != nil {
		if g := st.given.Get(p.Name); g != nil {
			return p.split(w.eval(st.parent, g))
		}
		if p.Default != nil {
			return p.split(w.eval(st.parent, p.Default))
		}
		return unknown(p.Pos, "parameter "+p.Name+" is not given by the stack above")
	}
	if v := w.linked(st, p); v != nil {
		return v
	}
	if strings.HasPrefix(p.Type, "AWS::SSM::Parameter::Value") {
		return unknown(p.Pos, "parameter "+p.Name+" is read from a parameter store when the stack is made")
	}
	if w.defaults && p.Default != nil {
		return p.split(w.eval(st, p.Default))
	}
	if len(p.Allowed) > 0 {
		if len(p.Allowed) > 8 && len(st.Template.compared(p.Name)) == 0 {
			return unknown(p.Pos, fmt.Sprintf("parameter %s has one of %d values", p.Name, len(p.Allowed)))
		}
		return p.split(w.choose(key, p, p.Allowed))
	}
	open := unknown(p.Pos, otherValue+p.Name+" may have any value")
	named := []*Node{nil}
	for _, s := range st.Template.compared(p.Name) {
		if p.permits(s) {
			named = append(named, &Node{Shape: String, Text: s, Pos: p.Pos})
		}
	}
	if len(named) == 1 {
		return open
	}
	if v := w.choose(key, p, named); v != nil {
		return p.split(v)
	}
	return open
}

func (w *World) choose(key string, p *Parameter, from []*Node) *Value {
	if len(from) == 1 {
		return &Value{Shape: String, Text: from[0].Text, Pos: p.Pos}
	}
	n := from[min(w.pick(key, len(from)), len(from)-1)]
	if n == nil {
		return nil
	}
	w.decide(p.Name + "=" + n.Text)
	return &Value{Shape: String, Text: n.Text, Pos: p.Pos}
}

// split makes a list of a parameter whose type is one.
func (p *Parameter) split(v *Value) *Value {
	if v == nil || v.Unknown() || v.Shape == List || p.Type != "CommaDelimitedList" && !strings.HasPrefix(p.Type, "List<") {
		return v
	}
	l := &Value{Shape: List, Pos: v.Pos}
	for _, s := range splitText(v.Text, ",") {
		l.Items = append(l.Items, text(v.Pos, strings.TrimSpace(s)))
	}
	return l
}

// mirrored are attributes that repeat a property.
var mirrored = map[string]map[string]string{
	"AWS::EC2::VPC":           {"CidrBlock": "CidrBlock"},
	"AWS::EC2::Subnet":        {"CidrBlock": "CidrBlock", "VpcId": "VpcId"},
	"AWS::EC2::SecurityGroup": {"VpcId": "VpcId"},
	"AWS::RDS::DBInstance":    {"Endpoint.Port": "Port"},
	"AWS::RDS::DBCluster":     {"Endpoint.Port": "Port"},
}

func (w *World) attribute(st *Stack, pos Pos, id, attr string) *Value {
	if strings.Contains(attr, "${") {
		attr = w.subText(st, pos, attr, nil)
	}
	res := st.Template.Resources.Get(id)
	typ, _ := res.Get("Type").text()
	if res != nil && !w.exists(st, id) {
		return unknown(pos, id+" is not made under these conditions")
	}
	switch {
	case custom(typ):
		return unknown(pos, "the custom resource "+id+" decides it when it runs")
	case typ == "AWS::CloudFormation::Macro", typ == "":
		return unknown(pos, id+" is made by a macro")
	case typ == "AWS::CloudFormation::Stack":
		name, ok := strings.CutPrefix(attr, "Outputs.")
		child := w.byStack[st.Name+"."+id]
		if !ok || child == nil || child.Template.Outputs == nil {
			return unknown(pos, "the template of the stack "+id+" is not here")
		}
		return w.output(pos, child, name)
	}
	if prop, ok := mirrored[typ][attr]; ok {
		key := "attribute " + st.Name + "/" + id + "." + attr
		if n := res.Get("Properties").Get(prop); n != nil && !w.busy[key] {
			w.busy[key] = true
			v := w.eval(st, n)
			delete(w.busy, key)
			if v != nil {
				return v
			}
		}
	}
	return text(pos, Token(st.Name+"/"+id, attr))
}

// output is the value of a stack's output.
func (w *World) output(pos Pos, st *Stack, name string) *Value {
	o := st.Template.Outputs.Get(name)
	if o == nil {
		w.errs.add(pos, "stack %s has no output %q", st.Name, name)
		return unknown(pos, "there is no such output")
	}
	key := "output " + st.Name + "." + name
	if w.busy[key] {
		w.errs.add(pos, "output %s of stack %s rests on itself through another stack", name, st.Name)
		return unknown(pos, "it rests on itself")
	}
	w.busy[key] = true
	defer delete(w.busy, key)
	return w.eval(st, o.Get("Value"))
}

// imported is what another stack exports. A name that is written out and that
// nobody exports is a mistake; one that is made from parameters may be meant for
// a stack that is not here, and its value is not known.
func (w *World) imported(st *Stack, n, arg *Node) *Value {
	name := w.eval(st, arg)
	s := name.String()
	x, ok := w.exports[s]
	_, written := arg.text()
	switch {
	case ok:
	case name.Unknown() || strings.Contains(s, open) || s == "":
		return unknown(n.Pos, "it is imported under a name that is not known: "+name.Show())
	case w.defaults && written:
		what := "is exported by none of these templates; give check the directory that has the exporting one"
		var names []string
		for e := range w.exports {
			names = append(names, e)
		}
		if near := nearest(s, names); near != "" {
			what += fmt.Sprintf(", or did you mean %q?", Show(near))
		}
		w.errs.add(n.Pos, "Fn::ImportValue: %q %s", s, what)
		fallthrough
	default:
		return unknown(n.Pos, "nobody here exports "+strconv.Quote(s))
	}
	if !slices.Contains(w.imports[st.Name], x.stack.Name) {
		w.imports[st.Name] = append(w.imports[st.Name], x.stack.Name)
	}
	key := "import " + s
	if w.busy[key] {
		w.errs.add(n.Pos, "the export %q rests on itself through another stack", s)
		return unknown(n.Pos, "it rests on itself")
	}
	w.busy[key] = true
	defer delete(w.busy, key)
	return w.eval(x.stack, x.value)
}

func (w *World) sub(st *Stack, n, arg *Node) *Value {
	vars := map[string]*Value{}
	format := arg
	if arg.Shape == List && len(arg.Items) == 2 {
		format = arg.Items[0]
		for _, f := range arg.Items[1].Fields {
			vars[f.Name] = w.eval(st, f.Value)
		}
	}
	s, ok := format.text()
	if !ok {
		w.errs.add(n.Pos, "Fn::Sub: want a text, or a text and a map")
		return unknown(n.Pos, "Fn::Sub is written wrongly")
	}
	return text(n.Pos, w.subText(st, n.Pos, s, vars))
}

func (w *World) subText(st *Stack, pos Pos, s string, vars map[string]*Value) string {
	var b strings.Builder
	for _, p := range subParts(s) {
		switch {
		case p.name == "":
			b.WriteString(p.literal)
		case vars[p.name] != nil:
			b.WriteString(vars[p.name].embed())
		default:
			if id, attr, dotted := strings.Cut(p.name, "."); dotted {
				b.WriteString(w.attribute(st, pos, id, attr).embed())
			} else {
				b.WriteString(w.ref(st, pos, p.name).embed())
			}
		}
	}
	return dynamic(b.String())
}
