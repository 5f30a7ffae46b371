package plan

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNoPatch means that the configuration is written in a way that a patch of a
// few lines cannot be added to.
var ErrNoPatch = errors.New("the file cannot be patched line by line")

// PatchExclusions writes exclusions as a unified diff of the plan's own file, for
// patch -p0 beside it, and reads the outcome back: a diff that would not say what
// is wanted is an error. ErrNoPatch asks for the user's own hand.
func PatchExclusions(p *Plan, list []Exclusion) (string, error) {
	data, err := os.ReadFile(p.File)
	if err != nil {
		return "", fmt.Errorf("writing a patch: %w", err)
	}
	lines := strings.SplitAfter(string(data), "\n")
	if last := len(lines) - 1; lines[last] == "" {
		lines = lines[:last]
	} else {
		return "", fmt.Errorf("writing a patch: %w: its last line has no end", ErrNoPatch)
	}
	at, added, err := insertion(p, lines, list)
	if err != nil {
		return "", fmt.Errorf("writing a patch: %w", err)
	}
	patched := strings.Join(slices.Insert(slices.Clone(lines), at, added...), "")
	l := newLoader(p.File)
	l.data = withoutBOM([]byte(patched))
	q, err := l.plan(Options{File: p.File, Site: p.Site()})
	if err != nil {
		return "", fmt.Errorf("writing a patch: %w: with it, %w", ErrNoPatch, err)
	}
	for _, x := range list {
		if !slices.Contains(q.Edge.WAF.Exclusions, x) {
			return "", fmt.Errorf("writing a patch: %w: another line of it decides", ErrNoPatch)
		}
	}
	return diff(filepath.Base(p.File), lines, at, added), nil
}

// insertion finds where in the file the exclusions belong, and how they are
// indented there.
func insertion(p *Plan, lines []string, list []Exclusion) (at int, added []string, err error) {
	if filepath.Ext(p.File) == ".properties" {
		return 0, nil, fmt.Errorf("%w: exclusions are written in a ringwall.yaml", ErrNoPatch)
	}
	if o := p.Origins["waf.exclusions"]; o.Source == "file" && len(p.Edge.WAF.Exclusions) > 0 {
		if o.Line > len(lines) || !strings.HasPrefix(strings.TrimSpace(lines[o.Line-1]), "- ") {
			return 0, nil, fmt.Errorf("%w: its exclusions are in brackets", ErrNoPatch)
		}
		return o.Line - 1, exclusionLines(list, indentOf(lines[o.Line-1])), nil
	}
	for _, k := range under("waf") {
		o := p.Origins["waf."+k]
		if o.Source != "file" || o.Line > len(lines) {
			continue
		}
		for i := o.Line - 1; i >= 0; i-- { // a list begins after its key's line
			if word := strings.TrimLeft(lines[i], " "); strings.HasPrefix(word, k+":") {
				in := indentOf(lines[i])
				return i, append([]string{in + "exclusions:\n"}, exclusionLines(list, in+"  ")...), nil
			} else if strings.HasPrefix(word, "waf:") {
				return 0, nil, fmt.Errorf("%w: its waf group is in brackets", ErrNoPatch)
			}
		}
	}
	if slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, "waf:") }) {
		return 0, nil, fmt.Errorf("%w: its waf group is empty or in brackets", ErrNoPatch)
	}
	return len(lines), append([]string{"waf:\n", "  exclusions:\n"}, exclusionLines(list, "    ")...), nil
}

func indentOf(line string) string { return line[:len(line)-len(strings.TrimLeft(line, " "))] }

func exclusionLines(list []Exclusion, indent string) (out []string) {
	for _, x := range list {
		out = append(out, fmt.Sprintf("%s- rule: %d\n", indent, x.Rule), fmt.Sprintf("%s  path: %s\n", indent, strconv.Quote(x.Path)))
		if x.Target != "" {
			out = append(out, fmt.Sprintf("%s  target: %s\n", indent, strconv.Quote(x.Target)))
		}
		out = append(out, fmt.Sprintf("%s  reason: %s\n", indent, strconv.Quote(x.Reason)))
	}
	return out
}

// ExclusionsYAML writes exclusions as a ringwall.yaml has them.
func ExclusionsYAML(list []Exclusion) string {
	return "waf:\n  exclusions:\n" + strings.Join(exclusionLines(list, "    "), "")
}

// diff is a unified diff that adds lines before the one at a place.
func diff(name string, lines []string, at int, added []string) string {
	const context = 3
	from, to := max(0, at-context), min(len(lines), at+context)
	var b bytes.Buffer
	fmt.Fprintf(&b, "--- %s\n+++ %s\n@@ -%d,%d +%d,%d @@\n", name, name, from+1, to-from, from+1, to-from+len(added))
	for _, l := range lines[from:at] {
		b.WriteString(" " + l)
	}
	for _, l := range added {
		b.WriteString("+" + l)
	}
	for _, l := range lines[at:to] {
		b.WriteString(" " + l)
	}
	return b.String()
}
