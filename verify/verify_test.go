package verify

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
)

func control(id string, probe func(context.Context, *perimeter.Target) error) *perimeter.Control {
	return &perimeter.Control{ID: id, Doc: "Doc of " + id + ".", Why: "why", Vantage: perimeter.Internet, Probe: probe}
}

func held(_ context.Context, t *perimeter.Target) error   { t.Tried("knocked"); return nil }
func broken(_ context.Context, t *perimeter.Target) error { t.Broken("came in"); return nil }

func walls() []*perimeter.Perimeter {
	return []*perimeter.Perimeter{
		{Number: 0, Name: "people", Controls: []*perimeter.Control{control("people/socket", held)}},
		{Number: 1, Name: "network"},
		{Number: 2, Name: "edge", Controls: []*perimeter.Control{control("edge/waf-xss", held), control("edge/waf-sql", broken)}},
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name  string
		probe func(context.Context, *perimeter.Target) error
		want  perimeter.Verdict
		err   string
	}{
		{"held", held, perimeter.Held, ""},
		{"broken", broken, perimeter.Broken, ""},
		{"error", func(context.Context, *perimeter.Target) error { return errors.New("no route") }, perimeter.Unknown, "no route"},
		{"broken and error", func(_ context.Context, t *perimeter.Target) error { t.Broken("x"); return errors.New("later") }, perimeter.Broken, ""},
		{"panic", func(context.Context, *perimeter.Target) error { panic("boom") }, perimeter.Unknown, "boom"},
		{"exit of the goroutine", func(context.Context, *perimeter.Target) error { runtime.Goexit(); return nil }, perimeter.Unknown, "without an answer"},
		{"tried nothing", func(context.Context, *perimeter.Target) error { return nil }, perimeter.Unknown, "tried nothing"},
		{"no probe", nil, perimeter.Unknown, "no probe"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []perimeter.Result
			Run(t.Context(), []Job{{2, control("edge/x", c.probe)}}, &perimeter.Target{}, true, func(r perimeter.Result) { got = append(got, r) })
			if len(got) != 1 || got[0].Verdict != c.want || !strings.Contains(got[0].Error, c.err) {
				t.Errorf("got %+v, want %v with error %q", got, c.want, c.err)
			}
		})
	}
}

func TestHangingProbeCostsOnlyItself(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	j := Job{2, control("edge/hangs", func(context.Context, *perimeter.Target) error { <-never; return nil })}
	r := judge(t.Context(), j, &perimeter.Target{}, 20*time.Millisecond, 20*time.Millisecond)
	if r.Verdict != perimeter.Unknown || !strings.Contains(r.Error, "did not stop") {
		t.Errorf("got %+v, want unknown", r)
	}
}

func TestStoppedRunIsUnknown(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := 0
	Run(ctx, Jobs(walls()), &perimeter.Target{}, true, func(r perimeter.Result) {
		n++
		if r.Verdict != perimeter.Unknown {
			t.Errorf("%s: got %v, want unknown", r.ID, r.Verdict)
		}
	})
	if n != 3 {
		t.Errorf("got %d results, want 3", n)
	}
}

func TestIntrusiveRunsAlone(t *testing.T) {
	var running, most atomic.Int32
	probe := func(_ context.Context, t *perimeter.Target) error {
		t.Tried("x")
		most.Store(max(most.Load(), running.Add(1)))
		time.Sleep(5 * time.Millisecond)
		running.Add(-1)
		return nil
	}
	flood := control("network/flood", func(_ context.Context, t *perimeter.Target) error {
		t.Tried("flood")
		if n := running.Load(); n != 0 {
			t.Broken("%d others were running", n)
		}
		return nil
	})
	flood.Intrusive = true
	jobs := []Job{{1, flood}}
	for range 20 {
		jobs = append(jobs, Job{2, control("edge/x", probe)})
	}
	var got []perimeter.Result
	Run(t.Context(), jobs, &perimeter.Target{}, true, func(r perimeter.Result) { got = append(got, r) })
	if last := got[len(got)-1]; last.ID != "network/flood" || last.Verdict != perimeter.Held {
		t.Errorf("last is %+v, want the flood, held", last)
	}
	if most.Load() < 2 {
		t.Error("probes did not run beside each other")
	}
}

func TestSelect(t *testing.T) {
	for _, c := range []struct{ only, want, err string }{
		{"", "people/socket edge/waf-xss edge/waf-sql", ""},
		{"edge", "edge/waf-xss edge/waf-sql", ""},
		{"2", "edge/waf-xss edge/waf-sql", ""},
		{"edge/waf-sql,people", "people/socket edge/waf-sql", ""},
		{"edge/waf-sql,edge", "edge/waf-xss edge/waf-sql", ""},
		{"network", "", "has no control"},
		{"egde", "", `did you mean "edge"?`},
		{"edge/waf-xxs", "", `did you mean "edge/waf-xss"?`},
		{"sql", "", `did you mean "edge/waf-sql"?`},
		{"zebra", "", `"zebra" is neither a perimeter nor a control (`},
		{" ", "", "neither"},
	} {
		var only []string
		if c.only != "" {
			only = strings.Split(c.only, ",")
		}
		jobs, err := Select(walls(), only)
		var ids []string
		for _, j := range jobs {
			ids = append(ids, j.Control.ID)
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("Select(%q): got %q, want %q", c.only, got, c.want)
		}
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("Select(%q): error %v, want %q", c.only, err, c.err)
		}
	}
}

func TestComplete(t *testing.T) {
	jobs := Jobs(walls())
	got := Complete(jobs, []perimeter.Result{
		{ID: "edge/waf-sql", Verdict: perimeter.Held, Perimeter: 9, Vantage: "moon"},
		{ID: "edge/waf-sql", Verdict: perimeter.Broken},
		{ID: "edge/waf-sql", Verdict: perimeter.Held},
		{ID: "people/socket", Verdict: perimeter.Held},
		{ID: "people/socket", Verdict: perimeter.Unknown},
		{ID: "nobody/asked", Verdict: perimeter.Held},
	})
	want := []perimeter.Verdict{perimeter.Unknown, perimeter.Unknown, perimeter.Broken}
	if len(got) != len(want) {
		t.Fatalf("got %d results, want %d", len(got), len(want))
	}
	for i, r := range got {
		if r.Verdict != want[i] || r.ID != jobs[i].Control.ID || r.Perimeter != jobs[i].Perimeter || r.Vantage != perimeter.Internet {
			t.Errorf("result %d: got %+v, want %v of %s", i, r, want[i], jobs[i].Control.ID)
		}
	}
	if !strings.Contains(got[1].Error, "no answer") {
		t.Errorf("error %q, want that no answer came", got[1].Error)
	}
}

func TestOverall(t *testing.T) {
	h, b, u := perimeter.Held, perimeter.Broken, perimeter.Unknown
	for _, c := range []struct {
		in   []perimeter.Verdict
		want perimeter.Verdict
	}{
		{nil, u}, {[]perimeter.Verdict{h}, h}, {[]perimeter.Verdict{h, u, h}, u},
		{[]perimeter.Verdict{u, b}, b}, {[]perimeter.Verdict{b, h}, b}, {[]perimeter.Verdict{h, perimeter.Verdict(7)}, u},
	} {
		var rs []perimeter.Result
		for _, v := range c.in {
			rs = append(rs, perimeter.Result{Verdict: v})
		}
		if got := Overall(rs); got != c.want {
			t.Errorf("Overall(%v): got %v, want %v", c.in, got, c.want)
		}
	}
}

// Alarms that nobody is told of are said, whatever their controls say.
func TestUnheardAlarms(t *testing.T) {
	const alarm = "Resources:\n  Topic: {Type: AWS::SNS::Topic}\n  Alarm: {Type: AWS::CloudWatch::Alarm, Properties: {AlarmActions: [!Ref Topic]}}\n"
	for text, want := range map[string]int{
		alarm: 1,
		alarm + "  Reader: {Type: AWS::SNS::Subscription, Properties: {TopicArn: !Ref Topic, Protocol: email, Endpoint: a@example.com}}\n": 0,
	} {
		set, err := template.New([]template.File{{Name: "a.yaml", Text: []byte(text)}})
		if err != nil {
			t.Fatal(err)
		}
		worlds, _ := set.Worlds()
		if got := unheard(worlds[0]); len(got) != want {
			t.Errorf("got %q, want %d", got, want)
		}
	}
}
