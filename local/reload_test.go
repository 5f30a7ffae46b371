//go:build linux

package local

import (
	"os"
	"reflect"
	"testing"

	"github.com/ringwall/ringwall/plan"
)

// Rules that were put in force hold for a hub that starts again, and not for the
// next run; damaged ones stop it.
func TestTakeRules(t *testing.T) {
	s := State{Dir: t.TempDir()}
	if err := os.Mkdir(s.Run(), 0o700); err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{App: "shop", Env: "dev"}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(s.reloaded(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := hubConfig{Plan: p, State: s, Serial: 1}
	if err := again.takeRules(); err != nil || again.Plan != p {
		t.Errorf("without a reload: got %+v, %v", again.Plan, err)
	}
	write(`{"Paranoia":3,"Exclusions":[{"rule":942100,"path":"/a","reason":"x"}]}`)
	if err := again.takeRules(); err != nil {
		t.Fatal(err)
	}
	if want := (plan.WAF{Paranoia: 3, Exclusions: []plan.Exclusion{{Rule: 942100, Path: "/a", Reason: "x"}}}); !reflect.DeepEqual(again.Plan.Edge.WAF, want) || p.Edge.WAF.Paranoia != 0 {
		t.Errorf("after a reload: got %+v", again.Plan.Edge.WAF)
	}
	write(`{"Paranoia":`)
	if err := again.takeRules(); err == nil {
		t.Error("damaged rules: got no error")
	}
	first := hubConfig{Plan: p, State: s}
	if err := first.takeRules(); err != nil || first.Plan != p {
		t.Errorf("a new run: got %+v, %v", first.Plan, err)
	}
	if _, err := os.Stat(s.reloaded()); !os.IsNotExist(err) {
		t.Errorf("a new run left the old rules: %v", err)
	}
}
