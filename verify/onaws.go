package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// A Runner runs a script as root on an instance, and returns what it printed. An
// error says why it could not, or not to its end; what was printed counts all the
// same.
type Runner func(ctx context.Context, i perimeter.CloudInstance, script string) (string, error)

// ForAWS sorts the controls that a site on AWS can be probed for: those that are
// tried from the internet, and those that its instances try. The others are left
// out, and left says how many they are, which, and why.
func ForAWS(p *plan.Plan, c *perimeter.Cloud, jobs []Job, intrusive bool) (outside, inside []Job, left []string) {
	why := map[string][]string{}
	for _, j := range For(p, Probing(jobs)) {
		ok, reason := j.Control.OnAWS(p, c)
		switch {
		case !ok:
			why[reason] = append(why[reason], j.Control.ID)
		case j.Control.Intrusive && !intrusive:
			const words = "they load the site; ask for them with --intrusive"
			why[words] = append(why[words], j.Control.ID)
		case j.Control.Vantage == perimeter.Internet && len(j.Control.TiersOnAWS(p)) == 0:
			outside = append(outside, j)
		default: // one that nobody wrote for AWS has no tier, and ends as unknown
			inside = append(inside, j)
		}
	}
	n := 0
	for _, reason := range slices.SortedFunc(maps.Keys(why), func(a, b string) int {
		return 2*(len(why[b])-len(why[a])) + strings.Compare(a, b)
	}) {
		n += len(why[reason])
		left = append(left, fmt.Sprintf("left out, %d: %s (%s)", len(why[reason]), reason, strings.Join(why[reason], ", ")))
	}
	if n > 0 {
		left = append([]string{fmt.Sprintf("%d controls of a site on this machine are left out of the table, for the reasons below; they count neither as held nor as broken", n)}, left...)
	}
	return outside, inside, left
}

// Bounds of what one instance is given at a time. Systems Manager keeps 24,000
// characters of what a command prints.
const (
	attempts  = 110 // in one script
	maxRounds = 12  // of a conversation with the database
)

// RunInside has one instance of each tier try the controls, and hands each result to
// emit, which is never called twice at once.
func RunInside(ctx context.Context, jobs []Job, t *perimeter.Target, run Runner, emit func(perimeter.Result)) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	tell := func(j Job, began time.Time, r perimeter.Result) {
		r.ID, r.Perimeter, r.Vantage, r.Doc = j.Control.ID, j.Perimeter, j.Control.Vantage, j.Control.Doc
		r.Millis = time.Since(began).Milliseconds()
		mu.Lock()
		defer mu.Unlock()
		emit(r)
	}
	for _, tier := range t.Plan.Tiers {
		var own []Job
		for _, j := range jobs {
			if slices.Contains(j.Control.TiersOnAWS(t.Plan), tier.Name) {
				own = append(own, j)
			}
		}
		if len(own) == 0 {
			continue
		}
		wg.Go(func() { (&tierRun{t: t, tier: tier.Name, run: run, tell: tell, began: time.Now()}).all(ctx, own) })
	}
	wg.Wait()
}

// A tierRun is what one instance tries.
type tierRun struct {
	t     *perimeter.Target
	tier  string
	on    perimeter.CloudInstance
	run   Runner
	tell  func(Job, time.Time, perimeter.Result)
	began time.Time
	err   error // why the instance is given nothing more
}

func (r *tierRun) all(ctx context.Context, jobs []Job) {
	of := r.t.Cloud.Of(r.tier)
	if len(of) == 0 {
		for _, j := range jobs {
			r.tell(j, r.began, Unjudged(j, "no instance of "+r.tier+" runs"))
		}
		return
	}
	r.on = of[0]
	var talks []*talk
	var batch []Job
	s := &perimeter.Script{Tier: r.tier}
	flush := func() {
		if len(batch) > 0 {
			r.once(ctx, s, batch)
		}
		batch, s = nil, &perimeter.Script{Tier: r.tier}
	}
	for _, j := range jobs {
		if j.Control.AWS.Try == nil {
			talks = append(talks, &talk{Job: j, rounds: j.Control.AWS.Rounds(r.t.Plan)})
			continue
		}
		s.Begin(j.Control.ID)
		j.Control.AWS.Try(r.t.Plan, r.t.Cloud, s)
		s.End()
		batch = append(batch, j)
		if s.Attempts() > attempts {
			flush()
		}
	}
	flush()
	r.talk(ctx, talks)
}

// once runs a script and judges its parts.
func (r *tierRun) once(ctx context.Context, s *perimeter.Script, jobs []Job) {
	printed, err := r.give(ctx, s)
	for i, res := range s.Read(printed) {
		if err != nil && res.Verdict == perimeter.Unknown {
			res.Error = err.Error()
		}
		r.done(jobs[i], res)
	}
}

// give runs a script on the instance. After one that it could not run, or not to its
// end, it is given no other: it would only take the time that there is.
func (r *tierRun) give(ctx context.Context, s *perimeter.Script) (string, error) {
	if r.err != nil {
		return "", r.err
	}
	printed, err := r.run(ctx, r.on, s.Text())
	r.err = err
	return printed, err
}

func (r *tierRun) done(j Job, res perimeter.Result) {
	if len(res.Tried) > 0 {
		res.Evidence = append([]string{fmt.Sprintf("tried on %s, of %s", r.on.ID, r.tier)}, res.Evidence...)
	}
	r.tell(j, r.began, res)
}

// A talk is a probe of this machine that asks the database through the instance.
type talk struct {
	Job
	rounds perimeter.Rounds
}

// talk runs the probes again and again, until none asks anything more.
func (r *tierRun) talk(ctx context.Context, talks []*talk) {
	for range maxRounds {
		s := &perimeter.Script{Tier: r.tier}
		var open, later []*talk
		for _, k := range talks {
			if s.Attempts() > attempts {
				later = append(later, k)
				continue
			}
			k.rounds.Begin()
			inside := &perimeter.Target{Plan: r.t.Plan, URL: r.t.URL, Cloud: r.t.Cloud, Inside: &perimeter.Inside{Tier: r.tier, Rounds: k.rounds}}
			res := perimeter.Judge(ctx, k.Perimeter, k.Control, inside)
			if !k.rounds.Pending() {
				r.done(k.Job, res)
				continue
			}
			s.Begin(k.Control.ID)
			k.rounds.Write(s)
			s.End()
			open = append(open, k)
		}
		if len(open) == 0 {
			return // and so is later: something was asked before it
		}
		printed, err := r.give(ctx, s)
		talks = later
		for _, k := range open {
			lines, ended := perimeter.Lines(printed, k.Control.ID)
			why := ""
			switch {
			case err != nil:
				why = err.Error()
			case !ended:
				why = "what the instance printed ends before this control's end"
			}
			k.rounds.Read(lines)
			for _, f := range lines {
				if f[0] == "unclear" {
					why = f[1] + ": " + f[2]
				}
			}
			if why != "" {
				r.done(k.Job, Unjudged(k.Job, why))
			} else {
				talks = append(talks, k)
			}
		}
	}
	for _, k := range talks {
		r.done(k.Job, Unjudged(k.Job, "the probe still asks the database after many rounds"))
	}
}
