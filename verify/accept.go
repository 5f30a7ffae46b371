package verify

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// Accept takes the findings that somebody answers for out of results, and judges
// what is left. An expired suppression covers nothing and is said to have expired;
// one that covers nothing is said to be unused.
func Accept(results []perimeter.Result, accepted []plan.Suppression, now time.Time) (out []perimeter.Result, notes []string) {
	used := make([]bool, len(accepted))
	covers := func(id string, f perimeter.Finding) int {
		return slices.IndexFunc(accepted, func(s plan.Suppression) bool {
			return s.ID == id && (s.Scope == "" || inScope(s.Scope, f))
		})
	}
	for _, r := range results {
		var left []perimeter.Finding
		r.Suppressed = nil
		for _, f := range r.Findings {
			i := covers(r.ID, f)
			if i < 0 {
				left = append(left, f)
				continue
			}
			used[i] = true
			s := accepted[i]
			if s.Expired(now) {
				f.Words += fmt.Sprintf(" (accepted by %s until %s, which has passed)", s.Owner, s.Expires.Format("2006-01-02"))
				left = append(left, f)
				continue
			}
			f.Reason = fmt.Sprintf("%s; %s, until %s", s.Reason, s.Owner, s.Expires.Format("2006-01-02"))
			r.Suppressed = append(r.Suppressed, f)
		}
		if len(r.Suppressed) > 0 {
			r = rejudge(r, left)
		} else {
			r.Findings = left
		}
		out = append(out, r)
	}
	for i, s := range accepted {
		if !used[i] {
			notes = append(notes, fmt.Sprintf("line %d of what is accepted, %s %s, covers nothing: take it away", s.Line, s.ID, cmp.Or(s.Scope, "everywhere")))
		} else if s.Expired(now) {
			notes = append(notes, fmt.Sprintf("line %d of what is accepted, %s, expired on %s: %s decides again", s.Line, s.ID, s.Expires.Format("2006-01-02"), s.Owner))
		}
	}
	return out, notes
}

// inScope compares a scope with a finding's resource, or with its file.
func inScope(scope string, f perimeter.Finding) bool {
	for _, name := range []string{f.Resource, f.File, strings.TrimPrefix(f.Resource, strings.SplitN(f.Resource, "/", 2)[0]+"/")} {
		if ok, err := path.Match(scope, name); ok && err == nil && name != "" {
			return true
		}
	}
	return false
}

// rejudge is the verdict of what is left: a control of which every finding is
// accepted is held, unless it could not be judged for another reason.
func rejudge(r perimeter.Result, left []perimeter.Finding) perimeter.Result {
	unsure := r.Verdict == perimeter.Unknown && !slices.ContainsFunc(slices.Concat(left, r.Suppressed), func(f perimeter.Finding) bool { return f.Words == r.Error })
	r.Findings, r.Evidence = left, nil
	for _, f := range left {
		r.Evidence = append(r.Evidence, f.Place()+": "+f.Words)
	}
	r.Verdict = perimeter.Held
	for _, f := range left {
		if f.Verdict == perimeter.Broken {
			r.Verdict = perimeter.Broken
			return r
		}
	}
	if len(left) > 0 {
		r.Verdict, r.Error = perimeter.Unknown, left[0].Words
		return r
	}
	if unsure && r.Error != "" {
		r.Verdict = perimeter.Unknown
		return r
	}
	r.Error = ""
	return r
}
