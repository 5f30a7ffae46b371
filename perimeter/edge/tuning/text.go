package tuning

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/perimeter/edge"
)

// shown is how many changes of a kind are named; all are counted.
const shown = 8

// WriteText says in words what changes.
func (r *Radius) WriteText(w io.Writer) {
	for _, place := range r.Places {
		if place == "" {
			fmt.Fprintln(w, "Requests as they are:")
		} else {
			fmt.Fprintf(w, "The same attacks sent to %s:\n", place)
		}
		for _, k := range Kinds {
			n := r.Judged[place][k]
			if n == 0 {
				if k == Good && place == "" {
					if len(r.Unkept) == 0 {
						fmt.Fprintf(w, "  %-18s none are recorded (waf.record)\n", k+"s")
					}
					r.writeUnjudged(w)
				}
				continue
			}
			by := map[string][]Change{}
			for _, c := range r.Changes {
				if c.Place == place && c.Kind == k {
					by[c.turn()] = append(by[c.turn()], c)
				}
			}
			if len(by) == 0 {
				fmt.Fprintf(w, "  %-18s %d judged, %d of them refused: none changes its verdict\n", k+"s", n, r.Stopped[place][k])
			}
			for _, turn := range slices.Sorted(maps.Keys(by)) {
				list := by[turn]
				fmt.Fprintf(w, "  %-18s %d of %d %s\n", k+"s", len(list), n, turn)
				for _, c := range list[:min(shown, len(list))] {
					fmt.Fprintf(w, "    %s\n", c.words())
				}
				if more := len(list) - shown; more > 0 {
					fmt.Fprintf(w, "    and %d more\n", more)
				}
			}
			if k == Good && place == "" {
				r.writeUnjudged(w)
			}
		}
	}
}

// writeUnjudged says what of the good requests nobody could judge.
func (r *Radius) writeUnjudged(w io.Writer) {
	if r.Lacking > 0 {
		parts := slices.SortedFunc(maps.Keys(r.Masked), func(a, b string) int {
			return cmp.Or(cmp.Compare(r.Masked[b], r.Masked[a]), strings.Compare(a, b))
		})
		var names []string
		for _, p := range parts[:min(shown, len(parts))] {
			names = append(names, fmt.Sprintf("%s (%d)", p, r.Masked[p]))
		}
		if more := len(parts) - shown; more > 0 {
			names = append(names, fmt.Sprintf("%d more", more))
		}
		fmt.Fprintf(w, "    in %d of them a plain word stands for what is not kept, which no rule could judge: %s\n", r.Lacking, strings.Join(names, ", "))
	}
	if len(r.Unkept) > 0 {
		fmt.Fprintf(w, "  %-18s %d more came that are not kept and were not judged\n", Good+"s", len(r.Unkept))
		for _, u := range r.Unkept[:min(shown, len(r.Unkept))] {
			fmt.Fprintf(w, "    %s: %s\n", u.Name, u.Why)
		}
		if more := len(r.Unkept) - shown; more > 0 {
			fmt.Fprintf(w, "    and %d more\n", more)
		}
	}
}

// turn says from what to what the verdict changes.
func (c *Change) turn() string {
	was := map[edge.Verdict]string{edge.Unreadable: "were no requests", edge.Refused: "were refused", edge.Logged: "were only logged", edge.Passed: "passed"}
	is := map[edge.Verdict]string{edge.Unreadable: "are no requests", edge.Refused: "would be refused", edge.Logged: "would only be logged", edge.Passed: "would pass"}
	return was[c.Before.Verdict] + " and " + is[c.After.Verdict]
}

func (c *Change) words() string {
	decides := c.decides()
	var ids []string
	for _, r := range decides.Refusal.Rules {
		ids = append(ids, fmt.Sprint(r.ID))
	}
	s := c.Name
	if c.Control != "" {
		s += " (" + c.Control + ")"
	}
	if c.Admin {
		s += ", as an administrator"
	}
	if len(ids) > 0 {
		s += ": rule " + strings.Join(ids, ", ")
	} else if decides.Refusal.Reason != "" {
		s += ": " + decides.Refusal.Reason
	}
	if c.Masks() {
		s += "; it matched the word that stands for a value which is not kept"
	}
	return strings.ToValidUTF8(s, "\ufffd")
}
