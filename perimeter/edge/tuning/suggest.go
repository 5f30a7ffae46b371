package tuning

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/plan"
)

// Suggest finds the narrowest exclusions that let a refused request pass: its
// path alone, the fewest rules that bring the sum under the threshold, and of
// each the parts of the request where it matched. An error says why there are none.
func Suggest(e *proxy.Event) ([]plan.Exclusion, error) {
	ref := e.Refusal
	switch {
	case ref == nil:
		return nil, errors.New("no wall refused this request")
	case len(ref.Rules) == 0:
		return nil, fmt.Errorf("no rule refused this request but %s (%s): an exclusion would change nothing", ref.Control, ref.Reason)
	case ref.Threshold == 0 && ref.Rules[len(ref.Rules)-1].ID < 900000 && ref.Rules[0].ID < 900000:
		why := "it is one of the site's own; change it there (waf.rules)"
		if ref.Rules[0].ID > edge.MaxOwnID {
			why = "the request's body cannot be read, and no exclusion changes that"
		}
		return nil, fmt.Errorf("rule %d refused this request by itself: %s", ref.Rules[0].ID, why)
	}
	at, err := cleaned(e.URL)
	if err != nil {
		return nil, err
	}
	rules := slices.Clone(ref.Rules)
	slices.SortStableFunc(rules, func(a, b proxy.Rule) int { return cmp.Compare(b.Score, a.Score) })
	rest := 0
	for _, r := range rules {
		rest += r.Score
	}
	rest = max(rest, ref.Score)
	var out []plan.Exclusion
	for _, r := range rules {
		if rest < ref.Threshold {
			break
		}
		rest -= r.Score
		targets := append([]string{r.Target}, r.Also...)
		reason := "say here why this is good: " + r.Message
		for _, t := range targets {
			x := plan.Exclusion{Rule: r.ID, Path: at, Target: items(t), Reason: reason}
			if t == "" || edge.Excludable(x) != nil { // its name cannot be written in a rule
				x.Target = ""
				out = slices.DeleteFunc(out, func(o plan.Exclusion) bool { return o.Rule == r.ID })
				if err := edge.Excludable(x); err != nil {
					return nil, err
				}
				out = append(out, x)
				break
			}
			if !slices.Contains(out, x) {
				out = append(out, x)
			}
		}
	}
	if rest >= ref.Threshold {
		return nil, fmt.Errorf("the sum of its rules is %d and the log lists %d of them, which is not all: so many matches are no mistake of one rule", ref.Score, len(ref.Rules))
	}
	return out, nil
}

// items names, for an item of a list, all items of it: a form's next request has
// others. Names of JSON have numbers as parts of their own, those of forms in
// brackets.
func items(target string) string {
	variable, key, _ := strings.Cut(target, ":")
	if !strings.HasPrefix(variable, "ARGS") {
		return target
	}
	if rest, ok := strings.CutPrefix(key, "json."); ok {
		parts := strings.Split(rest, ".")
		for i, p := range parts {
			if p != "" && strings.Trim(p, "0123456789") == "" {
				parts[i] = "*"
			}
		}
		return variable + ":json." + strings.Join(parts, ".")
	}
	return bracketed().ReplaceAllString(target, "[*]")
}

var bracketed = lazy.Regexp(`\[[0-9]+\]`)

// cleaned is a request's path as exclusions are compared with it.
func cleaned(uri string) (string, error) {
	raw, _, _ := strings.Cut(uri, "?")
	plain, err := url.PathUnescape(raw)
	if err != nil {
		return "", fmt.Errorf("reading the path %q: %w", raw, err)
	}
	out := path.Clean("/" + plain)
	if strings.HasSuffix(plain, "/") && out != "/" {
		out += "/"
	}
	return out, nil
}
