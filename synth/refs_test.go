package synth_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/synth"
)

// TestEveryRefIsProvided: each name of plan/refs.go is provided by its owner in some
// site, and nothing else is.
func TestEveryRefIsProvided(t *testing.T) {
	src, err := os.ReadFile("../plan/refs.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range regexp.MustCompile(`Ref\{"(\w+)", "(\w+)"\}`).FindAllSubmatch(src, -1) {
		want = append(want, string(m[1])+"/"+string(m[2]))
	}
	for _, f := range []func(string) plan.Ref{plan.RefRole, plan.RefRoleARN, plan.RefInstanceProfile, plan.RefTierLogs, plan.RefTargetGroup, plan.RefTargetGroupName, plan.RefAppSecret,
		plan.RefTierGroup, plan.RefAccessPoint, plan.RefDatabaseSecret} {
		want = append(want, f(plan.Admin).String(), f(plan.Fleet).String())
	}
	for _, wall := range []string{"application", "webserver"} {
		want = append(want, plan.RefInstanceFiles(wall, plan.Admin).String(), plan.RefInstanceFiles(wall, plan.Fleet).String())
	}
	want = append(want, plan.RefInstanceFiles("application", "image").String()) // what the golden image brings along
	for _, f := range []func(int) plan.Ref{plan.RefPublicSubnet, plan.RefPrivateSubnet, plan.RefIsolatedSubnet} {
		want = append(want, f(0).String(), f(1).String())
	}
	got := map[string]bool{}
	for _, set := range []map[string]string{nil, {"aws.image": "build"}, {"aws.balancer": "public"}} {
		p, err := plan.Load(plan.Options{File: sample, Site: "wp-dev", Overrides: set, Getenv: func(string) string { return "" }})
		if err != nil {
			t.Fatal(err)
		}
		stacks, _, err := synth.Build(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range stacks.Provided() {
			got[name] = true
		}
	}
	slices.Sort(want)
	for _, name := range want {
		if !got[name] {
			t.Errorf("plan names %s, and nobody provides it", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if !slices.Contains(want, name) {
			t.Errorf("%s is provided, and plan/refs.go does not know it", name)
		}
	}
}
