package synth_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/synth"
)

var update = flag.Bool("update", false, "write the golden files")

// outline says what a site's templates are made of: each stack's resources, what it
// asks for and offers, and what the network lets through.
func (s *site) outline() string {
	var b strings.Builder
	for _, tm := range s.templates {
		fmt.Fprintf(&b, "%s in %s\n", tm.Name, tm.Region)
		m := s.stacks[tm.Role]
		for _, part := range []string{"Parameters", "Outputs"} {
			list, _ := m[part].(map[string]any)
			for _, id := range slices.Sorted(maps.Keys(list)) {
				fmt.Fprintf(&b, "  %s %s\n", strings.ToLower(part[:len(part)-1]), id)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(s.resources(tm.Role))) {
			r := s.resources(tm.Role)[id].(map[string]any)
			keep := ""
			if d, ok := r["DeletionPolicy"].(string); ok {
				keep = " " + d
			}
			fmt.Fprintf(&b, "  %s %s%s\n", id, r["Type"], keep)
		}
	}
	b.WriteString("routes\n")
	for _, id := range s.ids(plan.StackNetwork, "AWS::EC2::Route") {
		p := s.props(plan.StackNetwork, id)
		fmt.Fprintf(&b, "  %s: %s by %s\n", text(p["RouteTableId"]), text(p["DestinationCidrBlock"]), strings.Trim(text(p["GatewayId"])+text(p["NatGatewayId"]), "-"))
	}
	b.WriteString("groups\n")
	for _, r := range s.rules() {
		fmt.Fprintf(&b, "  %s\n", r)
	}
	b.WriteString("lists\n")
	for _, id := range s.ids(plan.StackNetwork, "AWS::EC2::NetworkAclEntry") {
		p := s.props(plan.StackNetwork, id)
		way := "in "
		if p["Egress"] == true {
			way = "out"
		}
		r, _ := p["PortRange"].(map[string]any)
		fmt.Fprintf(&b, "  %s %s %v %s %s %v-%v\n", text(p["NetworkAclId"]), way, p["RuleNumber"], p["RuleAction"], text(p["CidrBlock"]), r["From"], r["To"])
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for _, name := range []string{"wp-dev", "nodered-test"} {
		t.Run(name, func(t *testing.T) {
			got := build(t, name, nil).outline()
			file := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("reading the golden file: %v; go test ./synth -update writes it", err)
			}
			if got != string(want) {
				t.Errorf("%s differs from what is made now; go test ./synth -update writes it\n--- got\n%s", file, got)
			}
		})
	}
}

// everything is all eleven walls.
func everything(t testing.TB, name string) (*plan.Plan, []string) {
	t.Helper()
	p, err := plan.Load(plan.Options{File: sample, Site: name, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	stacks, _, err := synth.Build(p)
	if err != nil {
		t.Fatal(err)
	}
	list, err := stacks.Templates()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, tm := range list {
		out = append(out, string(tm.JSON()), string(tm.YAML()))
	}
	return p, out
}

// TestTwiceTheSame compares byte for byte, many times: maps have no order.
func TestTwiceTheSame(t *testing.T) {
	for _, name := range []string{"wp-dev", "nodered-dev", "nodered-test"} {
		_, first := everything(t, name)
		for range 10 {
			_, again := everything(t, name)
			if !slices.Equal(first, again) {
				t.Fatalf("%s: two syntheses of one plan differ", name)
			}
		}
	}
}

// TestYAMLSaysWhatJSONSays reads both forms of every template of a site.
func TestYAMLSaysWhatJSONSays(t *testing.T) {
	_, list := everything(t, "wp-dev")
	for i := 0; i < len(list); i += 2 {
		var fromJSON, fromYAML map[string]any
		if err := json.Unmarshal([]byte(list[i]), &fromJSON); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal([]byte(list[i+1]), &fromYAML); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(fromYAML)
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]any
		d := json.NewDecoder(bytes.NewReader(data))
		if err := d.Decode(&back); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(back, fromJSON) {
			t.Errorf("template %d: YAML and JSON differ", i/2)
		}
	}
}

func TestNoRegion(t *testing.T) {
	file := yamlFile(t, "app: shop\ncommand: [\"{files}/app\"]\nfiles: {source: ./site}\n")
	_, err := try(file, "", nil, inner)
	if err == nil || !strings.Contains(err.Error(), "got no Region, want one in aws.region") {
		t.Errorf("got %v, want an error that asks for aws.region", err)
	}
}

func BenchmarkBuild(b *testing.B) {
	p, err := plan.Load(plan.Options{File: sample, Site: "wp-dev", Getenv: func(string) string { return "" }})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := synth.Build(p); err != nil {
			b.Fatal(err)
		}
	}
}
