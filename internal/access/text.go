package access

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// marks stand for the marks of a text's tokens while it is read as JSON, which has no
// control characters in its texts. No policy has these two characters.
var (
	marks  = strings.NewReplacer("\x02", "⁅", "\x03", "⁆")
	remark = strings.NewReplacer("⁅", "\x02", "⁆", "\x03")
)

// Document returns a policy document: the value itself, or what it says where it is a
// JSON text. Nil: it is neither. What is read from a text has the text's place.
func Document(v *template.Value) *template.Value {
	if v.Absent() || v.Shape == template.Map {
		return v
	}
	if v.Shape != template.String || !strings.HasPrefix(strings.TrimSpace(v.Text), "{") {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(marks.Replace(v.Text)))
	d.UseNumber()
	var tree any
	if d.Decode(&tree) != nil || d.More() {
		return nil
	}
	return fromTree(tree, v.Pos)
}

func fromTree(tree any, pos template.Pos) *template.Value {
	switch x := tree.(type) {
	case map[string]any:
		v := &template.Value{Shape: template.Map, Pos: pos}
		for _, k := range slices.Sorted(maps.Keys(x)) {
			v.Fields = append(v.Fields, template.Entry{Name: remark.Replace(k), Value: fromTree(x[k], pos), Pos: pos})
		}
		return v
	case []any:
		v := &template.Value{Shape: template.List, Pos: pos}
		for _, y := range x {
			v.Items = append(v.Items, fromTree(y, pos))
		}
		return v
	case nil:
		return nil
	}
	return &template.Value{Shape: template.String, Text: remark.Replace(fmt.Sprint(tree)), Pos: pos}
}
