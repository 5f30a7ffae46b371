package plan

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// The diff, applied by patch(1), says what was asked for.
func TestPatchExclusions(t *testing.T) {
	if _, err := exec.LookPath("patch"); err != nil {
		t.Fatal("NOT RUN: this test needs the program patch")
	}
	want := []Exclusion{{942100, "/comment", "ARGS:content", `people write "SQL" here`}, {941100, "/a:b*", "", "x: y # z"}}
	const head = "app: shop\nfiles: {source: .}\nkind: static\n"
	for name, c := range map[string]struct {
		yaml string
		none bool
	}{
		"nothing":       {yaml: head},
		"a group":       {yaml: head + "waf:\n  paranoia: 2\ncache:\n  disabled: yes\n"},
		"a list":        {yaml: head + "waf:\n  adminBodySkips:\n    - /x\n  paranoia: 2\n"},
		"some":          {yaml: head + "waf:\n  exclusions:\n    # why\n    - rule: 942190\n      path: /old\n      reason: old\n"},
		"an env":        {yaml: head + "environments:\n  dev:\n    waf:\n      exclusions:\n      - {rule: 942190, path: /old, reason: old}\n"},
		"brackets":      {yaml: head + "waf: {paranoia: 2}\n", none: true},
		"a short list":  {yaml: head + "waf:\n  exclusions: [{rule: 942190, path: /old, reason: old}]\n", none: true},
		"an empty list": {yaml: head + "waf:\n  exclusions: []\n", none: true},
		"no end":        {yaml: head + "waf:\n  paranoia: 2", none: true},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, FileYAML)
		if err := os.WriteFile(file, []byte(c.yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		load := func() *Plan {
			p, err := Load(Options{File: file, Getenv: func(string) string { return "" }})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return p
		}
		p := load()
		text, err := PatchExclusions(p, want)
		if c.none {
			if !errors.Is(err, ErrNoPatch) {
				t.Errorf("%s: got %q, %v, want ErrNoPatch", name, text, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "x.diff"), []byte("words before it\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "patch", "-p0", "-i", "x.diff")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s\n%s", name, err, out, text)
			continue
		}
		got := load().Edge.WAF.Exclusions
		if len(got) != len(p.Edge.WAF.Exclusions)+len(want) {
			t.Errorf("%s: got %+v", name, got)
		}
		for _, x := range want {
			if !slices.Contains(got, x) {
				t.Errorf("%s: got %+v, want also %+v", name, got, x)
			}
		}
	}
}

func TestRulesFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func(waf string) (*Plan, error) {
		write(FileYAML, "app: shop\nfiles: {source: .}\nkind: static\nwaf: "+waf+"\n")
		return Load(Options{File: filepath.Join(dir, FileYAML), Getenv: func(string) string { return "" }})
	}
	write("own.conf", `SecAction "id:1,phase:1,pass,nolog"`)
	p, err := load("{rules: [own.conf], detectOnlyPaths: [/old/*], detectOnlyProfiles: [admin], record: 100}")
	if err != nil {
		t.Fatal(err)
	}
	w := p.Edge.WAF
	if len(w.Rules) != 1 || w.Rules[0].File != filepath.Join(dir, "own.conf") || w.Rules[0].Text == "" || w.Record != 100 || len(w.DetectOnlyPaths)+len(w.DetectOnlyProfiles) != 2 {
		t.Errorf("got %+v", w)
	}
	for _, bad := range []string{"{rules: [none.conf]}", "{rules: [.]}", "{detectOnlyPaths: [old]}", "{detectOnlyProfiles: [visitor]}", "{record: 10001}"} {
		if _, err := load(bad); err == nil {
			t.Errorf("%s: got no error", bad)
		}
	}
	write("big.conf", string(make([]byte, maxRules+1)))
	if _, err := load("{rules: [big.conf]}"); err == nil {
		t.Error("too many rules: got no error")
	}
}
