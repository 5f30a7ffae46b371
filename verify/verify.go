// Package verify runs controls and says what they come to. It knows no wall: a
// control that could not be judged is Unknown, and Unknown is never green.
package verify

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/ringwall/ringwall/perimeter"
)

// A Job is one control to judge.
type Job struct {
	Perimeter int
	Control   *perimeter.Control
}

// Bounds of one probe. A probe that ignores its context is left behind after
// grace, so that one hanging control costs its own verdict and no other.
const (
	limit = 20 * time.Second
	grace = 2 * time.Second
)

// Run judges every job against a target and hands each result to emit, which is
// never called twice at once. In parallel it runs as many at a time as there are
// processors, times four: probes wait more than they compute. Intrusive ones
// always run alone and last, because they would disturb the others.
func Run(ctx context.Context, jobs []Job, t *perimeter.Target, parallel bool, emit func(perimeter.Result)) {
	var quiet, loud []Job
	for _, j := range jobs {
		if j.Control.Intrusive {
			loud = append(loud, j)
		} else {
			quiet = append(quiet, j)
		}
	}
	n := 1
	if parallel {
		n = 4 * runtime.GOMAXPROCS(0)
	}
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		slots = make(chan struct{}, n)
	)
	for _, j := range quiet {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			r := judge(ctx, j, t, limit, grace)
			mu.Lock()
			defer mu.Unlock()
			emit(r)
		})
	}
	wg.Wait()
	for _, j := range loud {
		emit(judge(ctx, j, t, limit, grace))
	}
}

// judge is perimeter.Judge with an end.
func judge(ctx context.Context, j Job, t *perimeter.Target, limit, grace time.Duration) perimeter.Result {
	if err := ctx.Err(); err != nil {
		return Unjudged(j, "the run was stopped before this control's turn")
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	done := make(chan perimeter.Result, 1)
	go func() {
		r := Unjudged(j, "the probe ended its goroutine without an answer")
		defer func() { done <- r }()
		r = perimeter.Judge(ctx, j.Perimeter, j.Control, t)
	}()
	hung := time.NewTimer(limit + grace)
	defer hung.Stop()
	var stopped <-chan time.Time
	for over := ctx.Done(); ; {
		select {
		case r := <-done:
			return r
		case <-over:
			over = nil
			stopped = time.After(grace)
		case <-hung.C:
			return hanging(j, start)
		case <-stopped:
			return hanging(j, start)
		}
	}
}

func hanging(j Job, start time.Time) perimeter.Result {
	r := Unjudged(j, "the probe did not stop when its time was over")
	r.Millis = time.Since(start).Milliseconds()
	return r
}

// Unjudged is the result of a control that was not run, and why.
func Unjudged(j Job, why string) perimeter.Result {
	return perimeter.Result{ID: j.Control.ID, Perimeter: j.Perimeter, Vantage: j.Control.Vantage,
		Doc: j.Control.Doc, Error: why}
}

// Complete returns exactly one result per job, in the jobs' order. A job without
// a result is Unknown; of several results the worst counts; a result that
// nobody asked for is dropped.
func Complete(jobs []Job, results []perimeter.Result) []perimeter.Result {
	byID := map[string]perimeter.Result{}
	for _, r := range results {
		if old, ok := byID[r.ID]; !ok || worse(r.Verdict, old.Verdict) {
			byID[r.ID] = r
		}
	}
	out := make([]perimeter.Result, 0, len(jobs))
	for _, j := range jobs {
		r, ok := byID[j.Control.ID]
		if !ok {
			r = Unjudged(j, fmt.Sprintf("no answer came from the vantage %q", j.Control.Vantage))
		}
		// The table decides what a record is about; a probe elsewhere only reports.
		r.Perimeter, r.Vantage, r.Doc = j.Perimeter, j.Control.Vantage, j.Control.Doc
		out = append(out, r)
	}
	return out
}

// rank orders verdicts from the one that matters most.
func rank(v perimeter.Verdict) int {
	switch v {
	case perimeter.Broken:
		return 0
	case perimeter.Held:
		return 2
	}
	return 1
}

func worse(a, b perimeter.Verdict) bool { return cmp.Less(rank(a), rank(b)) }

// Overall is what results come to: Broken if any is, else Unknown if any is,
// else Held. Nothing at all is Unknown.
func Overall(results []perimeter.Result) perimeter.Verdict {
	if len(results) == 0 {
		return perimeter.Unknown
	}
	worst := slices.MinFunc(results, func(a, b perimeter.Result) int {
		return cmp.Compare(rank(a.Verdict), rank(b.Verdict))
	})
	if rank(worst.Verdict) == 1 {
		return perimeter.Unknown
	}
	return worst.Verdict
}
