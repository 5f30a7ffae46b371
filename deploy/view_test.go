package deploy

import (
	"strings"
	"testing"
	"time"
)

var story = []Event{
	{Stack: "wp-dev-network-stack", Region: home, State: Running, Text: "comparing"},
	{Stack: "wp-dev-network-stack", Region: home, Verb: "create", State: Running, Text: "2 changes", At: time.Second},
	{Stack: "wp-dev-network-stack", Region: home, Resource: "Vpc", Type: "AWS::EC2::VPC", Verb: "create", State: Running, At: 2 * time.Second},
	{Stack: "wp-dev-network-stack", Region: home, Resource: "Vpc", Type: "AWS::EC2::VPC", Verb: "create", State: Done, At: 5 * time.Second, Took: 3 * time.Second},
	{Stack: "wp-dev-network-stack", Region: home, Resource: "Group", Type: "AWS::EC2::SecurityGroup", Verb: "create", State: Failed, Text: "no more\x1b[2Jgroups", At: 6 * time.Second, Took: time.Second},
	{Stack: "wp-dev-network-stack", Region: home, State: Note, Text: "a word"},
	{Stack: "wp-dev-network-stack", Region: home, State: Failed, Text: "it failed", At: 95 * time.Second, Took: 94 * time.Second},
	{Stack: "wp-dev-cdn-stack", Region: Edge, State: Same, At: 96 * time.Second},
}

func TestLines(t *testing.T) {
	var b strings.Builder
	v := Lines(&b)
	for _, e := range story {
		v.Tell(e)
	}
	v.End()
	got := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(got) != len(story) {
		t.Fatalf("got %d lines, want one for each of %d events:\n%s", len(got), len(story), b.String())
	}
	for i, want := range []string{"", "creating  (2 changes)", "wp-dev-network-stack/Vpc  creating  AWS::EC2::VPC", "/Vpc  created  3.0s", "creating FAILED  1.0s  (no more [2Jgroups)", "note  (a word)", "1m35s  wp-dev-network-stack  FAILED  1m34s  (it failed)", "unchanged"} {
		if !strings.Contains(got[i], want) {
			t.Errorf("line %d: got %q, want %q in it", i+1, got[i], want)
		}
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("plain lines have an escape in them")
	}
}

// The screen after a tree is drawn over and over is the last drawing alone.
func TestTree(t *testing.T) {
	for _, rows := range []int{3, 5, 40} {
		var b strings.Builder
		v := Tree(&b, false, func() (int, int) { return 100, rows }).(*tree)
		for _, e := range story {
			v.Tell(e)
			v.mu.Lock()
			v.draw(false)
			if v.drawn >= rows {
				t.Errorf("%d rows: drew %d lines, want fewer", rows, v.drawn)
			}
			v.mu.Unlock()
		}
		v.End()
		v.End()
		got := screen(b.String())
		for _, want := range []string{"wp-dev-network-stack", "  Vpc ", "created", "3.0s  AWS::EC2::VPC", "  Group", "no more [2Jgroups", "· a word", "wp-dev-cdn-stack", "unchanged"} {
			if !strings.Contains(got, want) {
				t.Errorf("%d rows: got\n%s\nwant %q in it", rows, got, want)
			}
		}
		if n := strings.Count(got, "wp-dev-network-stack"); n != 1 {
			t.Errorf("%d rows: the stack is drawn %d times:\n%s", rows, n, got)
		}
	}
}

// screen is what a terminal shows after a text with our two escapes.
func screen(s string) string {
	var lines []string
	for len(s) > 0 {
		if rest, ok := strings.CutPrefix(s, "\033["); ok {
			i := strings.IndexAny(rest, "AJ")
			if rest[i] == 'A' {
				n := atoi(rest[:i])
				lines = lines[:max(len(lines)-n, 0)]
			}
			s = rest[i+1:]
			continue
		}
		if s[0] == '\r' {
			s = s[1:]
			continue
		}
		line, rest, _ := strings.Cut(s, "\n")
		lines = append(lines, line)
		s = rest
	}
	return strings.Join(lines, "\n")
}
