package people

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/plan"
)

// TestAlarms: each recommendation 4.1 to 4.15 of CIS 1.5.0 has a filter whose
// metric an alarm watches, and the alarm tells the topic.
func TestAlarms(t *testing.T) {
	s := cfn.New("eu-central-1")
	s.Declare(plan.StackBaseline, "wp-dev-baseline-stack", "", "")
	s.Declare(plan.StackNetwork, "wp-dev-network-stack", "", "")
	s.Declare(plan.StackCDN, "wp-dev-cdn-stack", plan.EdgeRegion, "")
	p := &plan.Plan{App: "wp", Env: "dev", Tiers: []plan.Tier{{Name: plan.Admin, Write: true}, {Name: plan.Fleet}}}
	p.AWS = plan.AWS{Region: "eu-central-1", AccountBaseline: true}
	if err := synth(p, s); err != nil {
		t.Fatal(err)
	}
	list, err := s.Templates()
	if err != nil {
		t.Fatal(err)
	}
	var tm struct {
		Resources map[string]struct {
			Type       string
			Properties map[string]any
		}
	}
	if err := json.Unmarshal(list[0].JSON(), &tm); err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(cisAlarms) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		name := f[1]
		filter, alarm := tm.Resources[name+"Filter"].Properties, tm.Resources[name+"Alarm"].Properties
		if filter == nil || alarm == nil {
			t.Errorf("%s has no filter or no alarm", f[0])
			continue
		}
		n++
		metric := filter["MetricTransformations"].([]any)[0].(map[string]any)
		if metric["MetricName"] != alarm["MetricName"] || metric["MetricNamespace"] != alarm["Namespace"] {
			t.Errorf("%s: the filter counts %v and the alarm watches %v", f[0], metric["MetricName"], alarm["MetricName"])
		}
		if actions, _ := json.Marshal(alarm["AlarmActions"]); string(actions) != `[{"Ref":"AlarmTopic"}]` {
			t.Errorf("%s tells %s", f[0], actions)
		}
		if alarmWords[f[0]] == "" {
			t.Errorf("%s has no words", f[0])
		}
		if filter["FilterPattern"] != f[2] {
			t.Errorf("%s: the pattern %v", f[0], filter["FilterPattern"])
		}
	}
	if n != 15 {
		t.Errorf("got %d alarms, want 15", n)
	}
}

func TestAtMost(t *testing.T) {
	long := strings.Repeat("a", 60)
	if got := atMost(long, 50); len(got) != 50 || got == atMost(long+"b", 50) {
		t.Errorf("atMost gives %q of %d characters, the same for two names", got, len(got))
	}
	if got := atMost("wp-dev", 50); got != "wp-dev" {
		t.Errorf("atMost changes a short name to %q", got)
	}
}
