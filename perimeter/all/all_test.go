package all

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/perimeter"
)

const module = "github.com/ringwall/ringwall"

func TestOrder(t *testing.T) {
	if len(Perimeters) != 11 {
		t.Fatalf("got %d perimeters, want 11", len(Perimeters))
	}
	for i, p := range Perimeters {
		if p.Number != i {
			t.Errorf("perimeter %s at place %d: number %d, want %d", p.Name, i, p.Number, i)
		}
	}
}

func TestEveryDirectoryIsListed(t *testing.T) {
	dirs, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range Perimeters {
		names = append(names, p.Name)
	}
	for _, d := range dirs {
		if d.IsDir() && d.Name() != "all" && !slices.Contains(names, d.Name()) {
			t.Errorf("perimeter/%s is not in Perimeters", d.Name())
		}
	}
	for _, n := range names {
		if _, err := os.Stat(filepath.Join("..", n, n+".go")); err != nil {
			t.Errorf("perimeter %s: %v, want its table of controls there", n, err)
		}
	}
}

func TestControlsAreComplete(t *testing.T) {
	vantages := []perimeter.Vantage{perimeter.Internet, perimeter.Beside, perimeter.InFleet,
		perimeter.InAdmin, perimeter.InDatabase, perimeter.Machine, perimeter.Template}
	word := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	layers := (sandbox.Firewall<<1 - 1).Names()
	seen := map[string]bool{}
	for _, p := range Perimeters {
		for _, c := range p.Controls {
			for _, need := range c.Needs {
				for l := range strings.SplitSeq(need, " or ") {
					if !slices.Contains(layers, l) {
						t.Errorf("%s needs %q, want names of layers: %v", c.ID, need, layers)
					}
				}
			}
		}
		if !sentence(p.Doc) {
			t.Errorf("perimeter %s: doc %q, want sentences", p.Name, p.Doc)
		}
		for _, c := range p.Controls {
			name, ok := strings.CutPrefix(c.ID, p.Name+"/")
			if !ok || !word.MatchString(name) {
				t.Errorf("control %q of %s: want %s/words-with-dashes", c.ID, p.Name, p.Name)
			}
			if seen[c.ID] {
				t.Errorf("control %s is there twice", c.ID)
			}
			seen[c.ID] = true
			if c.Doc == "" || c.Why == "" {
				t.Errorf("control %s: doc %q, why %q, want both", c.ID, c.Doc, c.Why)
			}
			if c.Probe == nil && c.Check == nil {
				t.Errorf("control %s has neither a probe nor a check", c.ID)
			}
			if (c.Vantage == perimeter.Template) != (c.Probe == nil) {
				t.Errorf("control %s: vantage %q, want %q for a control that is only read from templates, and for no other", c.ID, c.Vantage, perimeter.Template)
			}
			if !slices.Contains(vantages, c.Vantage) {
				t.Errorf("control %s: vantage %q, want one of %v", c.ID, c.Vantage, vantages)
			}
		}
	}
}

// TestEveryProbeOnAWS: a control that is not tried from the internet says how a site
// on AWS is judged, or why it is none of its promises.
func TestEveryProbeOnAWS(t *testing.T) {
	for _, p := range Perimeters {
		for _, c := range p.Controls {
			if c.Probe == nil {
				continue
			}
			if a := c.AWS; a == nil && c.Vantage != perimeter.Internet || a != nil && a.Not == nil && a.Try == nil && a.Rounds == nil && a.Probe == nil {
				t.Errorf("control %s: nothing says how it is judged on AWS", c.ID)
			}
			if c.AWS == nil && (c.Office || p.Number == 3) {
				t.Errorf("control %s needs more than one place outside: say how it is judged on AWS", c.ID)
			}
		}
	}
}

func sentence(s string) bool {
	return s != "" && unicode.IsUpper([]rune(s)[0]) && strings.HasSuffix(s, ".")
}

func TestControlByID(t *testing.T) {
	if p, c := Control("people/nothing-of-that-name"); p != nil || c != nil {
		t.Errorf("got %v, %v, want nothing", p, c)
	}
	for _, p := range Perimeters {
		for _, c := range p.Controls {
			if q, d := Control(c.ID); q != p || d != c {
				t.Errorf("Control(%s) found another one", c.ID)
			}
		}
	}
}

// A pkg is what `go list` says of a package.
type pkg struct {
	ImportPath, Name        string
	Imports                 []string
	TestImports             []string
	XTestImports            []string
	GoFiles, IgnoredGoFiles []string
	Doc                     string
	Standard                bool
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", "-json=ImportPath,Name,Imports,TestImports,XTestImports,GoFiles,IgnoredGoFiles,Doc,Standard"}, args...)...)
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOOS=linux", "GOPROXY=off")
	out, err := cmd.Output()
	if err != nil {
		var e *exec.ExitError
		if errors.As(err, &e) {
			t.Fatalf("NOT RUN: go list: %v: %s", err, e.Stderr)
		}
		t.Fatalf("NOT RUN: go list: %v", err)
	}
	var pkgs []pkg
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// ours returns an import path within the module, or "".
func ours(imp string) string {
	if imp == module {
		return "."
	}
	s, ok := strings.CutPrefix(imp, module+"/")
	if !ok {
		return ""
	}
	return s
}

func under(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// homes are the only places that may import something heavy or dangerous, and why.
var homes = []struct{ imp, home, why string }{
	{"github.com/corazawaf/coraza-coreruleset", "perimeter/edge", "the core rules have one home"},
	{"github.com/corazawaf/coraza", "nowhere", "it is what tests compare the rule engine with"},
	{"github.com/corazawaf/libinjection-go", "waf", "the rule engine has one home"},
	{"github.com/vishvananda/netlink", "internal/vnet", "networks are made in one place"},
	{"github.com/vishvananda/netns", "internal/vnet", "networks are made in one place"},
	{"github.com/google/nftables", "internal/vnet", "firewalls are made in one place"},
	{"github.com/landlock-lsm", "internal/sandbox", "sandboxes are made in one place"},
	{"github.com/jackc/pgx", "examples", "the product speaks to databases through the system's own programs"},
	{"github.com/aws", "deploy", "nothing that runs a site here can reach an account there"},
	{"github.com/chromedp", "examples/e2e", "a browser drives tests only"},
	{"github.com/spf13/cobra", "cli", "only the command line parses flags"},
	{"go.yaml.in/yaml", "plan", "plan is the only reader of configuration"},
	{"go.yaml.in/yaml", "internal/template", "templates are YAML, and each value's place is needed"},
	{"go.yaml.in/yaml", "waf/ftw", "tests of rule sets are written in YAML"},
}

func TestLayers(t *testing.T) {
	for _, p := range list(t, module+"/...") {
		name := ours(p.ImportPath)
		switch path.Base(name) {
		case "util", "utils", "common", "helpers", "misc":
			t.Errorf("%s: a name that explains nothing", name)
		}
		for _, imp := range p.Imports {
			checkLayer(t, name, imp)
		}
	}
}

func checkLayer(t *testing.T, name, imp string) {
	our := ours(imp)
	wall := func(s string) string {
		s, ok := strings.CutPrefix(s, "perimeter/")
		if !ok || under(s, "all") {
			return ""
		}
		w, _, _ := strings.Cut(s, "/")
		return w
	}
	for _, h := range homes {
		if !under(imp, h.imp) || under(name, "bench") {
			continue
		}
		if !slices.ContainsFunc(homes, func(o struct{ imp, home, why string }) bool { return o.imp == h.imp && under(name, o.home) }) {
			t.Errorf("%s imports %s, whose home is %s: %s", name, imp, h.home, h.why)
		}
	}
	switch {
	case under(name, "plan"):
		if our != "" && !under(our, "plan") || our == "" && strings.Contains(imp, ".") && !under(imp, "go.yaml.in/yaml") {
			t.Errorf("%s imports %s: the vocabulary uses the standard library and the YAML parser only", name, imp)
		}
	case under(name, "waf"):
		if our != "" && !under(our, "waf") {
			t.Errorf("%s imports %s: the rule engine knows nothing of the product", name, our)
		}
	case under(name, "internal"):
		if our != "" && !under(our, "internal") {
			t.Errorf("%s imports %s: machinery knows nothing of the product", name, our)
		}
	case name == "perimeter":
		if our != "" && !under(our, "plan") && !under(our, "internal") {
			t.Errorf("perimeter imports %s: want plan and machinery only", our)
		}
	case wall(name) != "":
		if our != "" && !under(our, "plan") && our != "perimeter" && !under(our, "internal") && !under(our, "waf") && wall(our) != wall(name) {
			t.Errorf("%s imports %s: walls meet in plan, never in each other", name, our)
		}
	case under(name, "verify"), under(name, "report"):
		if our != "" && !under(our, "plan") && !under(our, "perimeter") && !under(our, "verify") && !under(our, "internal") || wall(our) != "" {
			t.Errorf("%s imports %s: it judges results and knows no wall by name", name, our)
		}
	case under(name, "synth"):
		if our != "" && !under(our, "plan") && our != "perimeter" && our != "perimeter/all" && !under(our, "internal") {
			t.Errorf("%s imports %s: it runs the walls and knows none of them by name", name, our)
		}
	case under(name, "local"):
		if under(our, "cli") {
			t.Errorf("%s imports %s: the command line calls the run time, not the other way round", name, our)
		}
	}
}

// Every process of a site is this program: what a package makes before main costs each
// of them. internal/lazy makes it later.
func TestNothingIsCompiledAtTheStart(t *testing.T) {
	for _, p := range list(t, "-deps", module+"/cmd/ringwall") {
		if ours(p.ImportPath) == "" {
			continue
		}
		for _, name := range p.GoFiles {
			name = filepath.Join("..", "..", filepath.FromSlash(ours(p.ImportPath)), name)
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, call := range startCalls(f) {
				t.Errorf("%s calls %s before main; want it when it is first used (internal/lazy)", name, call)
			}
		}
	}
}

// startCalls are the calls of regexp and template compilers in a file's variables,
// outside of functions.
func startCalls(f *ast.File) (out []string) {
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		ast.Inspect(g, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit:
				return false
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && (x.Name == "regexp" || x.Name == "template") && strings.HasPrefix(n.Sel.Name, "Must") {
					out = append(out, x.Name+"."+n.Sel.Name)
				}
			}
			return true
		})
	}
	return out
}

func TestPackageComments(t *testing.T) {
	for _, p := range list(t, module+"/...") {
		name := ours(p.ImportPath)
		if p.Name == "main" || len(p.GoFiles) == 0 {
			continue
		}
		if !strings.HasPrefix(p.Doc, "Package "+p.Name+" ") {
			t.Errorf("%s: package comment %q, want one that starts with Package %s", name, p.Doc, p.Name)
		}
	}
}
