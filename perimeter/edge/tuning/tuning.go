// Package tuning says what a change of a site's rules does: which attacks, which of
// the core rule set's own tests and which recorded good requests get another
// verdict. It judges requests in process and sends nothing.
package tuning

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	crstests "github.com/corazawaf/coraza-coreruleset/v4/tests"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/waf"
	"github.com/ringwall/ringwall/waf/ftw"
)

// A Kind is where a case comes from.
type Kind string

// Kinds, in the order in which they are shown.
const (
	Probe Kind = "probe"            // what `ringwall probe` sends
	Stage Kind = "regression stage" // the core rule set's own tests
	Good  Kind = "good request"     // recorded: it passed, and the app was content
)

// Kinds lists them in order.
var Kinds = []Kind{Probe, Stage, Good}

// A Case is one request to be judged by the rules before and after a change.
type Case struct {
	Kind    Kind
	Name    string
	Control string   // of a probe: what it proves
	Admin   bool     // it comes from an administrator
	Place   string   // where it was moved to; empty: it is as it was
	Masked  []string // parts of a good request for which a plain word stands, as rules call them
	Request ftw.Request
}

// A Change is a case whose verdict the change of the rules changes.
type Change struct {
	Case
	Before, After edge.Ruling
}

// Weaker says whether what was refused passes now.
func (c *Change) Weaker() bool { return c.Before.Verdict < c.After.Verdict }

// Masks says whether a rule that decides matched, or may have matched, a plain
// word that stands for a value which was not kept.
func (c *Change) Masks() bool {
	decides := c.decides()
	for _, m := range decides.Matched {
		if !slices.ContainsFunc(decides.Refusal.Rules, func(r proxy.Rule) bool { return r.ID == m.Rule.ID }) {
			continue
		}
		for _, d := range m.Matches {
			if len(c.Masked) > 0 && strings.Contains(d.Value, edge.Mask) || slices.Contains(c.Masked, d.Variable+":"+d.Key) {
				return true
			}
		}
	}
	return false
}

// decides is the ruling with the rules that make the difference.
func (c *Change) decides() *edge.Ruling {
	if c.Weaker() {
		return &c.Before
	}
	return &c.After
}

// A Radius is what a change of rules changes.
type Radius struct {
	Judged  map[string]map[Kind]int // by place ("" is as it was) and kind
	Stopped map[string]map[Kind]int // of these, refused before
	Places  []string                // in order
	Changes []Change                // in the order of the cases
	Lacking int                     // good requests for parts of which a plain word stands
	Masked  map[string]int          // these parts, and in how many good requests
	Unkept  []Unkept                // good requests that nobody could judge; for who read them to set
}

// Passing lists the probes' own attacks, as they are sent, that were refused and
// now are not.
func (r *Radius) Passing() (out []Change) {
	for _, c := range r.Changes {
		if c.Kind == Probe && c.Place == "" && !c.Admin && c.Weaker() {
			out = append(out, c)
		}
	}
	return out
}

// Compare judges every case by both judges. It uses all processors.
func Compare(ctx context.Context, before, after *edge.Judge, cases []Case) (*Radius, error) {
	for _, j := range []*edge.Judge{before, after} {
		if err := j.Build(); err != nil {
			return nil, err
		}
	}
	excludes := onlyExcludes(before.Settings(), after.Settings())
	was, is := make([]edge.Ruling, len(cases)), make([]edge.Ruling, len(cases))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1) - 1)
				if i >= len(cases) {
					return
				}
				c := &cases[i]
				was[i] = before.Judge(&c.Request, c.Admin)
				if is[i] = was[i]; excludes == nil || matches(&was[i], excludes) {
					is[i] = after.Judge(&c.Request, c.Admin)
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("comparing the rules: %w", err)
	}
	r := &Radius{Judged: map[string]map[Kind]int{}, Stopped: map[string]map[Kind]int{}, Masked: map[string]int{}}
	for i, c := range cases {
		if len(c.Masked) > 0 {
			r.Lacking++
		}
		for _, part := range c.Masked {
			r.Masked[part]++
		}
		if r.Judged[c.Place] == nil {
			r.Judged[c.Place], r.Stopped[c.Place] = map[Kind]int{}, map[Kind]int{}
			r.Places = append(r.Places, c.Place)
		}
		r.Judged[c.Place][c.Kind]++
		if was[i].Verdict == edge.Refused || was[i].Verdict == edge.Logged {
			r.Stopped[c.Place][c.Kind]++
		}
		if was[i].Verdict != is[i].Verdict {
			r.Changes = append(r.Changes, Change{c, was[i], is[i]})
		}
	}
	return r, nil
}

// onlyExcludes are the rules that a change leaves out somewhere, when that is all
// that it does; nil: it does more. Leaving a rule out changes nothing for a
// request that the rule does not match.
func onlyExcludes(before, after plan.WAF) []int {
	n := len(before.Exclusions)
	if n >= len(after.Exclusions) || !slices.Equal(before.Exclusions, after.Exclusions[:n]) {
		return nil
	}
	var out []int
	for _, x := range after.Exclusions[n:] {
		out = append(out, x.Rule)
	}
	before.Exclusions, after.Exclusions = nil, nil
	if !reflect.DeepEqual(before, after) {
		return nil
	}
	return out
}

func matches(r *edge.Ruling, ids []int) bool {
	return slices.ContainsFunc(r.Matched, func(m waf.MatchedRule) bool { return slices.Contains(ids, m.Rule.ID) })
}

// Probes are the attacks of the rules' probes, as a visitor sends them.
func Probes() []Case {
	var out []Case
	for _, a := range edge.Attacks() {
		out = append(out, Case{Kind: Probe, Name: a.Name, Control: a.Control, Request: a.Request})
	}
	return out
}

var stages = sync.OnceValues(func() ([]ftw.Stage, error) { return ftw.Read(crstests.FS) })

// Stages are the requests of the core rule set's own tests. They are read when
// they are first asked for, which takes about a second.
func Stages() ([]Case, error) {
	all, err := stages()
	if err != nil {
		return nil, fmt.Errorf("reading the core rule set's tests: %w", err)
	}
	out := make([]Case, len(all))
	for i := range all {
		out[i] = Case{Kind: Stage, Name: all[i].Name, Request: all[i].Request}
	}
	return out, nil
}

// Cases are those by which a change from one plan to another is judged: every
// attack as it is and, for each place where one of the plans makes an exception
// and the other does not, moved there; and the good requests.
func Cases(before, after *plan.Plan, good []Case) ([]Case, error) {
	attacks := Probes()
	stages, err := Stages()
	if err != nil {
		return nil, err
	}
	var differ [2]bool
	for i, asAdmin := range []bool{false, true} {
		was, err := edge.NewJudge(before).Program(asAdmin)
		if err != nil {
			return nil, err
		}
		is, err := edge.NewJudge(after).Program(asAdmin)
		if err != nil {
			return nil, err
		}
		differ[i] = was != is
	}
	var out []Case
	add := func(cases []Case, asAdmin bool) {
		for _, c := range cases {
			c.Admin = asAdmin
			out = append(out, c)
		}
	}
	add(attacks, false)
	if differ[1] {
		add(attacks, true)
	}
	add(stages, !differ[0] && differ[1]) // the same rules twice would tell nothing new
	for _, at := range places(before.Edge.WAF, after.Edge.WAF) {
		for _, list := range [][]Case{attacks, stages} {
			for _, c := range list {
				if moved, ok := at.move(c.Request); ok {
					c.Request, c.Place, c.Admin = moved, at.String(), !differ[0] && differ[1]
					out = append(out, c)
				}
			}
		}
	}
	return append(out, good...), nil
}
