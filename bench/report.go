//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// median is the middle value; of an even number, the mean of the middle two.
func median[T int64 | float64 | time.Duration](v []T) T {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// met words a target.
func met(what string, got, want float64, unit string) string {
	word := "met"
	if got > want {
		word = "NOT MET"
	}
	return fmt.Sprintf("%s: %.4g%s, target %.4g%s or less: %s", what, got, unit, want, unit, word)
}

// atLeast words a target that is a lower bound.
func atLeast(what string, got, want float64, unit string) string {
	word := "met"
	if got < want {
		word = "NOT MET"
	}
	return fmt.Sprintf("%s: %.4g%s, target %.4g%s or more: %s", what, got, unit, want, unit, word)
}

// quantile is the value that the part q of all values do not exceed.
func quantile(v []time.Duration, q float64) time.Duration {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

// print writes a report as Markdown, which is also how a terminal shows it.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\n## %s\n\n", r.title)
	for _, h := range r.how {
		fmt.Fprintf(w, "%s\n", h)
	}
	width := make([]int, len(r.head))
	for _, row := range append([][]string{r.head}, r.rows...) {
		for i, c := range row {
			width[i] = max(width[i], len([]rune(c)))
		}
	}
	line := func(row []string) {
		for i, c := range row {
			fmt.Fprintf(w, "| %s%s ", c, strings.Repeat(" ", width[i]-len([]rune(c))))
		}
		fmt.Fprintln(w, "|")
	}
	fmt.Fprintln(w)
	line(r.head)
	for _, n := range width {
		fmt.Fprint(w, "|", strings.Repeat("-", n+2))
	}
	fmt.Fprintln(w, "|")
	for _, row := range r.rows {
		line(row)
	}
	fmt.Fprintln(w)
	for _, v := range r.verdict {
		fmt.Fprintf(w, "- %s\n", v)
	}
}

const preamble = "# Figures\n\nMade by `make bench`, or one part with `go run ./bench -write cpu`. Ratios of one run mean something; absolute figures move with the machine.\n"

// writeResults puts the reports of this run in the file of results, each with
// the machine it was made on, in the place of an older one of the same title.
func writeResults(name string, reports []*report) error {
	old, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("reading the older results: %w", err)
	}
	sections := map[string]string{}
	for part := range strings.SplitSeq("\n"+string(old), "\n## ") {
		title, _, _ := strings.Cut(part, "\n")
		sections[title] = strings.TrimRight("\n## "+part, "\n") + "\n"
	}
	for _, r := range reports {
		var b bytes.Buffer
		r.print(&b)
		fmt.Fprintln(&b)
		for _, l := range machine() {
			fmt.Fprintf(&b, "- %s\n", l)
		}
		sections[r.title] = b.String()
	}
	out := preamble
	for _, b := range benches {
		out += sections[b.title]
	}
	if err := os.WriteFile(name, []byte(out), 0o644); err != nil {
		return fmt.Errorf("writing the results: %w; run this from the top directory of the project", err)
	}
	return nil
}

// measured is the revision of the project that build built.
var measured = "unknown revision"

// machine says what the figures were made on.
func machine() []string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if k, v, _ := strings.Cut(line, ":"); strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	busy, _ := os.ReadFile("/proc/loadavg")
	out := []string{
		time.Now().UTC().Format("2 January 2006, 15:04 UTC"),
		fmt.Sprintf("%s, %d processors; Linux %s; load average at the end %s", model, runtime.NumCPU(), unix.ByteSliceToString(u.Release[:]), firstFields(string(busy), 3)),
		runtime.Version() + ", " + measured,
	}
	for _, c := range [][]string{{"nginx", "-v"}, {"dpkg-query", "-W", "-f", "${Package} ${Version}, ", "libnginx-mod-http-modsecurity", "libmodsecurity3", "modsecurity-crs"}, {"psql", "--version"}} {
		if l := firstLine(c[0], c[1:]...); l != "" {
			out = append(out, strings.TrimRight(l, ", "))
		}
	}
	return out
}

func firstFields(s string, n int) string {
	f := strings.Fields(s)
	return strings.Join(f[:min(n, len(f))], " ")
}

func firstLine(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return ""
	}
	l, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return l
}

func ms(d time.Duration) string     { return fmt.Sprintf("%.0f ms", d.Seconds()*1e3) }
func tenths(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1e3) }
func us(d time.Duration) string     { return fmt.Sprintf("%.0f µs", d.Seconds()*1e6) }
