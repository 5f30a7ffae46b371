package fakecfn

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A template is what the server reads of one.
type template struct {
	Parameters map[string]struct {
		Type          string
		Default       any
		AllowedValues []any
		NoEcho        bool
	}
	Conditions map[string]any
	Mappings   map[string]map[string]map[string]any
	Resources  map[string]resourceDecl
	Outputs    map[string]struct {
		Value     any
		Condition string
		Export    struct{ Name any }
	}
}

type resourceDecl struct {
	Type                string
	Properties          map[string]any
	DependsOn           any
	DeletionPolicy      string
	UpdateReplacePolicy string
	Condition           string
}

func parseTemplate(b []byte) (*template, *Error) {
	t := &template{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(t); err != nil {
		return nil, invalid("Template format error: %v", err)
	}
	if len(t.Resources) == 0 {
		return nil, invalid("Template format error: At least one Resources member must be defined.")
	}
	for name, r := range t.Resources {
		if r.Type == "" {
			return nil, invalid("Template format error: [/Resources/%s] Every Resources object must contain a Type member.", name)
		}
		for _, d := range t.depends(name) {
			if _, ok := t.Resources[d]; !ok {
				return nil, invalid("Template format error: Unresolved resource dependencies [%s] in the Resources block of the template", d)
			}
		}
	}
	if _, err := t.order(); err != nil {
		return nil, err
	}
	return t, nil
}

var subVar = regexp.MustCompile(`\$\{([^!}][^}]*)\}`)

// refs collects the logical ids that a value refers to.
func (t *template) refs(v any, add func(string)) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 1 {
			if s, ok := v["Ref"].(string); ok {
				add(s)
				return
			}
			if g, ok := v["Fn::GetAtt"]; ok {
				add(getAttTarget(g))
				return
			}
			if s, ok := v["Fn::Sub"]; ok {
				text, vars := subArgs(s)
				for _, m := range subVar.FindAllStringSubmatch(text, -1) {
					name, _, _ := strings.Cut(m[1], ".")
					if _, ok := vars[name]; !ok {
						add(name)
					}
				}
				t.refs(map[string]any(vars), add)
				return
			}
		}
		for _, e := range v {
			t.refs(e, add)
		}
	case []any:
		for _, e := range v {
			t.refs(e, add)
		}
	}
}

func getAttTarget(g any) string {
	switch g := g.(type) {
	case string:
		s, _, _ := strings.Cut(g, ".")
		return s
	case []any:
		if len(g) > 0 {
			s, _ := g[0].(string)
			return s
		}
	}
	return ""
}

func subArgs(s any) (string, map[string]any) {
	switch s := s.(type) {
	case string:
		return s, nil
	case []any:
		if len(s) == 2 {
			text, _ := s[0].(string)
			vars, _ := s[1].(map[string]any)
			return text, vars
		}
	}
	return "", nil
}

// depends lists the resources that one waits for.
func (t *template) depends(name string) []string {
	r := t.Resources[name]
	found := map[string]bool{}
	switch d := r.DependsOn.(type) {
	case string:
		found[d] = true
	case []any:
		for _, e := range d {
			found[fmt.Sprint(e)] = true
		}
	}
	t.refs(map[string]any(r.Properties), func(s string) {
		if _, ok := t.Parameters[s]; !ok && !strings.HasPrefix(s, "AWS::") {
			found[s] = true
		}
	})
	return slices.Sorted(maps.Keys(found))
}

// order returns the resources in waves: each needs only those of earlier ones.
func (t *template) order() ([][]string, *Error) {
	done := map[string]bool{}
	var waves [][]string
	left := slices.Sorted(maps.Keys(t.Resources))
	for len(left) > 0 {
		var wave, rest []string
		for _, n := range left {
			if slices.ContainsFunc(t.depends(n), func(d string) bool { return !done[d] }) {
				rest = append(rest, n)
			} else {
				wave = append(wave, n)
			}
		}
		if len(wave) == 0 {
			return nil, invalid("Template error: Circular dependency between resources: %v", rest)
		}
		for _, n := range wave {
			done[n] = true
		}
		waves, left = append(waves, wave), rest
	}
	return waves, nil
}

// A scope is what the intrinsic functions of one stack see.
type scope struct {
	t       *template
	stack   *stack
	params  map[string]string
	exports func(name string) (string, bool)
	ids     map[string]string // physical ids by logical id
}

type noValue struct{}

func (sc *scope) condition(name string) (bool, error) {
	if name == "" {
		return true, nil
	}
	c, ok := sc.t.Conditions[name]
	if !ok {
		return false, said("Unresolved condition dependency %s", name)
	}
	v, err := sc.eval(c)
	b, _ := v.(bool)
	return b, err
}

// eval resolves every intrinsic function of a value.
func (sc *scope) eval(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 1 {
			for k, arg := range v {
				if k == "Ref" || k == "Condition" || strings.HasPrefix(k, "Fn::") {
					return sc.call(k, arg)
				}
			}
		}
		out := map[string]any{}
		for k, e := range v {
			r, err := sc.eval(e)
			if err != nil {
				return nil, err
			}
			if _, drop := r.(noValue); !drop {
				out[k] = r
			}
		}
		return out, nil
	case []any:
		out := []any{}
		for _, e := range v {
			r, err := sc.eval(e)
			if err != nil {
				return nil, err
			}
			if _, drop := r.(noValue); !drop {
				out = append(out, r)
			}
		}
		return out, nil
	case json.Number:
		return v.String(), nil
	}
	return v, nil
}

func (sc *scope) call(fn string, arg any) (any, error) {
	switch fn {
	case "Ref":
		return sc.ref(arg.(string))
	case "Fn::GetAtt":
		return sc.getAtt(arg)
	case "Fn::Sub":
		return sc.sub(arg)
	case "Fn::If":
		a := arg.([]any)
		ok, err := sc.condition(a[0].(string))
		if err != nil {
			return nil, err
		}
		if ok {
			return sc.eval(a[1])
		}
		return sc.eval(a[2])
	case "Condition":
		return sc.condition(arg.(string))
	case "Fn::GetAZs":
		return []any{sc.stack.region + "a", sc.stack.region + "b", sc.stack.region + "c"}, nil
	}
	v, err := sc.eval(arg)
	if err != nil {
		return nil, err
	}
	if fn == "Fn::ImportValue" {
		if out, ok := sc.exports(text(v)); ok {
			return out, nil
		}
		return nil, said("No export named %s found.", text(v))
	}
	if fn == "Fn::Base64" {
		return text(v), nil
	}
	a, _ := v.([]any)
	switch fn {
	case "Fn::Join":
		var parts []string
		for _, e := range a[1].([]any) {
			parts = append(parts, text(e))
		}
		return strings.Join(parts, text(a[0])), nil
	case "Fn::Select":
		n, _ := strconv.Atoi(text(a[0]))
		return a[1].([]any)[n], nil
	case "Fn::Split":
		var out []any
		for _, p := range strings.Split(text(a[1]), text(a[0])) {
			out = append(out, p)
		}
		return out, nil
	case "Fn::FindInMap":
		return sc.eval(sc.t.Mappings[text(a[0])][text(a[1])][text(a[2])])
	case "Fn::Equals":
		return reflect.DeepEqual(text(a[0]), text(a[1])), nil
	case "Fn::Not":
		return a[0] != true, nil
	case "Fn::And":
		return !slices.ContainsFunc(a, func(e any) bool { return e != true }), nil
	case "Fn::Or":
		return slices.Contains(a, any(true)), nil
	case "Fn::Cidr":
		n, _ := strconv.Atoi(text(a[1]))
		var out []any
		for i := range n {
			out = append(out, fmt.Sprintf("%s#%d", text(a[0]), i))
		}
		return out, nil
	}
	return nil, said("Template error: %s is not supported by this server", fn)
}

func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}

func (sc *scope) ref(name string) (any, error) {
	switch name {
	case "AWS::Region":
		return sc.stack.region, nil
	case "AWS::AccountId":
		return Account, nil
	case "AWS::Partition":
		return "aws", nil
	case "AWS::URLSuffix":
		return "amazonaws.com", nil
	case "AWS::StackName":
		return sc.stack.name, nil
	case "AWS::StackId":
		return sc.stack.arn, nil
	case "AWS::NoValue":
		return noValue{}, nil
	}
	if v, ok := sc.params[name]; ok {
		if p := sc.t.Parameters[name]; strings.HasPrefix(p.Type, "List<") || p.Type == "CommaDelimitedList" {
			var out []any
			for _, e := range strings.Split(v, ",") {
				out = append(out, e)
			}
			return out, nil
		}
		return v, nil
	}
	if id, ok := sc.ids[name]; ok {
		return id, nil
	}
	if _, ok := sc.t.Resources[name]; ok {
		return "{{new:" + name + "}}", nil
	}
	return nil, said("Template format error: Unresolved resource dependencies [%s]", name)
}

func (sc *scope) getAtt(arg any) (any, error) {
	name := getAttTarget(arg)
	attr := ""
	if a, ok := arg.([]any); ok && len(a) > 1 {
		attr = text(a[1])
	} else {
		_, attr, _ = strings.Cut(text(arg), ".")
	}
	id, err := sc.ref(name)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(attr, "Arn") {
		return fmt.Sprintf("arn:aws:fake:%s:%s:%s", sc.stack.region, Account, id), nil
	}
	return fmt.Sprintf("%v.%s", id, attr), nil
}

func (sc *scope) sub(arg any) (any, error) {
	s, vars := subArgs(arg)
	var fail error
	out := subVar.ReplaceAllStringFunc(s, func(m string) string {
		name := m[2 : len(m)-1]
		var v any
		var err error
		if e, ok := vars[name]; ok {
			v, err = sc.eval(e)
		} else if strings.Contains(name, ".") {
			v, err = sc.getAtt(name)
		} else {
			v, err = sc.ref(name)
		}
		if err != nil {
			fail = err
		}
		return text(v)
	})
	return strings.ReplaceAll(out, "${!", "${"), fail
}
