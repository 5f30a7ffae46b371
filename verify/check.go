package verify

import (
	"fmt"
	"slices"

	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// Check judges templates by every control that can be read from them. It returns
// the controls that the templates have something for, their results in the same
// order, and what a reader must know to judge them. The plan is nil for templates
// that are not a site's own.
func Check(p *plan.Plan, set *template.Set, jobs []Job) ([]Job, []perimeter.Result, []string) {
	jobs = Checking(jobs)
	if p != nil {
		jobs = For(p, jobs)
	}
	worlds, all := set.Worlds()
	var passes []*perimeter.Pass
	var notes []string
	for _, w := range worlds {
		passes = append(passes, perimeter.NewPass(p, w))
		for _, n := range w.Notes {
			if !slices.Contains(notes, n) {
				notes = append(notes, n)
			}
		}
	}
	if len(worlds) > 1 {
		notes = append(notes, fmt.Sprintf("parameters: judged with their default values, and in %d more ways for the values that are permitted", len(worlds)-1))
	}
	notes = append(notes, unheard(worlds[0])...)
	var judged []Job
	var results []perimeter.Result
	var absent []string
	for _, j := range jobs {
		r, applies := perimeter.Check(j.Perimeter, j.Control, passes, all)
		if !applies {
			absent = append(absent, j.Control.ID)
			continue
		}
		judged = append(judged, j)
		results = append(results, r)
	}
	if len(absent) > 0 {
		notes = append(notes, fmt.Sprintf("%d controls are about things that these templates do not have, and are left out", len(absent)))
	}
	return judged, results, notes
}

// unheard names the topics that alarms go to and that no template subscribes anybody to.
func unheard(w *template.World) []string {
	heard := map[*template.Resource]bool{}
	for _, s := range w.OfType("AWS::SNS::Subscription") {
		heard[w.Of(s.Get("TopicArn"))] = true
	}
	var out []string
	for _, a := range w.OfType("AWS::CloudWatch::Alarm") {
		for _, v := range a.Get("AlarmActions").List() {
			t := w.Of(v)
			if t == nil || t.Type != "AWS::SNS::Topic" || heard[t] || !t.Get("Subscription").Absent() {
				continue
			}
			heard[t] = true
			out = append(out, "alarms go to "+t.Key()+", to which no template subscribes anybody: until somebody does, nobody is told")
		}
	}
	return out
}
