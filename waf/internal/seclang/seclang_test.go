package seclang

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
)

func TestCoreRuleSet(t *testing.T) {
	ds, err := ParseString(coreruleset.FS, "Include @coraza.conf-recommended\nInclude @crs-setup.conf.example\nInclude @owasp_crs/*.conf\n")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, d := range ds {
		if d.Name == "secrule" {
			n++
		}
	}
	if n < 600 {
		t.Errorf("got %d rules, want the core rule set's 600 and more", n)
	}
}

func TestRule(t *testing.T) {
	const text = `
# a comment
SecRule ARGS|!ARGS:/^a|\/b$/|&REQUEST_HEADERS:'/x|y/'|XML:/*|ARGS:c "!@rx a\"b\\" \
    "id:1,\
# a comment between
    phase:2,t:none,msg:'a, b: \'c\'',ctl:ruleRemoveTargetById=5;ARGS:/^x,y$/"
`
	ds, err := ParseString(nil, strings.ReplaceAll(text, "ARGS:/^x,y$/", "ARGS:z"))
	if err != nil {
		t.Fatal(err)
	}
	want := Directive{
		Pos: Pos{"inline", 3}, Name: "secrule", Raw: ds[0].Raw, Args: ds[0].Args,
		Rule: &Rule{
			Targets: []Target{
				{Name: "ARGS"}, {Name: "ARGS", Key: `^a|\/b$`, Regexp: true, Except: true},
				{Name: "REQUEST_HEADERS", Key: "x|y", Regexp: true, Count: true},
				{Name: "XML", Key: "/*"}, {Name: "ARGS", Key: "c"},
			},
			Operator: Operator{Name: "rx", Arg: `a"b\\`, Not: true},
			Actions: []Action{{"id", "1"}, {"phase", "2"}, {"t", "none"}, {"msg", `a, b: \'c\'`},
				{"ctl", "ruleRemoveTargetById=5;ARGS:z"}},
		},
	}
	if !reflect.DeepEqual(ds[0], want) {
		t.Errorf("got  %+v\n%+v\nwant %+v\n%+v", ds[0], ds[0].Rule, want, want.Rule)
	}
}

func TestErrorsSayWhere(t *testing.T) {
	fsys := fstest.MapFS{
		"a.conf": {Data: []byte("SecMarker X\nInclude b.conf\n")},
		"b.conf": {Data: []byte("\n\nSecRule ARGS \"@rx x\" \\\n  \"id:1,msg:'x\"\n")},
		"c.conf": {Data: []byte("Include c.conf\n")},
		"d.conf": {Data: []byte("SecRule ARGS \"x\" \\\n")},
		"e.conf": {Data: []byte("SecMarker a\nInclude nowhere.conf\n")},
		"f.conf": {Data: []byte("SecRule ARGS: \"x\"\n")},
		"g.conf": {Data: []byte("SecRule ARGS| \"x\"\n")},
		"h.conf": {Data: []byte("SecRule ARGS \"x\"y\n")},
		"i.conf": {Data: []byte("SecDataset x `\na\n")},
	}
	for name, want := range map[string]Pos{
		"a.conf": {"b.conf", 3}, "c.conf": {"c.conf", 1}, "d.conf": {"d.conf", 1}, "e.conf": {"e.conf", 2},
		"f.conf": {"f.conf", 1}, "g.conf": {"g.conf", 1}, "h.conf": {"h.conf", 1}, "i.conf": {"i.conf", 1},
	} {
		_, err := ParseFile(fsys, name)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Pos != want {
			t.Errorf("%s: got %v, want an error at %v", name, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("SecRule ARGS|!ARGS:/a/ \"!@rx x\" \"id:1,phase:2,msg:'a, b'\"")
	f.Add("SecDataset a `\nx\n`\nSecAction \"id:1,\\\n pass\"")
	f.Add("Include x\nSecMarker 'X'")
	f.Fuzz(func(t *testing.T, s string) {
		ds, err := ParseString(fstest.MapFS{}, s)
		if e, ok := errors.AsType[*Error](err); err != nil && (!ok || e.Pos.Line < 1) {
			t.Fatalf("got an error without a place: %v", err)
		}
		for _, d := range ds {
			if d.Pos.Line < 1 || d.Name == "" || d.Name != strings.ToLower(d.Name) {
				t.Fatalf("got %+v", d)
			}
		}
	})
}
