package dfa

import "regexp/syntax"

// trimEdges removes what cannot change whether an expression matches somewhere
// in a text: what may be empty at its edges, and repetitions beyond the first
// there. An automaton for `foo` has fewer states than one for `\s*foo.{0,100}`,
// which matches the same texts.
func trimEdges(re *syntax.Regexp) *syntax.Regexp {
	return trimEdge(trimEdge(re, true), false)
}

func trimEdge(re *syntax.Regexp, front bool) *syntax.Regexp {
	switch re.Op {
	case syntax.OpCapture:
		return trimEdge(re.Sub[0], front)
	case syntax.OpStar, syntax.OpQuest:
		return &syntax.Regexp{Op: syntax.OpEmptyMatch}
	case syntax.OpPlus:
		return trimEdge(re.Sub[0], front)
	case syntax.OpRepeat:
		switch re.Min {
		case 0:
			return &syntax.Regexp{Op: syntax.OpEmptyMatch}
		case 1:
			return trimEdge(re.Sub[0], front)
		}
		// x{3,9} at an edge is xxx with its outermost x trimmed in turn.
		inner := &syntax.Regexp{Op: syntax.OpRepeat, Flags: re.Flags, Sub: re.Sub, Min: re.Min - 1, Max: re.Min - 1}
		edge := trimEdge(re.Sub[0], front)
		sub := []*syntax.Regexp{edge, inner}
		if !front {
			sub = []*syntax.Regexp{inner, edge}
		}
		if edge.Op == syntax.OpEmptyMatch { // every x may be empty
			return edge
		}
		return &syntax.Regexp{Op: syntax.OpConcat, Flags: re.Flags, Sub: sub}
	case syntax.OpAlternate:
		out := *re
		out.Sub = make([]*syntax.Regexp, len(re.Sub))
		for i, s := range re.Sub {
			out.Sub[i] = trimEdge(s, front)
			if out.Sub[i].Op == syntax.OpEmptyMatch {
				return out.Sub[i]
			}
		}
		return &out
	case syntax.OpConcat:
		sub := re.Sub
		for len(sub) > 0 {
			k := 0
			if !front {
				k = len(sub) - 1
			}
			edge := trimEdge(sub[k], front)
			if edge.Op != syntax.OpEmptyMatch {
				out := *re
				out.Sub = append([]*syntax.Regexp(nil), sub...)
				out.Sub[k] = edge
				return &out
			}
			if front {
				sub = sub[1:]
			} else {
				sub = sub[:k]
			}
		}
		return &syntax.Regexp{Op: syntax.OpEmptyMatch}
	}
	return re
}
