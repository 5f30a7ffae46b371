package template

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func newSet(t *testing.T, files ...string) *Set {
	t.Helper()
	s, err := newFiles(files...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newFiles reads name, text, name, text …
func newFiles(files ...string) (*Set, error) {
	var fs []File
	for i := 0; i+1 < len(files); i += 2 {
		fs = append(fs, File{files[i], []byte(files[i+1])})
	}
	return New(fs)
}

// resolved is what a property comes to when it is given as YAML.
func resolved(t *testing.T, head, value string) *Value {
	t.Helper()
	s := newSet(t, "s.yaml", head+"\nResources:\n  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}\n  B: {Type: AWS::S3::Bucket}\n  X:\n    Type: T\n    Properties:\n      P: "+value+"\n")
	ws, _ := s.Worlds()
	return ws[0].Resource("s/X").Get("P")
}

const head = `
Parameters:
  Env: {Type: String, Default: dev, AllowedValues: [dev, prod]}
  Any: {Type: String}
  Image: {Type: "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", Default: /aws/x}
  List: {Type: CommaDelimitedList, Default: "a, b"}
Mappings:
  M: {dev: {Size: small, Same: x}, prod: {Size: large, Same: x}}
Conditions:
  IsProd: !Equals [!Ref Env, prod]
  NotProd: !Not [!Condition IsProd]
  Both: !And [!Condition NotProd, !Equals [a, a]]
`

func TestResolve(t *testing.T) {
	for _, x := range []struct{ value, want string }{
		{"plain", "plain"},
		{"!Ref Env", "dev"},
		{"!Sub '${Env}-x'", "dev-x"},
		{"!Sub '${!Env}'", "${Env}"},
		{"!Sub ['${A}-${Env}', {A: b}]", "b-dev"},
		{"!Join ['-', [a, !Ref Env]]", "a-dev"},
		{"!Join ['-', !Ref List]", "a-b"},
		{"!Select [1, [a, b]]", "b"},
		{"!Select ['1', !Split [',', 'a,b']]", "b"},
		{"!If [IsProd, a, b]", "b"},
		{"!If [Both, a, b]", "a"},
		{"!FindInMap [M, !Ref Env, Size]", "small"},
		{"!FindInMap [M, !Ref 'AWS::Region', Same]", "x"},
		{"!GetAtt Vpc.CidrBlock", "10.0.0.0/16"},
		{"!Select [1, !Cidr [!GetAtt Vpc.CidrBlock, 4, 8]]", "10.0.1.0/24"},
		{"!Select [3, !Cidr ['10.255.255.0/24', 8, 5]]", "10.255.255.96/27"},
		{"!Ref 'AWS::Partition'", "aws"},
		{"!Ref 'AWS::StackName'", "s"},
		{"!Ref B", "${B}"},
		{"!GetAtt B.Arn", "${B.Arn}"},
		{"!Sub 'arn:aws:s3:::${B}/*'", "arn:aws:s3:::${B}/*"},
		{"!Base64 text", "text"},
		{"!Length [a, b, c]", "3"},
		{"{'Fn::GetAtt': [B, Arn]}", "${B.Arn}"},
		{"true", "true"},
		{"'{{resolve:secretsmanager:x:SecretString:y}}'", "{{resolve:secretsmanager:x:SecretString:y}}"},
	} {
		if got := resolved(t, head, x.value); got.Show() != x.want || got.Unknown() {
			t.Errorf("%s: got %s (%s), want %s", x.value, got.Show(), got.Why(), x.want)
		}
	}
}

// What a file cannot tell is unknown, with its reason, and never a guess.
func TestUnknown(t *testing.T) {
	for _, x := range []struct{ value, why string }{
		{"!Ref Any", "may have any value"},
		{"!Ref Image", "parameter store"},
		{"!Sub 'x-${Any}'", "may have any value"},
		{"!Join ['', [x, !Ref Any]]", "may have any value"},
		{"!FindInMap [M, !Ref Any, Size]", "may have any value"},
		{"!FindInMap [M, !Ref 'AWS::Region', Size]", "gives it by ${Region}"},
		{"!Transform {Name: X}", "macro"},
		{"!ImportValue [x]", "not known"},
		{"{'Fn::Sub': {'Fn::Transform': {Name: X}}}", "macro"},
		{"!ImportValue {'Fn::Sub': '${Env}-vpc'}", "nobody here exports"},
		{"!Select [1, !Split [/, !Ref Any]]", "may have any value"},
		{"!Select [3, !Split [/, !GetAtt Vpc.Arn]]", "part of what is not known"},
		{"!FindInMap [!Ref Any, dev, Size]", "which mapping"},
		{"'{{resolve:ssm:/x}}'", "parameter store"},
		{"!Nonsense x", "not known here"},
	} {
		if got := resolved(t, head, x.value); !strings.Contains(got.Why(), x.why) {
			t.Errorf("%s: got %s (%q), want a reason with %q", x.value, got.Show(), got.Why(), x.why)
		}
	}
	if got := resolved(t, head, "!Ref 'AWS::NoValue'"); got != nil {
		t.Errorf("AWS::NoValue: got %s, want nothing", got.Show())
	}
}

func TestCustomResourceIsUnknown(t *testing.T) {
	s := newSet(t, "s.yaml", "Resources:\n  C: {Type: Custom::X}\n  X: {Type: T, Properties: {P: !GetAtt C.Id}}\n")
	ws, _ := s.Worlds()
	if got := ws[0].Resource("s/X").Get("P"); !strings.Contains(got.Why(), "custom resource C") {
		t.Errorf("got %q, want that the custom resource decides", got.Why())
	}
}

// The same text in JSON and YAML comes to the same, with its places.
func TestPlaces(t *testing.T) {
	for _, x := range []struct{ file, text, want string }{
		{"a.yaml", "Resources:\n  X:\n    Type: T\n    Properties:\n      P: !Ref AWS::Region\n", "a.yaml:5:10"},
		{"a.json", "{\n \"Resources\": {\n  \"X\": {\"Type\": \"T\",\n   \"Properties\": {\"P\": \"v\"}}}}", "a.json:4:24"},
	} {
		s := newSet(t, x.file, x.text)
		ws, _ := s.Worlds()
		r := ws[0].Resources[0]
		if got := r.Place("P").String(); got != x.want {
			t.Errorf("%s: got %s, want %s", x.file, got, x.want)
		}
	}
}

func TestWorlds(t *testing.T) {
	for _, x := range []struct {
		name, params, conditions string
		want                     string // what P comes to in each world, the default one first
		all                      bool
	}{
		{"a fixed parameter", "Env: {Type: String, Default: a, AllowedValues: [a]}", "C: !Equals [!Ref Env, a]", "yes yes", true},
		{"two allowed values", "Env: {Type: String, Default: a, AllowedValues: [a, b]}", "C: !Equals [!Ref Env, a]", "yes yes no", true},
		{"any value", "Env: {Type: String, Default: a}", "C: !Equals [!Ref Env, a]", "yes no yes", true},
		{"no default", "Env: {Type: String}", "C: !Equals [!Ref Env, a]", "no no yes", true},
		{"a pattern that forbids", "Env: {Type: String, Default: b, AllowedPattern: b+}", "C: !Equals [!Ref Env, a]", "no no", true},
		{"what nobody knows", "Env: {Type: String, Default: a}", "C: !Equals [!Ref AWS::AccountId, a]", "no no yes", true},
		{"too many ways", many(), "C: !Equals [!Ref P0, a]\n" + manyConditions(), "", false},
	} {
		s := newSet(t, "s.yaml", "Parameters:\n  "+strings.ReplaceAll(x.params, "\n", "\n  ")+"\nConditions:\n  "+strings.ReplaceAll(x.conditions, "\n", "\n  ")+
			"\nResources:\n  X: {Type: T, Properties: {P: !If [C, 'yes', 'no'], Q: "+manyUses(x.all)+"}}\n")
		ws, all := s.Worlds()
		var got []string
		for _, w := range ws {
			got = append(got, w.Resource("s/X").Get("P").Show())
		}
		if all != x.all || x.all && strings.Join(got, " ") != x.want {
			t.Errorf("%s: got %v (all: %t), want %s (all: %t)", x.name, got, all, x.want, x.all)
		}
	}
}

func many() string {
	var b []string
	for i := range 10 {
		b = append(b, fmt.Sprintf("P%d: {Type: String, AllowedValues: [a, b]}", i))
	}
	return strings.Join(b, "\n")
}

func manyConditions() string {
	var b []string
	for i := range 10 {
		b = append(b, fmt.Sprintf("C%d: !Equals [!Ref P%d, a]", i, i))
	}
	return strings.Join(b, "\n")
}

func manyUses(few bool) string {
	if few {
		return "[]"
	}
	var b []string
	for i := range 10 {
		b = append(b, fmt.Sprintf("!If [C%d, x, y]", i))
	}
	return "[" + strings.Join(b, ", ") + "]"
}

func TestStacks(t *testing.T) {
	const network = "Resources:\n  Vpc: {Type: AWS::EC2::VPC}\nOutputs:\n  V: {Value: !Ref Vpc, Export: {Name: !Sub '${AWS::StackName}-vpc'}}\n"
	s := newSet(t, "dir/net.yaml", network,
		"dir/app.yaml", "Parameters:\n  Net: {Type: String, Default: net}\nResources:\n  X: {Type: T, Properties: {P: !ImportValue {'Fn::Sub': '${Net}-vpc'}, Q: !ImportValue net-vpc}}\n",
		"dir/top.yaml", "Resources:\n  Child: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: ./child.yaml, Parameters: {A: given}}}\n  Y: {Type: T, Properties: {P: !GetAtt Child.Outputs.Out}}\n",
		"dir/child.yaml", "Parameters:\n  A: {Type: String}\nResources:\n  Z: {Type: T, Properties: {P: !Ref A}}\nOutputs:\n  Out: {Value: !Sub '${Z}/${A}'}\n")
	ws, _ := s.Worlds()
	w := ws[0]
	if got := w.Of(w.Resource("app/X").Get("P")); got == nil || got.Key() != "net/Vpc" {
		t.Errorf("import by a default name: got %v, want net/Vpc", got)
	}
	if got := w.Of(w.Resource("app/X").Get("Q")); got == nil || got.Key() != "net/Vpc" {
		t.Errorf("import by a literal name: got %v, want net/Vpc", got)
	}
	if got := w.Resource("top.Child/Z").Get("P").Show(); got != "given" {
		t.Errorf("a nested stack's parameter: got %s, want given", got)
	}
	if got := w.Resource("top/Y").Get("P").Show(); got != "${Z}/given" {
		t.Errorf("a nested stack's output: got %s, want ${Z}/given", got)
	}
	if w.Resource("child/Z") != nil {
		t.Error("a nested stack's template was read as a stack of its own, too")
	}
	// With another name, what is imported is not known.
	if got := ws[1].Resource("app/X").Get("P"); !got.Unknown() {
		t.Errorf("import by any name: got %s, want unknown", got.Show())
	}
}

// What is wrong is told with its place, all of it in one pass.
func TestErrors(t *testing.T) {
	for _, x := range []struct {
		name  string
		files []string
		want  []string
	}{
		{"broken YAML", []string{"a.yaml", "Resources:\n  X: [1\n"}, []string{"a.yaml:", "reading YAML"}},
		{"broken JSON", []string{"a.json", "{\"Resources\": {\"X\": {\"Type\": \"T\",}}}"}, []string{"a.json:1:34", "want a name in quotes"}},
		{"no resources", []string{"a.yaml", "Parameters: {}\n"}, []string{"has no Resources"}},
		{"empty", []string{"a.yaml", ""}, []string{"the file is empty"}},
		{"a list", []string{"a.yaml", "- a\n"}, []string{"want a map with Resources"}},
		{"a version of what is not custom", []string{"a.yaml", "Resources:\n  X: {Type: T, Version: '1.0'}\n"}, []string{`"Version" is no part of a resource`}},
		{"twice", []string{"a.yaml", "Resources:\n  X: {Type: T}\n  X: {Type: T}\n"}, []string{`a.yaml:3:3: "X" is there twice; first at line 2`}},
		{"no type", []string{"a.yaml", "Resources:\n  X: {Properties: {}}\n"}, []string{"resource X has no Type"}},
		{"misspelt", []string{"a.yaml", "Resources:\n  Bucket: {Type: T}\n  X: {Type: T, Properties: {P: !Ref Bukket}}\n"}, []string{`"Bukket" is neither`, `did you mean "Bucket"?`}},
		{"a circle of resources", []string{"a.yaml", "Resources:\n  A: {Type: T, Properties: {P: !Ref B}}\n  B: {Type: T, DependsOn: A}\n"}, []string{"in a circle: A → B → A"}},
		{"a circle of conditions", []string{"a.yaml", "Conditions:\n  A: !Not [!Condition B]\n  B: !Not [!Condition A]\nResources:\n  X: {Type: T, Condition: A}\n"}, []string{"rest on each other in a circle"}},
		{"a missing condition", []string{"a.yaml", "Resources:\n  X: {Type: T, Condition: Nope}\n"}, []string{`condition "Nope"`}},
		{"a dangling import", []string{"a.yaml", "Resources:\n  X: {Type: T, Properties: {P: !ImportValue net-vcp}}\n", "net.yaml", "Resources:\n  V: {Type: T}\nOutputs:\n  O: {Value: !Ref V, Export: {Name: net-vpc}}\n"}, []string{`"net-vcp" is exported by none`, `did you mean "net-vpc"?`}},
		{"exports in a circle", []string{"a.yaml", "Resources:\n  X: {Type: T}\nOutputs:\n  O: {Value: !ImportValue b, Export: {Name: a}}\n", "b.yaml", "Resources:\n  X: {Type: T}\nOutputs:\n  O: {Value: !ImportValue a, Export: {Name: b}}\n"}, []string{"rests on itself through another stack"}},
		{"names that rest on each other in two stacks", []string{"a.yaml", "Resources:\n  X: {Type: AWS::S3::Bucket, Properties: {BucketName: !ImportValue b}}\nOutputs:\n  O: {Value: !Ref X, Export: {Name: a}}\n", "b.yaml", "Resources:\n  X: {Type: AWS::S3::Bucket, Properties: {BucketName: !ImportValue a}}\nOutputs:\n  O: {Value: !Ref X, Export: {Name: b}}\n"}, []string{"import from each other in a circle", "a → b → a"}},
		{"a stack that imports its own export", []string{"a.yaml", "Resources:\n  X: {Type: T}\n  Y: {Type: T, Properties: {P: !ImportValue x}}\nOutputs:\n  O: {Value: !Ref X, Export: {Name: x}}\n"}, []string{"in a circle", "a → a"}},
		{"stacks in a circle", []string{"a.yaml", "Resources:\n  X: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: b.yaml}}\n", "b.yaml", "Resources:\n  X: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: a.yaml}}\n"}, []string{"each other's parts in a circle"}},
		{"an alias", []string{"a.yaml", "Resources: &r\n  X: {Type: T, Metadata: *r}\n"}, []string{"has no aliases"}},
		{"too large", []string{"a.yaml", "Resources:\n  X: {Type: T}\n#" + strings.Repeat("x", 10<<20)}, []string{"CloudFormation takes at most 1048576"}},
		{"too deep", []string{"a.json", `{"a":` + strings.Repeat("[", 10000)}, []string{"nested deeper than 100"}},
		{"not text", []string{"a.yaml", "\xff\xfe"}, []string{"not UTF-8"}},
		{"two documents", []string{"a.yaml", "Resources: {X: {Type: T}}\n---\nResources: {}\n"}, []string{"second document"}},
		{"an unknown section", []string{"a.yaml", "Resource:\n  X: {Type: T}\nResources:\n  X: {Type: T}\n"}, []string{`"Resource" is no section`}},
		{"YAML that breaks far below its start", []string{"a.yaml", "Resources:\n  X:\n    Type: T\n    Properties: {A: [1,\n      2]}\n   Y: {Type: T}\n"}, []string{"a.yaml:6:4: reading YAML: "}},
		{"a list that nobody ends", []string{"a.yaml", "Resources:\n  X: {Type: T,\n    Properties: {A: [1, 2}}\n  Y: {Type: T}\n"}, []string{"a.yaml:2:3: reading YAML: "}},
		{"a tab", []string{"a.yaml", "Resources:\n  X:\n\tType: T\n"}, []string{"a.yaml:3:2: reading YAML: found character that cannot start any token"}},
		{"more resources than CloudFormation takes", []string{"a.yaml", "Resources:\n" + strings.Repeat("  X: {Type: T}\n", 501)}, []string{"a.yaml:2:3: the template has 501 resources, and CloudFormation takes at most 500"}},
		{"a condition on what is not there", []string{"a.yaml", "Conditions:\n  A: !Equals [!Ref Nope, x]\n  B: !Equals [!Ref X, x]\nResources:\n  X: {Type: T}\n"},
			[]string{`a.yaml:2:15: "Nope" is neither`, `a.yaml:3:15: a condition refers to the resource "X"; it can refer to parameters only`}},
		{"a wrong reference and a dangling import", []string{"a.yaml", "Resources:\n  X: {Type: T, Properties: {P: !Ref No, Q: !ImportValue nobody, R: !Select [2, [a]]}}\n"}, []string{`"No" is neither`, `"nobody" is exported by none`, "index 2 of a list of 1"}},
		{"an attribute that rests on itself", []string{"a.yaml", "Resources:\n  X: {Type: AWS::EC2::Subnet, Properties: {CidrBlock: !GetAtt X.CidrBlock}}\n"}, []string{"in a circle: X → X"}},
		{"several at once", []string{"a.yaml", "Resources:\n  X: {Type: T, Properties: {P: !Ref No}, Conditon: C}\n  Y: {}\n", "b.json", "{"}, []string{`"No"`, `"Conditon"`, "Y has no Type", "b.json"}},
	} {
		_, err := newFiles(x.files...)
		if err == nil {
			t.Errorf("%s: got no error, want %q", x.name, x.want)
			continue
		}
		for _, w := range x.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: got %v, want %q in it", x.name, err, w)
			}
		}
	}
}

// What only CloudFormation sees is said.
func TestHoles(t *testing.T) {
	for _, x := range []struct{ text, want string }{
		{"Resources:\n  X: {Type: T}\n", ""},
		{"Transform: AWS::LanguageExtensions\nResources:\n  X: {Type: T}\n", ""},
		{"Transform: AWS::Serverless-2016-10-31\nResources:\n  X: {Type: T}\n", "macro AWS::Serverless-2016-10-31"},
		{"Transform: [AWS::LanguageExtensions, Ours]\nResources:\n  X: {Type: T}\n", "macro Ours"},
		{"Resources:\n  X: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: 'https://x/y'}}\n", "template of the stack X is not here"},
		{"Resources:\n  X: {Type: A::B::MODULE}\n", "module X"},
		{"Resources:\n  X: {Type: A::B::MODULE}\n  Y: {Type: T, Properties: {P: !Ref XBucket}}\n", "module X"},
		{"Transform: AWS::Serverless-2016-10-31\nResources:\n  X: {Type: T, Properties: {P: !Ref Y}}\n  Y: {Type: T, Properties: {P: !Ref X}}\n", "macro AWS"},
		{"Transform: AWS::LanguageExtensions\nConditions:\n  'Fn::ForEach::L': [I, [a], {'C${I}': !Equals [!Ref {'Fn::Sub': 'P${I}'}, x]}]\nResources:\n  X: {Type: T, Condition: Ca}\n", ""},
		{"Transform: Count\nResources:\n  X: {Type: T, Count: 3}\n", "macro Count"},
		{"Resources:\n  X: {Type: 'Custom::X', Version: '1.0'}\n", ""},
		{"Resources:\n  'Fn::ForEach::L': [a, [b], {}]\n", "Fn::ForEach::L makes resources"},
		{"Resources:\n  Fn::Transform: {Name: AWS::Include, Parameters: {Location: 's3://x/y'}}\n  X: {Type: T, Properties: {P: !Ref Included}}\n", "Fn::Transform makes resources"},
	} {
		ws, _ := newSet(t, "a.yaml", x.text).Worlds()
		if got := strings.Join(ws[0].Holes, "; "); x.want == "" && got != "" || !strings.Contains(got, x.want) {
			t.Errorf("%q: got %q, want %q", x.text, got, x.want)
		}
	}
}

func TestLoadDirectory(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"net.template.json": `{"Resources": {"X": {"Type": "T"}}}`, "README.md": "Resources", "manifest.json": `{"version": 1}`,
		"sub/app.yml": "Resources:\n  Y: {Type: T}\n", ".git/x.yaml": "Resources: [",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	ws, _ := s.Worlds()
	var got []string
	for _, r := range ws[0].Resources {
		got = append(got, r.Key())
	}
	if want := "net/X app/Y"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if _, err := Load(filepath.Join(dir, "sub", "nothing")); err == nil {
		t.Error("a directory that is not there: got no error")
	}
}

// A text of a file must not pass for what only an account knows.
func TestNoForgedTokens(t *testing.T) {
	s := newSet(t, "a.json", `{"Resources": {"B": {"Type": "T"}, "X": {"Type": "T", "Properties": {"P": "\u0002ra/B\u0003"}}}}`)
	ws, _ := s.Worlds()
	if r := ws[0].Of(ws[0].Resource("a/X").Get("P")); r != nil {
		t.Errorf("a text passed for a reference to %s", r.ID)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, name := range []string{"network", "compute", "database", "cdn"} {
		b, err := os.ReadFile("../../examples/sample-aws/wp-dev-" + name + "-stack.yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add("a.yaml", b)
	}
	f.Add("a.json", []byte(`{"Resources": {"X": {"Type": "T", "Properties": {"P": {"Fn::Sub": ["${A.B}", {"A": {"Fn::Select": [0, {"Fn::Cidr": ["10.0.0.0/8", 3, 8]}]}}]}}}}}`))
	f.Add("a.yaml", []byte(head+"Resources:\n  X: {Type: T, Condition: Both, Properties: {P: !If [IsProd, !Ref Any, !FindInMap [M, !Ref Env, Size]]}}\n"))
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		s, err := New([]File{{name, b}})
		if err != nil {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		ws, _ := s.Worlds()
		for _, w := range ws {
			for _, r := range w.Resources {
				if r.Pos.Line < 1 || r.Pos.Col < 1 {
					t.Errorf("resource %q has no place", r.ID)
				}
				r.Props.Deep()
				r.Props.Show()
			}
		}
	})
}

// FuzzJSON: what we read as JSON is JSON, and the other way round as far as a
// template can have it.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a": [1, 2.5e3, "\u00e9\n", true, null, {}]}`, `"\ud83d\ude00"`, `[`, `{"a":1,}`, "\x00", `-`, `01`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var errs Errors
		n := parseJSON("x", s, &errs)
		if (n == nil) != (len(errs) > 0) && !strings.Contains(errs.Error(), "twice") {
			t.Errorf("%q: got node %v and errors %v, want one of them", s, n, errs)
		}
	})
}

// A value that is given is the only one that a parameter is judged with.
func TestGive(t *testing.T) {
	s := newSet(t, "a.yaml", "Parameters:\n  Block: {Type: String}\nResources:\n  X: {Type: T, Properties: {Cidr: !Ref Block}}\n")
	if !s.Give("Block", "10.9.0.0/24") || s.Give("Other", "x") {
		t.Error("want Block to be there, and Other not")
	}
	ws, all := s.Worlds()
	for _, w := range ws {
		if got := w.Resources[0].Get("Cidr"); !got.Is("10.9.0.0/24") {
			t.Errorf("got %s", got.Show())
		}
	}
	if !all {
		t.Error("want all ways judged")
	}
}
