package cfn

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/schema"
)

// An object is a JSON object whose order is kept.
type object []member

type member struct {
	key   string
	value any // nil, string, bool, int, float64, []any, object
}

func (o object) get(key string) (any, bool) {
	for _, m := range o {
		if m.key == key {
			return m.value, true
		}
	}
	return nil, false
}

// A builder turns the resources of one stack into a tree.
type builder struct {
	stack *Stack
	at    string // where in the stack, for messages
}

func (b *builder) errorf(format string, args ...any) {
	b.stack.set.errorf("%s: %s: %s", b.stack.Name, b.at, fmt.Sprintf(format, args...))
}

func (b *builder) sameStack(h *Handle) {
	if h.stack != b.stack {
		b.errorf("it refers to %s of the stack %s directly: want Provide there and Use here", h.entry.id, h.stack.Name)
	}
}

type treer interface{ tree(*builder) any }

// value gives the tree of any value that a property may hold; nil is absent.
func (b *builder) value(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case treer:
		return v.tree(b)
	case string, bool, int, float64:
		return v
	case Tag:
		return object{{"Key", v.Key.tree(b)}, {"Value", v.Value.tree(b)}}
	}
	return b.reflected(reflect.ValueOf(v))
}

func (b *builder) reflected(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		if v.Elem().Kind() == reflect.Struct && v.Kind() == reflect.Pointer {
			return b.fields(v.Elem())
		}
		return b.value(v.Elem().Interface())
	case reflect.Struct:
		return b.fields(v)
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.IsNil() {
			return nil
		}
		out := make([]any, 0, v.Len())
		for i := range v.Len() {
			if x := b.value(v.Index(i).Interface()); x != nil {
				out = append(out, x)
			}
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return nil
		}
		if v.Type().Key().Kind() != reflect.String {
			b.errorf("a map with keys of type %s, want strings", v.Type().Key())
			return nil
		}
		keys := v.MapKeys()
		slices.SortFunc(keys, func(x, y reflect.Value) int { return strings.Compare(x.String(), y.String()) })
		out := object{}
		for _, k := range keys {
			if x := b.value(v.MapIndex(k).Interface()); x != nil {
				out = append(out, member{k.String(), x})
			}
		}
		return out
	case reflect.String:
		return v.String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return int(v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return int(v.Uint())
	}
	b.errorf("a value of type %s, which no template can hold", v.Type())
	return nil
}

// fields gives the tree of a struct whose fields have cfn tags.
func (b *builder) fields(v reflect.Value) any {
	t := v.Type()
	out := object{}
	for i := range t.NumField() {
		name, ok := t.Field(i).Tag.Lookup("cfn")
		if !ok {
			b.errorf("a value of type %s, which no template can hold", t)
			return nil
		}
		if x := b.value(v.Field(i).Interface()); x != nil {
			out = append(out, member{name, x})
		}
	}
	return out
}

// resource is one entry of the template's Resources.
func (b *builder) resource(e *entry) object {
	b.at = e.id
	out := object{{"Type", e.resource.CFNType()}}
	add := func(k string, v any) { out = append(out, member{k, v}) }
	if e.condition != "" {
		add("Condition", e.condition)
	}
	if len(e.dependsOn) > 0 {
		var ids []any
		for _, h := range e.dependsOn {
			b.sameStack(h)
			ids = append(ids, h.entry.id)
		}
		slices.SortFunc(ids, func(x, y any) int { return strings.Compare(x.(string), y.(string)) })
		add("DependsOn", slices.Compact(ids))
	}
	if e.deletion != "" {
		add("DeletionPolicy", e.deletion)
		add("UpdateReplacePolicy", e.update)
	}
	if e.metadata != nil {
		add("Metadata", b.value(e.metadata))
	}
	attributes, _ := b.value(e.attributes).(object)
	for _, m := range attributes {
		add(m.key, m.value)
	}
	props := b.properties(e)
	if len(props) > 0 {
		add("Properties", props)
	}
	return out
}

func (b *builder) properties(e *entry) object {
	if c, ok := e.resource.(*Custom); ok {
		props, _ := b.value(c.Properties).(object)
		return append(object{{"ServiceToken", c.ServiceToken.tree(b)}}, props...)
	}
	props, _ := b.value(e.resource).(object)
	return b.tagged(e, props)
}

// untagged are types whose tags CloudFormation took up lately: not every Region
// has them yet.
var untagged = []string{"AWS::ElasticLoadBalancingV2::Listener", "AWS::ElasticLoadBalancingV2::ListenerRule"}

// tagged adds the set's tags where the type takes tags; a tag that the resource
// has itself is kept.
func (b *builder) tagged(e *entry, props object) object {
	r := schema.Lookup(e.resource.CFNType())
	if r == nil || r.TagName == "" || slices.Contains(untagged, r.Type) {
		return props
	}
	tags := slices.Clone(b.stack.set.Tags)
	if e.wall != "" && len(tags) > 0 {
		tags = append(tags, Tag{S("ringwall:perimeter"), S(e.wall)})
	}
	if len(tags) == 0 {
		return props
	}
	old, _ := props.get(r.TagName)
	var merged any
	if r.TagKind == "map" {
		m, _ := old.(object)
		m = slices.Clone(m)
		for _, t := range tags {
			k, _ := t.Key.Literal()
			if _, ok := m.get(k); !ok {
				m = append(m, member{k, t.Value.tree(b)})
			}
		}
		slices.SortFunc(m, func(x, y member) int { return strings.Compare(x.key, y.key) })
		merged = m
	} else {
		list, _ := old.([]any)
		list = slices.Clone(list)
		for _, t := range tags {
			k, _ := t.Key.Literal()
			if slices.ContainsFunc(list, func(x any) bool {
				o, _ := x.(object)
				have, _ := o.get("Key")
				return have == k
			}) {
				continue
			}
			o := object{{"Key", k}, {"Value", t.Value.tree(b)}}
			if r.TagKind == "asg" {
				o = append(o, member{"PropagateAtLaunch", true})
			}
			list = append(list, o)
		}
		merged = list
	}
	for i := range props {
		if props[i].key == r.TagName {
			props[i].value = merged
			return props
		}
	}
	return append(props, member{r.TagName, merged})
}
