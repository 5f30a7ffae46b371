package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/ringwall/ringwall/internal/awstools"
)

// A judge is one tool.
type judge struct {
	name    string
	planted []string // rules that the planted faults break
	run     func(context.Context, *awstools.Tools, []*template) ([]finding, error)
}

// judges are filled in by init, because a judge's findings name it.
var judges []*judge

func init() {
	judges = []*judge{
		{"cfn-lint", []string{"E3501", "W3045"}, runLint},
		{"cfn-guard", []string{"CT.RDS.PR.23", "CT.EC2.PR.3"}, runGuard},
		{"cdk-nag", []string{"AwsSolutions-EC23", "NIST.800.53.R5-RDSStorageEncrypted"}, runNag},
	}
}

func byName(name string) *judge {
	for _, j := range judges {
		if j.name == name {
			return j
		}
	}
	return nil
}

func names() string {
	var out []string
	for _, j := range judges {
		out = append(out, j.name)
	}
	return strings.Join(out, ", ")
}

func choose(only []string) ([]*judge, error) {
	if len(only) == 0 {
		return judges, nil
	}
	var out []*judge
	for _, name := range only {
		j := byName(name)
		if j == nil {
			return nil, fmt.Errorf("got %q, want %s", name, names())
		}
		out = append(out, j)
	}
	return out, nil
}

// output runs a program. The exit codes that are given say that it found something,
// which is no failure of the program.
func output(cmd *exec.Cmd, fine ...int) ([]byte, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var e *exec.ExitError
	if errors.As(err, &e) && slices.Contains(fine, e.ExitCode()) {
		err = nil
	}
	if err != nil {
		text := strings.TrimSpace(stderr.String())
		return nil, fmt.Errorf("NOT RUN: %s: %w: %s", filepath.Base(cmd.Path), err, text[max(0, len(text)-2000):])
	}
	return out, nil
}

// spread runs f over equal parts of the templates, one for each processor.
func spread(templates []*template, f func([]*template) ([]finding, error)) ([]finding, error) {
	n := min(runtime.NumCPU(), len(templates))
	found, errs := make([][]finding, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		var part []*template
		for k := i; k < len(templates); k += n {
			part = append(part, templates[k])
		}
		wg.Go(func() { found[i], errs[i] = f(part) })
	}
	wg.Wait()
	return slices.Concat(found...), errors.Join(errs...)
}

func index(templates []*template) map[string]*template {
	out := map[string]*template{}
	for _, t := range templates {
		out[t.file] = t
	}
	return out
}

// runLint asks cfn-lint for errors and warnings, for the Region of each template.
func runLint(ctx context.Context, tools *awstools.Tools, templates []*template) ([]finding, error) {
	return spread(templates, func(part []*template) ([]finding, error) {
		regions := map[string][]*template{}
		for _, t := range part {
			regions[t.region] = append(regions[t.region], t)
		}
		var out []finding
		for region, here := range regions {
			args := []string{"--format", "json", "--regions", region, "--non-zero-exit-code", "none", "--template"}
			for _, t := range here {
				args = append(args, t.file)
			}
			b, err := output(exec.CommandContext(ctx, tools.CfnLint, args...))
			if err != nil {
				return nil, err
			}
			var said []struct {
				Filename, Level, Message string
				Rule                     struct{ ID string }
				Location                 struct{ Path []any }
			}
			if err := json.Unmarshal(b, &said); err != nil {
				return nil, fmt.Errorf("NOT RUN: reading what cfn-lint said: %w", err)
			}
			of := index(here)
			for _, s := range said {
				if s.Level == "Informational" {
					continue
				}
				f := finding{tool: "cfn-lint", rule: s.Rule.ID, message: s.Message, template: of[s.Filename]}
				if p := s.Location.Path; len(p) > 1 && p[0] == "Resources" {
					f.resource, _ = p[1].(string)
				}
				if f.template == nil {
					return nil, fmt.Errorf("reading what cfn-lint said: %q is none of the templates", s.Filename)
				}
				out = append(out, f)
			}
		}
		return out, nil
	})
}

// runGuard asks cfn-guard, with all Control Tower rules.
func runGuard(ctx context.Context, tools *awstools.Tools, templates []*template) ([]finding, error) {
	if len(templates) == 0 {
		return nil, nil
	}
	dir, err := os.MkdirTemp(filepath.Dir(templates[0].file), "guard-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	of, err := withoutImports(dir, templates)
	if err != nil {
		return nil, err
	}
	return spread(templates, func(part []*template) ([]finding, error) {
		args := []string{"validate", "--rules", tools.GuardRules, "--structured", "--output-format", "json", "--show-summary", "none", "--data"}
		for _, t := range part {
			args = append(args, filepath.Join(dir, filepath.Base(t.file)))
		}
		b, err := output(exec.CommandContext(ctx, tools.CfnGuard, args...), 19)
		if err != nil {
			return nil, err
		}
		var said []struct {
			Name         string
			NotCompliant []struct{ Rule json.RawMessage } `json:"not_compliant"`
		}
		if err := json.Unmarshal(b, &said); err != nil {
			return nil, fmt.Errorf("NOT RUN: reading what cfn-guard said: %w", err)
		}
		if len(said) != len(part) {
			return nil, fmt.Errorf("NOT RUN: cfn-guard judged %d templates, want %d", len(said), len(part))
		}
		var out []finding
		for _, file := range said {
			t := of[file.Name]
			if t == nil {
				return nil, fmt.Errorf("reading what cfn-guard said: %q is none of the templates", file.Name)
			}
			for _, r := range file.NotCompliant {
				found, err := guardFindings(r.Rule)
				if err != nil {
					return nil, err
				}
				for _, f := range found {
					f.template = t
					out = append(out, f)
				}
			}
		}
		return out, nil
	})
}

var control = regexp.MustCompile(`\[(CT\.[A-Z0-9]+\.PR\.[0-9]+)\]: *([^\n]*)`)

// guardFindings reads one rule that does not hold: its id in the message, and the
// resources in the paths that were walked.
func guardFindings(b json.RawMessage) ([]finding, error) {
	var rule struct{ Name string }
	var tree any
	if err := errors.Join(json.Unmarshal(b, &rule), json.Unmarshal(b, &tree)); err != nil {
		return nil, fmt.Errorf("reading a rule of cfn-guard: %w", err)
	}
	id, message := rule.Name, ""
	resources := map[string]bool{}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				if s, ok := x.(string); ok {
					if m := control.FindStringSubmatch(s); m != nil && strings.HasSuffix(k, "_message") {
						id, message = m[1], m[2]
					}
					if p := strings.Split(s, "/"); k == "path" && len(p) > 2 && p[1] == "Resources" {
						resources[p[2]] = true
					}
				}
				if k != "value" || !isTemplatePart(v) {
					walk(x)
				}
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(tree)
	if len(resources) == 0 {
		resources[""] = true
	}
	var out []finding
	for r := range resources {
		out = append(out, finding{tool: "cfn-guard", rule: id, message: message, resource: r})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].resource < out[j].resource })
	return out, nil
}

// isTemplatePart says whether the value beside is a piece of the template, in which
// a "path" would be the template's own word.
func isTemplatePart(m map[string]any) bool {
	_, ok := m["path"].(string)
	return ok
}

// runNag asks cdk-nag; a rule that it could not evaluate is a finding too.
func runNag(ctx context.Context, tools *awstools.Tools, templates []*template) ([]finding, error) {
	args := []string{filepath.Join(tools.ScriptsHome, "nag.js")}
	for _, t := range templates {
		args = append(args, t.region+"="+t.file)
	}
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+tools.Node)
	b, err := output(cmd)
	if err != nil {
		return nil, err
	}
	var said struct {
		Templates int
		Findings  []struct{ Rule, Template, Resource, Message string }
	}
	if err := json.Unmarshal(b, &said); err != nil {
		return nil, fmt.Errorf("NOT RUN: reading what cdk-nag said: %w", err)
	}
	if said.Templates != len(templates) {
		return nil, fmt.Errorf("NOT RUN: cdk-nag judged %d templates, want %d", said.Templates, len(templates))
	}
	of := index(templates)
	var out []finding
	for _, f := range said.Findings {
		if of[f.Template] == nil {
			return nil, fmt.Errorf("reading what cdk-nag said: %q is none of the templates", f.Template)
		}
		out = append(out, finding{tool: "cdk-nag", rule: f.Rule, message: f.Message, template: of[f.Template], resource: f.Resource})
	}
	return out, nil
}
