// Package report prints what probes found, in several formats at once. A format
// is a Sink; all of them are given the same Report and none of them judges.
package report

import (
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/verify"
)

// Version of the JSON schema. It changes when a field changes its meaning or
// goes; new fields do not change it.
const Version = 1

// A Report is the outcome of one run over a site.
type Report struct {
	Version     int               `json:"version"`
	Tool        string            `json:"tool"` // ringwall and its version
	Site        string            `json:"site"`
	URL         string            `json:"url,omitempty"`         // of a site elsewhere
	Enforcement string            `json:"enforcement,omitempty"` // full or weak; empty for a site elsewhere
	Started     time.Time         `json:"started"`
	Millis      int64             `json:"ms"`
	Verdict     perimeter.Verdict `json:"verdict"`
	Counts      Counts            `json:"counts"`
	Notes       []string          `json:"notes"` // what a reader must know to judge the verdict
	Perimeters  []Wall            `json:"perimeters"`
	Controls    []Record          `json:"controls"` // exactly one per control, outside in
}

// Counts are numbers of controls by verdict.
type Counts struct {
	Held    int `json:"held"`
	Broken  int `json:"broken"`
	Unknown int `json:"unknown"`
}

func (c *Counts) add(v perimeter.Verdict) {
	switch v {
	case perimeter.Held:
		c.Held++
	case perimeter.Broken:
		c.Broken++
	default:
		c.Unknown++
	}
}

// Total is the number of controls.
func (c Counts) Total() int { return c.Held + c.Broken + c.Unknown }

// A Wall is one perimeter's part of a report. Its verdict is Unknown when it has
// no control in this run: Total tells that apart.
type Wall struct {
	Number  int               `json:"number"`
	Name    string            `json:"name"`
	Doc     string            `json:"doc"`
	Verdict perimeter.Verdict `json:"verdict"`
	Counts
}

// A Record is one control's outcome.
type Record struct {
	ID        string            `json:"id"`
	Perimeter int               `json:"perimeter"`
	Vantage   perimeter.Vantage `json:"vantage"`
	Verdict   perimeter.Verdict `json:"verdict"`
	Doc       string            `json:"doc"`
	Why       string            `json:"why"`   // what an attacker gains where it is broken
	Tried     []string          `json:"tried"` // what was done
	Evidence  []string          `json:"evidence"`
	Error     string            `json:"error,omitempty"` // why it is unknown
	InProcess bool              `json:"in_process,omitempty"`
	Millis    int64             `json:"ms"`

	Meets      []string            `json:"meets,omitempty"`      // ids of what others wrote: INV-01, CIS 5.1
	Findings   []perimeter.Finding `json:"findings,omitempty"`   // of a check of templates: each place
	Suppressed []perimeter.Finding `json:"suppressed,omitempty"` // places that somebody answers for
}

// Build makes the report of a run: head has the fields that describe the run,
// the rest is filled from the jobs and their results.
func Build(head Report, ps []*perimeter.Perimeter, jobs []verify.Job, results []perimeter.Result) *Report {
	r := head
	r.Version = Version
	results = verify.Complete(jobs, results)
	r.Verdict = verify.Overall(results)
	byWall := map[int][]perimeter.Result{}
	r.Controls = make([]Record, 0, len(results))
	for i, x := range results {
		byWall[x.Perimeter] = append(byWall[x.Perimeter], x)
		r.Counts.add(x.Verdict)
		r.Controls = append(r.Controls, Record{
			ID: x.ID, Perimeter: x.Perimeter, Vantage: x.Vantage, Verdict: x.Verdict, Doc: x.Doc,
			Why: jobs[i].Control.Why, Tried: list(x.Tried), Evidence: list(x.Evidence),
			Error: x.Error, InProcess: x.InProcess, Millis: x.Millis,
			Meets: jobs[i].Control.Meets, Findings: x.Findings, Suppressed: x.Suppressed,
		})
	}
	r.Perimeters = make([]Wall, 0, len(ps))
	for _, p := range ps {
		w := Wall{Number: p.Number, Name: p.Name, Doc: p.Doc, Verdict: verify.Overall(byWall[p.Number])}
		for _, x := range byWall[p.Number] {
			w.add(x.Verdict)
		}
		r.Perimeters = append(r.Perimeters, w)
	}
	r.Notes = list(r.Notes)
	return &r
}

// list is never nil, so that JSON has a list in every record.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// A Sink takes a finished report.
type Sink interface {
	Write(*Report) error
}
