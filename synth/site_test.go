package synth_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/synth"
)

// sample is the sample project's template of parameters.
const sample = "../plan/testdata/template.properties"

// inner are the walls that this package's tests look into; the others have their
// own tests, of the same kind.
var inner = []string{"people", "vpc", "instance", "files", "database"}

// A site is a synthesized site, read back from the bytes that would be written.
type site struct {
	plan      *plan.Plan
	notes     []string
	templates []*cfn.Template
	stacks    map[string]map[string]any // by role
}

// build synthesizes the inner walls of a site of the sample with other values in
// place of some of its own, by dotted key.
func build(t testing.TB, name string, set map[string]string) *site {
	t.Helper()
	s, err := try(sample, name, set, inner)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func try(file, name string, set map[string]string, names []string) (*site, error) {
	p, err := plan.Load(plan.Options{File: file, Site: name, Overrides: set, Getenv: func(string) string { return "" }})
	if err != nil {
		return nil, err
	}
	walls := slices.DeleteFunc(slices.Clone(all.Perimeters), func(w *perimeter.Perimeter) bool { return !slices.Contains(names, w.Name) })
	st, notes, err := synth.BuildWith(p, walls)
	if err != nil {
		return nil, err
	}
	s := &site{plan: p, stacks: map[string]map[string]any{}}
	for _, n := range notes {
		s.notes = append(s.notes, n.String())
	}
	if s.templates, err = st.Templates(); err != nil {
		return nil, err
	}
	for _, tm := range s.templates {
		var m map[string]any
		if err := json.Unmarshal(tm.JSON(), &m); err != nil {
			return nil, err
		}
		s.stacks[tm.Role] = m
	}
	return s, nil
}

// yamlFile writes a ringwall.yaml.
func yamlFile(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "site"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, plan.FileYAML)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// resources of a stack, by id.
func (s *site) resources(role string) map[string]any {
	m, _ := s.stacks[role]["Resources"].(map[string]any)
	return m
}

// props are a resource's properties; nil where there is none of that id.
func (s *site) props(role, id string) map[string]any {
	r, _ := s.resources(role)[id].(map[string]any)
	p, _ := r["Properties"].(map[string]any)
	return p
}

// ids lists the resources of a type, sorted.
func (s *site) ids(role, kind string) []string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(s.resources(role))) {
		if s.resources(role)[id].(map[string]any)["Type"] == kind {
			out = append(out, id)
		}
	}
	return out
}

// text is a value in a line, as a reader would say it.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case string:
		return v
	case map[string]any:
		if r, ok := v["Ref"]; ok && len(v) == 1 {
			return fmt.Sprint(r)
		}
		if a, ok := v["Fn::GetAtt"].([]any); ok {
			return fmt.Sprintf("%s.%s", a[0], a[1])
		}
		if i, ok := v["Fn::ImportValue"]; ok {
			return fmt.Sprint(i)
		}
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// rules lists what the security groups let through, a line each: who, whom, port.
func (s *site) rules() []string {
	var out []string
	for _, id := range s.ids(plan.StackNetwork, "AWS::EC2::SecurityGroupIngress") {
		p := s.props(plan.StackNetwork, id)
		from := text(p["SourceSecurityGroupId"])
		for _, k := range []string{"SourcePrefixListId", "CidrIp"} {
			if p[k] != nil {
				from = text(p[k])
			}
		}
		out = append(out, fmt.Sprintf("in   %s ← %s %s/%v-%v", trim(p["GroupId"]), strings.TrimSuffix(from, ".GroupId"), p["IpProtocol"], p["FromPort"], p["ToPort"]))
	}
	for _, id := range s.ids(plan.StackNetwork, "AWS::EC2::SecurityGroup") {
		list, _ := s.props(plan.StackNetwork, id)["SecurityGroupEgress"].([]any)
		if len(list) == 0 {
			out = append(out, "out  "+id+" → everywhere")
		}
		for _, e := range list {
			p := e.(map[string]any)
			to := text(p["DestinationSecurityGroupId"])
			for _, k := range []string{"DestinationPrefixListId", "CidrIp"} {
				if p[k] != nil {
					to = text(p[k])
				}
			}
			out = append(out, fmt.Sprintf("out  %s → %s %s/%v-%v", id, strings.TrimSuffix(to, ".GroupId"), p["IpProtocol"], p["FromPort"], p["ToPort"]))
		}
	}
	slices.Sort(out)
	return out
}

func trim(v any) string { return strings.TrimSuffix(text(v), ".GroupId") }
