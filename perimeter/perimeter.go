// Package perimeter defines what a wall is: a Perimeter with its Controls, and
// the Verdict on each. The eleven walls are its subpackages; they never import
// each other.
package perimeter

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/plan"
)

// A Perimeter is one wall around the site.
type Perimeter struct {
	Number   int
	Name     string     // its directory and its argument on the command line
	Doc      string     // what it keeps out, in a sentence
	Controls []*Control // the promises it makes

	// Synth adds what the wall is on AWS to the site's stacks; nil where it has
	// nothing there. What it must know of other walls it takes by plan's Refs.
	// Errors of the set itself are collected and need not be returned.
	Synth func(*plan.Plan, *cfn.Stacks) error
}

// A Control is one promise, and the ways to see that it is kept: a Probe of what
// runs, a Check of what will be built, or both.
type Control struct {
	ID        string // perimeter/name: edge/origin-secret
	Doc       string // the promise, in a sentence
	Why       string // what an attacker gains where it is broken
	Vantage   Vantage
	Intrusive bool     // loads the site; on a site elsewhere it is tried only when asked for
	Office    bool     // asks from an administrator's address too
	Needs     []string // layers of the enforcement, by name, without which it cannot hold; "a or b": one of them is enough

	// Applies says whether a site has what this promise is about: there are no
	// grants to try where there is no database. A control that does not apply is
	// left out of the site's table, never counted as held. Nil: it always does.
	Applies func(*plan.Plan) bool

	// Wall is the control whose switch takes this one's wall down too, in builds
	// that have switches; empty: its own.
	Wall string

	// Probe tries to break the promise on a running site. It calls Target.Tried
	// for what it did and Target.Broken for what came through. An error means
	// that the control could not be judged; so does a probe that tried nothing.
	Probe func(context.Context, *Target) error

	// AWS says how the promise is judged on a site on AWS, where Probe does not. A
	// control of another vantage than the internet needs one.
	AWS *AWS

	// Check reads templates. It calls Pass.Tried for what it looked at, and
	// Pass.Broken, Unknown or Absent for what it found. An error means that the
	// control could not be judged; so does a check that looked at nothing.
	Check func(*Pass) error

	// Meets are the ids of what others wrote that the promise answers: "INV-01",
	// "CIS 5.1" (CIS AWS Foundations 1.5.0).
	Meets []string
}

// For says whether the control is one of a site's promises.
func (c *Control) For(p *plan.Plan) bool { return c.Applies == nil || c.Applies(p) }

// Switch is the id under which a test build takes the control's wall down.
func (c *Control) Switch() string { return cmp.Or(c.Wall, c.ID) }

// A Vantage is where a probe stands.
type Vantage string

const (
	Internet   Vantage = "internet" // outside, with a visitor's, an administrator's or a stranger's address
	Beside     Vantage = "beside"   // next to the edge, in the site's network
	InFleet    Vantage = "fleet"    // inside a fleet instance's walls
	InAdmin    Vantage = "admin"    // inside the admin instance's walls
	InDatabase Vantage = "database" // inside the database's network
	Machine    Vantage = "machine"  // on the machine, as the site's owner
	Template   Vantage = "template" // nowhere: what will be built is read
)

// Verdict says whether a promise is kept.
type Verdict int

const (
	Unknown Verdict = iota // could not be judged; never green
	Broken                 // the promise is not kept
	Held                   // the promise is kept
)

var verdicts = [...]string{"unknown", "broken", "held"}

func (v Verdict) String() string { return verdicts[v] }

// MarshalText writes held, broken or unknown.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (v *Verdict) UnmarshalText(b []byte) error {
	for i, s := range verdicts {
		if s == string(b) {
			*v = Verdict(i)
			return nil
		}
	}
	return fmt.Errorf("reading a verdict: got %q, want held, broken or unknown", b)
}

// A Result is the outcome of one control's probe.
type Result struct {
	ID        string   `json:"id"`
	Perimeter int      `json:"perimeter"`
	Vantage   Vantage  `json:"vantage"`
	Verdict   Verdict  `json:"verdict"`
	Doc       string   `json:"doc"`
	Tried     []string `json:"tried"`              // what was done
	Evidence  []string `json:"evidence,omitempty"` // what was seen: refusals, or what came through
	Error     string   `json:"error,omitempty"`    // why it is unknown
	InProcess bool     `json:"in_process,omitempty"`
	Millis    int64    `json:"ms"`

	Findings   []Finding `json:"findings,omitempty"`   // of a check: each place
	Suppressed []Finding `json:"suppressed,omitempty"` // places that somebody answers for
}

// Judge runs one control's probe against a target and returns its verdict.
// A panic, an error, a probe that tried nothing, and a missing probe are Unknown.
func Judge(ctx context.Context, number int, c *Control, t *Target) (r Result) {
	start := time.Now()
	t = t.fresh()
	t.wall = number
	r = Result{ID: c.ID, Perimeter: number, Vantage: c.Vantage, Doc: c.Doc}
	defer func() {
		if p := recover(); p != nil {
			r.Verdict, r.Error = Unknown, fmt.Sprintf("the probe panicked: %v", p)
		}
		r.Millis = time.Since(start).Milliseconds()
		t.mu.Lock()
		defer t.mu.Unlock()
		r.Tried, r.Evidence = t.tried, t.evidence
	}()
	probe := c.Probe
	if t.Cloud != nil && c.AWS != nil && c.AWS.Probe != nil {
		probe = c.AWS.Probe
	}
	if probe == nil {
		r.Error = "this control has no probe"
		return r
	}
	for _, n := range c.Needs {
		if t.lacks(n) {
			r.Error = "this machine cannot enforce it: it lacks " + n
			return r
		}
	}
	err := probe(ctx, t)
	switch {
	case t.isBroken():
		r.Verdict = Broken
	case err != nil:
		r.Error = err.Error()
	case ctx.Err() != nil:
		r.Error = "the probe ran out of time"
	case t.count() == 0:
		r.Error = "the probe tried nothing"
	default:
		r.Verdict = Held
	}
	return r
}
