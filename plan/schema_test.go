package plan

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares got with a file under testdata, or writes the file.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("reading the golden file: %v; go test ./plan -update writes it", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what is made now; go test ./plan -update writes it\n--- got\n%s", file, got)
	}
}

func TestSchemaFile(t *testing.T) {
	got, err := makeSchema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "ringwall.schema.json", got)
	if !*update && !bytes.Equal(JSONSchema(), got) {
		t.Error("JSONSchema() is not the file")
	}
}

// TestSchemaKnowsTheLoadersKeys reads the schema's file as an editor would, and
// asks the loader of each key in it, and the other way round.
func TestSchemaKnowsTheLoadersKeys(t *testing.T) {
	data, err := os.ReadFile("ringwall.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties map[string]any
		Defs       map[string]map[string]any `json:"$defs"`
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	collect := func(props map[string]any) []string {
		var out []string
		var walk func(prefix string, props map[string]any)
		walk = func(prefix string, props map[string]any) {
			for name, v := range props {
				m := v.(map[string]any)
				if ref, ok := m["$ref"].(string); ok {
					m = schema.Defs[strings.TrimPrefix(ref, "#/$defs/")]
				}
				if sub, ok := m["properties"].(map[string]any); ok {
					walk(prefix+name+".", sub)
					continue
				}
				out = append(out, prefix+name)
			}
		}
		walk("", props)
		slices.Sort(out)
		return out
	}
	var want []string
	for _, k := range keys() {
		want = append(want, k.name)
	}
	top := slices.Clone(want)
	top = append(top, keyDefault, keyEnvironments)
	slices.Sort(top)
	if got := collect(schema.Properties); !slices.Equal(got, top) {
		t.Errorf("keys of the schema\n%v\nwant the loader's\n%v", got, top)
	}
	inner := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return s == "app" })
	inner = append(inner, keyInherits)
	slices.Sort(inner)
	if got := collect(schema.Defs["environment"]["properties"].(map[string]any)); !slices.Equal(got, inner) {
		t.Errorf("keys of an environment in the schema\n%v\nwant\n%v", got, inner)
	}
	// The loader itself takes each key of the schema, and refuses it misspelt.
	for _, name := range want {
		words := strings.Split(name, ".")
		doc := func(last string) []byte {
			var b strings.Builder
			for i, w := range words[:len(words)-1] {
				b.WriteString(strings.Repeat("  ", i) + w + ":\n")
			}
			b.WriteString(strings.Repeat("  ", len(words)-1) + last + ": x\n")
			return []byte(b.String())
		}
		for last, unknown := range map[string]bool{words[len(words)-1]: false, words[len(words)-1] + "X": true} {
			l := &loader{source: "file", show: "f"}
			l.readYAML(doc(last))
			if got := len(l.problems) > 0; got != unknown {
				t.Errorf("%s as %q: problems %v, want unknown %v", name, last, l.problems, unknown)
			}
		}
	}
}

func TestTableOfKeys(t *testing.T) {
	seen := map[string]string{}
	for i := range keys() {
		k := &keys()[i]
		if k.doc == "" || !strings.HasSuffix(k.doc, ".") {
			t.Errorf("%s: doc %q, want a sentence", k.name, k.doc)
		}
		if old, ok := seen[envName(k.name)]; ok {
			t.Errorf("%s and %s share the variable %s", old, k.name, envName(k.name))
		}
		seen[envName(k.name)] = k.name
		for word := range strings.SplitSeq(k.name, ".") {
			if slices.Contains([]string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}, word) {
				t.Errorf("%s: older readers of YAML take %q for a bool", k.name, word)
			}
		}
		if len(under(k.name)) > 0 && k.shape() != tableValue {
			t.Errorf("%s is a key and a group", k.name)
		}
	}
	l := &loader{source: "default", blocks: map[string][]block{}}
	d := newDraft()
	for name, v := range defaultLayer() {
		l.decode(d, keyNamed(name), v)
	}
	if len(l.problems) > 0 {
		t.Error(l.problems)
	}
	for _, name := range presetNames {
		if len(presetLayer(name)) == 0 {
			t.Errorf("the preset %s is empty", name)
		}
	}
}
