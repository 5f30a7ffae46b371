package deploy

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// A View shows what a run does. Tell and End may be called by several goroutines;
// after End nothing is shown any more.
type View interface {
	Tell(Event)
	End()
}

// Lines is a View of plain lines, one for each event: for logs, and where there is
// no terminal.
func Lines(w io.Writer) View { return &lines{w: w} }

type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) Tell(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	what := e.Stack
	if e.Resource != "" {
		what += "/" + e.Resource
	}
	parts := []string{fmt.Sprintf("%8s", clock(e.At)), what, doing(e)}
	if e.Type != "" && e.State == Running {
		parts = append(parts, e.Type)
	}
	if e.Took > 0 && e.State != Running {
		parts = append(parts, clock(e.Took))
	}
	if e.Text != "" {
		parts = append(parts, "("+e.Text+")")
	}
	fmt.Fprintln(l.w, clean(strings.Join(parts, "  ")))
}

func (l *lines) End() {}

// clock is a duration as people read it: 4.2s, 3m05s.
func clock(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}

var verbs = map[string][2]string{
	"create": {"creating", "created"}, "update": {"updating", "updated"}, "delete": {"deleting", "deleted"},
	"replace": {"replacing", "replaced"}, "roll back": {"rolling back", "rolled back"}, "import": {"importing", "imported"},
}

// doing says a state with its verb.
func doing(e Event) string {
	v, ok := verbs[e.Verb]
	switch {
	case e.State == Running && ok:
		return v[0]
	case e.State == Running:
		return "working"
	case e.State == Done && ok:
		return v[1]
	case e.State == Failed && ok:
		return v[0] + " FAILED"
	case e.State == Failed:
		return "FAILED"
	}
	return string(e.State)
}

// clean takes control characters out of what came from elsewhere: a message of a
// service must not steer the terminal.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 {
			return ' '
		}
		return c
	}, s)
}

// Tree is a View for a terminal: a line for each stack and below it one for each
// resource, with running times, drawn over and over in place. What does not fit
// is folded; at the end everything is drawn once more and stays. size gives the
// terminal's columns and rows.
func Tree(w io.Writer, color bool, size func() (columns, rows int)) View {
	t := &tree{w: w, color: color, size: size, start: time.Now(), done: make(chan struct{})}
	t.wg.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-t.done:
				return
			case <-tick.C:
				t.mu.Lock()
				t.draw(false)
				t.mu.Unlock()
			}
		}
	})
	return t
}

type tree struct {
	mu     sync.Mutex
	wg     sync.WaitGroup
	w      io.Writer
	color  bool
	size   func() (int, int)
	start  time.Time
	done   chan struct{}
	ended  bool
	drawn  int // lines on the screen
	stacks []*branch
}

type branch struct {
	Event
	began  time.Duration
	notes  []string
	leaves []*leaf
}

type leaf struct {
	Event
	began time.Duration
}

func (t *tree) Tell(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b *branch
	for _, x := range t.stacks {
		if x.Stack == e.Stack && (x.Region == e.Region || e.Stack == "account") {
			b = x
		}
	}
	if b == nil {
		b = &branch{Event: Event{Stack: e.Stack, Region: e.Region, State: Running}, began: e.At}
		t.stacks = append(t.stacks, b)
	}
	if e.Resource == "" {
		if e.State == Note {
			b.notes = append(b.notes, e.Text)
			return
		}
		b.Event = e
		return
	}
	if e.Stack == "account" {
		b.State, b.Verb = e.State, e.Verb
	}
	for _, l := range b.leaves {
		if l.Resource == e.Resource {
			if l.State != Running {
				l.began = e.At
			}
			l.Event = e
			return
		}
	}
	b.leaves = append(b.leaves, &leaf{e, e.At})
}

func (t *tree) End() {
	t.mu.Lock()
	if t.ended {
		t.mu.Unlock()
		return
	}
	t.ended = true
	t.draw(true)
	close(t.done)
	t.mu.Unlock()
	t.wg.Wait()
}

// draw replaces what is on the screen. The last drawing is not folded.
func (t *tree) draw(last bool) {
	if t.ended && !last {
		return
	}
	columns, rows := t.size()
	now := time.Since(t.start)
	out := t.lines(now, -1)
	if !last {
		// Fold more and more until it fits: a tree that is higher than the screen cannot
		// be drawn over.
		for fold := 0; fold <= 2 && len(out) >= rows; fold++ {
			out = t.lines(now, fold)
		}
		if len(out) >= rows {
			out = out[:max(rows-1, 0)]
		}
	}
	var b strings.Builder
	if t.drawn > 0 {
		fmt.Fprintf(&b, "\033[%dA", t.drawn)
	}
	b.WriteString("\r\033[J")
	for _, l := range out {
		if !last || columns <= 0 {
			l.text = cut(l.text, columns-1)
		}
		b.WriteString(t.paint(l) + "\n")
	}
	t.drawn = len(out)
	io.WriteString(t.w, b.String())
}

type line struct {
	text  string
	state State
}

var colors = map[State]string{Done: "32", Failed: "31", Running: "36", Waiting: "33", Kept: "33", Stopped: "33", Note: "33"}

func (t *tree) paint(l line) string {
	if c := colors[l.state]; t.color && c != "" {
		return "\033[" + c + "m" + l.text + "\033[0m"
	}
	return l.text
}

func cut(s string, n int) string {
	r := []rune(s)
	if n <= 1 || len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// lines gives the tree. fold -1: all of it; 0: without what finished stacks made;
// 1: also without what is done; 2: stacks only.
func (t *tree) lines(now time.Duration, fold int) []line {
	var out []line
	add := func(st State, format string, args ...any) {
		out = append(out, line{clean(strings.TrimRight(fmt.Sprintf(format, args...), " ")), st})
	}
	for _, b := range t.stacks {
		open := b.State == Running || b.State == Waiting
		took := b.Took
		if open {
			took = now - b.began
		}
		text := ""
		if b.Text != "" && b.State != Failed {
			text = b.Text
		}
		add(b.State, "%-28s %-14s %-12s %7s  %s", b.Stack, b.Region, doing(b.Event), clock(took), text)
		for _, n := range b.notes {
			add(Note, "  · %s", n)
		}
		hidden := 0
		for _, l := range b.leaves {
			busy := l.State == Running
			if fold >= 2 || fold >= 1 && !busy && l.State != Failed || fold == 0 && !open && l.State != Failed {
				hidden++
				continue
			}
			took := l.Took
			if busy {
				took = now - l.began
			}
			text := l.Type
			if l.Text != "" {
				text = strings.TrimSpace(text + "  " + l.Text)
			}
			add(l.State, "  %-26s %-27s %7s  %s", l.Resource, doing(l.Event), clock(took), text)
		}
		if hidden > 0 && open {
			add(Done, "  … and %d more", hidden)
		}
	}
	return out
}
