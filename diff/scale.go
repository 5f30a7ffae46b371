package diff

import (
	"slices"

	"github.com/ringwall/ringwall/internal/template"
)

// A direction is where a setting goes.
type direction int

const (
	unclear direction = iota
	weaker
	stronger
)

// A scale orders the values of one setting. Both sides are everything that the
// setting's path leads to; an empty side is an absent setting, and a nil before is
// a resource that was not there.
type scale func(before, after []*template.Value) direction

// towards compares two levels.
func towards(before, after int) direction {
	switch {
	case after < before:
		return weaker
	case after > before:
		return stronger
	}
	return unclear
}

// least is the smallest level of a side; ok is false when one cannot be told.
func least(vs []*template.Value, absent int, level func(*template.Value) (int, bool)) (int, bool) {
	if len(vs) == 0 {
		return absent, true
	}
	out := 0
	for i, v := range vs {
		n, ok := level(v)
		if !ok {
			return 0, false
		}
		if i == 0 || n < out {
			out = n
		}
	}
	return out, true
}

// leveled makes a scale of a level. highest stands for the side that a new resource
// does not have.
func leveled(absent, highest int, level func(*template.Value) (int, bool)) scale {
	return func(before, after []*template.Value) direction {
		x, ok := highest, true
		if before != nil {
			x, ok = least(before, absent, level)
		}
		y, known := least(after, absent, level)
		if !ok || !known {
			return unclear
		}
		return towards(x, y)
	}
}

func truth(absent bool) scale {
	return leveled(number01(absent), 1, func(v *template.Value) (int, bool) {
		if v.Is("1") || v.Is("ON") || v.Is("on") { // parameters of databases
			return 1, true
		}
		if v.Is("0") || v.Is("OFF") || v.Is("off") {
			return 0, true
		}
		t := v.Truth(absent)
		return number01(t == template.Yes), t != template.Maybe
	})
}

func untruth(absent bool) scale {
	return leveled(number01(!absent), 1, func(v *template.Value) (int, bool) {
		t := v.Truth(absent)
		return number01(t == template.No), t != template.Maybe
	})
}

func number01(b bool) int {
	if b {
		return 1
	}
	return 0
}

// number says that more is stronger.
func number(absent int) scale {
	return leveled(absent, 0, func(v *template.Value) (int, bool) { return v.Int() })
}

// fewer says that less is stronger.
func fewer(absent int) scale {
	return leveled(-absent, -absent, func(v *template.Value) (int, bool) { n, ok := v.Int(); return -n, ok })
}

// ranked orders words from the weakest on, which is also what an absent setting is.
func ranked(words ...string) scale {
	return leveled(0, min(1, len(words)-1), func(v *template.Value) (int, bool) {
		s, ok := v.Literal()
		i := slices.Index(words, s)
		return i, ok && i >= 0
	})
}

// present says that to have it is stronger; two different ones cannot be ordered.
func present(before, after []*template.Value) direction {
	switch {
	case len(after) == 0:
		return weaker
	case before != nil && len(before) == 0:
		return stronger
	}
	return unclear
}

// absent says that not to have it is stronger.
func absent(before, after []*template.Value) direction {
	switch {
	case len(after) == 0:
		return stronger
	case len(before) == 0:
		return weaker
	}
	return unclear
}

// same says that any difference needs eyes.
func same(_, _ []*template.Value) direction { return unclear }

// set says that more items are stronger.
func set(before, after []*template.Value) direction {
	x, y := items(before), items(after)
	more, less := false, false
	for i := range y {
		more = more || !slices.Contains(x, y[i])
	}
	for i := range x {
		less = less || !slices.Contains(y, x[i])
	}
	switch {
	case less && !more:
		return weaker
	case more && !less:
		return stronger
	}
	return unclear
}

func items(vs []*template.Value) []string {
	var out []string
	for _, v := range vs {
		for _, x := range v.List() {
			out = append(out, canon(x))
		}
	}
	return out
}
