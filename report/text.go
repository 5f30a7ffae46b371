package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/ringwall/ringwall/perimeter"
)

// textSink is for people at a terminal: a line per perimeter, outside in; what
// is broken or unknown always in full; everything with Verbose. A verdict is a
// word and a mark as well as a colour.
type textSink struct {
	Options
	put func([]byte) error
}

func (s textSink) Write(r *Report) error {
	var b strings.Builder
	head := r.Site
	if r.URL != "" {
		head = r.URL
	}
	fmt.Fprintf(&b, "%s: %s", clean(head), plural(r.Counts.Total(), "control"))
	if r.Enforcement != "" {
		fmt.Fprintf(&b, ", enforcement %s", r.Enforcement)
	}
	b.WriteString("\n\n")
	for _, w := range r.Perimeters {
		s.wall(&b, w)
		for _, c := range r.Controls {
			if c.Perimeter == w.Number && (s.Verbose || c.Verdict != perimeter.Held) {
				s.control(&b, c)
			}
		}
	}
	b.WriteByte('\n')
	for _, n := range r.Notes {
		s.field(&b, "", "note", n)
	}
	fmt.Fprintf(&b, "%s  %s in %s\n", s.mark(r.Verdict), s.counts(r.Counts), seconds(r.Millis))
	switch r.Verdict {
	case perimeter.Broken:
		b.WriteString("A promise is broken: what came through is above, with the command that explains it.\n")
	case perimeter.Unknown:
		b.WriteString("Not everything could be judged, and what was not judged does not count as held.\n")
	}
	return s.put([]byte(b.String()))
}

func (s textSink) wall(b *strings.Builder, w Wall) {
	if w.Total() == 0 {
		fmt.Fprintf(b, "%2d  %-12s %s\n", w.Number, w.Name, s.paint(dim, "–  not asked"))
		return
	}
	fmt.Fprintf(b, "%2d  %-12s %s  %s\n", w.Number, w.Name, s.mark(w.Verdict), s.counts(w.Counts))
}

// origin says where a control was judged from, and what else asks for it.
func (s textSink) origin(c Record) string {
	if c.Vantage == perimeter.Template {
		return strings.Join(c.Meets, ", ")
	}
	return fmt.Sprintf("from %s, %d ms", place(c.Vantage), c.Millis)
}

func (s textSink) control(b *strings.Builder, c Record) {
	fmt.Fprintf(b, "      %s  %s  %s\n", s.mark(c.Verdict), s.paint(bold, c.ID), s.paint(dim, s.origin(c)))
	const in = "           "
	s.field(b, in, "", c.Doc)
	for _, t := range c.Tried {
		if c.Vantage == perimeter.Template && !s.Verbose {
			break
		}
		s.field(b, in, "tried", t)
	}
	if len(c.Findings) > 0 || len(c.Suppressed) > 0 {
		s.findings(b, in, c)
	} else {
		for _, e := range c.Evidence {
			s.field(b, in, "saw", e)
		}
	}
	if c.Error != "" && len(c.Findings) == 0 {
		s.field(b, in, "unknown", c.Error)
	}
	if c.InProcess {
		s.field(b, in, "note", "both ends share a process; it was proved at the balancer's own listener")
	}
	if c.Verdict != perimeter.Held {
		s.field(b, in, "why", c.Why)
		s.field(b, in, "next", "ringwall explain "+c.ID)
	}
}

// findings prints the places of a check, each with its path.
func (s textSink) findings(b *strings.Builder, in string, c Record) {
	for _, f := range c.Findings {
		label := "unknown"
		if f.Verdict == perimeter.Broken {
			label = "found"
		}
		s.field(b, in, label, f.Words)
		if f.Under != "" {
			s.field(b, in, "", "with "+f.Under)
		}
		if f.File != "" {
			at := f.Place()
			if f.Resource != "" {
				at += "  " + f.Resource[strings.LastIndexByte(f.Resource, '/')+1:]
			}
			s.field(b, in, "at", at)
		}
		for i, h := range f.Path {
			lead := "  "
			if i > 0 {
				lead = "→ "
			}
			s.field(b, in+"           ", "", lead+h.Words)
		}
	}
	for _, f := range c.Suppressed {
		s.field(b, in, "accepted", fmt.Sprintf("%s: %s (%s)", f.Place(), f.Words, f.Reason))
	}
}

// field writes one labelled text, folded under itself.
func (s textSink) field(b *strings.Builder, indent, label, text string) {
	lead := indent
	if label != "" {
		lead += fmt.Sprintf("%-9s", label)
	}
	pad := strings.Repeat(" ", len([]rune(lead)))
	for i, line := range fold(clean(text), s.Width-len(pad)) {
		if i == 0 {
			b.WriteString(s.paint(dim, lead) + line + "\n")
		} else {
			b.WriteString(pad + line + "\n")
		}
	}
}

func (s textSink) counts(c Counts) string {
	parts := []string{s.count(green, c.Held, "held")}
	parts = append(parts, s.count(red, c.Broken, "broken"), s.count(yellow, c.Unknown, "unknown"))
	return strings.Join(parts, "  ")
}

func (s textSink) count(color string, n int, what string) string {
	text := fmt.Sprintf("%3d %s", n, what)
	if n == 0 {
		return s.paint(dim, text)
	}
	return s.paint(color, text)
}

// mark is a verdict in a fixed width.
func (s textSink) mark(v perimeter.Verdict) string {
	switch v {
	case perimeter.Held:
		return s.paint(green, "✓ held   ")
	case perimeter.Broken:
		return s.paint(bold+red, "✗ BROKEN ")
	}
	return s.paint(yellow, "? unknown")
}

const (
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
)

func (s textSink) paint(color, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return color + text + "\x1b[0m"
}

// clean keeps what an app answered from steering the reader's terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case !unicode.IsPrint(r):
			return '\uFFFD'
		}
		return r
	}, s)
}

// fold breaks a text at spaces into lines of at most width runes; a longer word
// has a line of its own. A width under 20 folds nothing.
func fold(s string, width int) []string {
	if width < 20 {
		return []string{s}
	}
	var lines []string
	line := ""
	for _, w := range strings.Fields(s) {
		switch {
		case line == "":
			line = w
		case len([]rune(line))+1+len([]rune(w)) <= width:
			line += " " + w
		default:
			lines = append(lines, line)
			line = w
		}
	}
	return append(lines, line)
}

func place(v perimeter.Vantage) string {
	switch v {
	case perimeter.Internet:
		return "the internet"
	case perimeter.Beside:
		return "beside the edge"
	case perimeter.InFleet:
		return "inside fleet"
	case perimeter.InAdmin:
		return "inside admin"
	case perimeter.InDatabase:
		return "inside the database"
	case perimeter.Machine:
		return "the machine"
	case perimeter.Template:
		return "the templates"
	}
	return string(v)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func seconds(ms int64) string {
	return fmt.Sprintf("%.1f s", (time.Duration(ms) * time.Millisecond).Seconds())
}
