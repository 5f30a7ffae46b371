package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Problem is one thing that is wrong with the configuration.
type Problem struct {
	At    Origin
	Doing string // what was being read: "tiers.fleet.max"
	Got   string
	Want  string
	Hint  string // the next step; may be empty
	Line  string // the line of the file; empty: not shown

	key string // Doing, as our own keys are called
}

func (p Problem) Error() string {
	var b strings.Builder
	if p.At.Source == "file" {
		b.WriteString(p.At.String() + ": ")
	}
	b.WriteString(p.Doing + ": got " + p.Got)
	if p.Want != "" {
		b.WriteString(", want " + p.Want)
	}
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// Errors is everything that is wrong with the configuration, in the order of the
// file's lines. Load returns it, and never an empty one.
type Errors []Problem

// maxShown bounds what is printed at once: beyond it, one mistake has made the rest.
const maxShown = 20

func (e Errors) Error() string {
	var b strings.Builder
	for i, p := range e {
		if i == maxShown {
			fmt.Fprintf(&b, "\nand %d more", len(e)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.Error())
		if p.Line == "" {
			continue
		}
		text, col := p.Line, p.At.Column
		number := strconv.Itoa(p.At.Line)
		fmt.Fprintf(&b, "\n%6s | %s\n%6s | %s^", number, text, "", caretPad(text, col))
	}
	return b.String()
}

// Unwrap gives each problem to errors.As.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i := range e {
		out[i] = e[i]
	}
	return out
}

func caretPad(line string, col int) string {
	var b strings.Builder
	for i, r := range []rune(line) {
		if i >= col-1 {
			break
		}
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// mayBeSecret matches lines that are not repeated in a message: somebody may have
// put a password where none belongs.
var mayBeSecret = pattern(`(?i)passw|secret|token|credential|private|api_?key`)

const longestLine = 120

// excerpt is a line as a message may show it, or nothing.
func excerpt(lines []string, n int) string {
	if n < 1 || n > len(lines) {
		return ""
	}
	s := strings.TrimRight(lines[n-1], " \r")
	if s == "" || len(s) > longestLine || mayBeSecret().MatchString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f || r == '\uFFFD' }) {
		return ""
	}
	return s
}

// Add joins the problems of two sites of one file; what is wrong with both is
// said once.
func (e Errors) Add(more Errors) Errors {
	out := slices.Clone(e)
	for _, p := range more {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	out.sort()
	return out
}

func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column))
	})
}

// quote shows a value in a message, shortened.
func quote(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:57]) + "…"
	}
	return strconv.Quote(s)
}

// didYouMean is the hint that names the nearest of the known words, or is empty.
func didYouMean(word string, known []string) string {
	if n := nearest(word, known); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return ""
}

// nearest is the known word with the fewest edits from word, when few enough.
func nearest(word string, known []string) string {
	if len(word) > 64 {
		return ""
	}
	best, dist := "", 1+max(1, len(word)/3)
	for _, k := range known {
		if strings.EqualFold(k, word) {
			return k
		}
		if d := edits(strings.ToLower(word), strings.ToLower(k)); d < dist {
			best, dist = k, d
		}
	}
	return best
}

// edits counts insertions, deletions, replacements and swaps of neighbours between
// two words.
func edits(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range y {
		rows[0][j+1] = j + 1
	}
	for i := range x {
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			d := min(rows[i][j+1]+1, rows[i+1][j]+1, rows[i][j]+cost)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				d = min(d, rows[i-1][j-1]+1)
			}
			rows[i+1][j+1] = d
		}
	}
	return rows[len(x)][len(y)]
}

func oneOf(words []string) string {
	switch len(words) {
	case 0:
		return "nothing"
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
