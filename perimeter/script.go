package perimeter

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
)

//go:embed script.sh
var scriptHead string

// A Script is what one instance runs to try what it must not be able to do: a POSIX
// shell script of root's, whose head (script.sh) has the words that the walls' parts
// are written in. It only tries; Read judges what it printed.
type Script struct {
	Tier string
	ids  []string
	n    int      // lines that it prints, at least
	once []string // names of files that the head writes
	b    strings.Builder
	head strings.Builder
}

// Begin starts the part of a control. What follows, until the next one, is its own:
// a shell of its own runs it.
func (s *Script) Begin(id string) {
	s.End()
	s.ids = append(s.ids, id)
	fmt.Fprintf(&s.b, "\n(\nID=%s\n", id)
}

// End ends the part of a control: what it does in the background is waited for.
func (s *Script) End() {
	if len(s.ids) > 0 && !strings.HasSuffix(s.b.String(), endOfPart) {
		s.b.WriteString(endOfPart)
	}
}

const endOfPart = "wait\nsay end '' ''\n)\n"

// Attempts is about how many lines the script prints.
func (s *Script) Attempts() int { return s.n }

// Count says that a part prints n lines more.
func (s *Script) Count(n int) { s.n += n }

// Add writes lines of shell: a format and its values, or without values the text
// as it is.
func (s *Script) Add(format string, a ...any) {
	s.n++
	if len(a) > 0 {
		format = fmt.Sprintf(format, a...)
	}
	s.b.WriteString(strings.TrimSuffix(format, "\n") + "\n")
}

// Once has the script's head write a file into its directory P, for several parts to
// use. No line of the text may be RINGWALL_END.
func (s *Script) Once(name, text string) {
	if slices.Contains(s.once, name) {
		return
	}
	s.once = append(s.once, name)
	if len(s.once) == 1 {
		s.head.WriteString("P=$(mktemp -d) || exit 1\ntrap 'rm -r \"$P\"' EXIT\ntrap 'exit 1' HUP INT TERM\n")
	}
	fmt.Fprintf(&s.head, "cat >\"$P\"/%s <<'RINGWALL_END'\n%s\nRINGWALL_END\n", name, strings.TrimSuffix(text, "\n"))
}

// Denied writes an attempt that must fail with one of the words, an extended
// regular expression. The command is shell text.
func (s *Script) Denied(words, what, command string) {
	s.Add("denied %s %s %s", Word(words), Word(what), command)
}

// Must writes what the promise itself says must work.
func (s *Script) Must(what, command string) { s.Add("must %s %s", Word(what), command) }

// Nothing writes a search that must find nothing.
func (s *Script) Nothing(what, command string) { s.Add("nothing %s %s", Word(what), command) }

// Works writes what must work, so that refusals mean something.
func (s *Script) Works(what, command string) { s.Add("works %s %s", Word(what), command) }

// Silent writes an attempt to connect that nobody may answer. host is shell text,
// what goes before the place.
func (s *Script) Silent(what, host string, ports ...uint16) {
	for _, p := range ports {
		s.Add("silent %s %s %d", Word(fmt.Sprintf("connect to %s:%d", what, p)), host, p)
	}
}

// Reaches writes a connection that is allowed.
func (s *Script) Reaches(what, host string, port uint16) {
	s.Works(fmt.Sprintf("connect to %s:%d", what, port), fmt.Sprintf("dial %s %d", host, port))
}

// Text is the whole script.
func (s *Script) Text() string {
	s.End()
	return scriptHead + s.head.String() + s.b.String()
}

// Lines are what the part of a control printed: the verb, what and what was seen.
// ended says whether all of it is there.
func Lines(printed, id string) (lines [][]string, ended bool) {
	for line := range strings.Lines(printed) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 4)
		if len(f) < 4 || f[1] != id {
			continue
		}
		if f[0] == "end" {
			return lines, true
		}
		lines = append(lines, []string{f[0], f[2], f[3]})
	}
	return lines, false
}

// IDs are the controls that the script has parts of.
func (s *Script) IDs() []string { return s.ids }

// Word is text as one word of the shell.
func Word(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// Read judges what a script printed, one result for each of its controls. A part
// that did not come to its end is Unknown, and so is one that tried nothing.
func (s *Script) Read(printed string) []Result {
	type part struct {
		Result
		ended, broken bool
		unclear       []error
	}
	parts := map[string]*part{}
	for _, id := range s.ids {
		r := &part{Result: Result{ID: id}}
		var lines [][]string
		lines, r.ended = Lines(printed, id)
		for _, f := range lines {
			what, text := f[1], f[1]
			if f[2] != "" {
				text += ": " + f[2]
			}
			switch f[0] {
			case "works":
				r.Evidence = append(r.Evidence, what+", which is allowed: it works")
			case "note":
				r.Evidence = append(r.Evidence, text)
			case "held", "broken":
				r.Tried, r.Evidence = append(r.Tried, what), append(r.Evidence, text)
				r.broken = r.broken || f[0] == "broken"
			default: // unclear, and what no script of ours prints
				r.Tried = append(r.Tried, what)
				r.unclear = append(r.unclear, errors.New(text))
			}
		}
		parts[id] = r
	}
	var out []Result
	for _, id := range s.ids {
		r := parts[id]
		switch {
		case r.broken:
			r.Verdict = Broken
		case !r.ended:
			r.Error = "what the instance printed ends before this control's end"
		case len(r.unclear) > 0:
			r.Error = errors.Join(r.unclear...).Error()
		case len(r.Tried) == 0:
			r.Error = "the instance tried nothing"
		default:
			r.Verdict = Held
		}
		out = append(out, r.Result)
	}
	return out
}
