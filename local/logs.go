//go:build linux

package local

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
)

// maxLog is the size at which a log file becomes the previous one (.1).
const maxLog = 32 << 20

// The good requests that the edge keeps hold what visitors wrote: there are few
// of them, and they are gone when recording is switched off.
const maxRecorded = 4 << 20

// A logFile is a log that keeps its last two files. Writing never fails for the
// writer: a full disk must not stop a site.
type logFile struct {
	mu   sync.Mutex
	name string
	f    *os.File
	size int64
	old  int64 // bytes that runs before this one have written
	max  int64 // size at which it becomes the previous one
	lost int64 // bytes that could not be written
}

func openLog(name string) (*logFile, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("opening log %s: %w", name, err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening log %s: %w", name, err)
	}
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	l := &logFile{name: name, f: f, size: st.Size(), old: st.Size(), max: maxLog}
	if filepath.Base(name) == recordedLog {
		l.max = maxRecorded
	}
	return l, nil
}

func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+int64(len(b)) > l.max {
		if os.Rename(l.name, l.name+".1") == nil {
			if f, err := os.OpenFile(l.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err == nil {
				l.f.Close()
				l.f, l.size, l.old = f, 0, 0
			}
		}
	}
	n, err := l.f.Write(b)
	l.size += int64(n)
	if err != nil {
		l.lost += int64(len(b) - n)
	}
	return len(b), nil
}

// forget empties the log and removes the previous one.
func (l *logFile) forget() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size, l.old = 0, 0
	err := os.Remove(l.name + ".1")
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(l.f.Truncate(0), err)
}

// lastWords are the ends of what this run wrote to logs, for the message of a start
// that failed; without the site's secrets, which an app may have printed.
func (h *hub) lastWords(logs ...string) string {
	var b strings.Builder
	for _, name := range logs {
		l, err := h.log(name)
		if err != nil {
			continue
		}
		text := l.tail(1500)
		if text == "" {
			continue
		}
		text = h.redact(text)
		fmt.Fprintf(&b, "\nlast lines of %s:", name)
		lines := strings.Split(text, "\n")
		for _, l := range lines[max(0, len(lines)-8):] {
			fmt.Fprintf(&b, "\n  %s", l)
		}
	}
	return b.String()
}

// redact takes the site's secrets out of what another program said.
func (h *hub) redact(text string) string {
	for _, secret := range h.secretValues() {
		text = strings.ReplaceAll(text, secret, "[secret]")
	}
	return text
}

// tail is the end of what this run wrote, by whole lines, n bytes at most.
func (l *logFile) tail(n int64) string {
	l.mu.Lock()
	name, old := l.name, l.old
	l.mu.Unlock()
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() <= old {
		return ""
	}
	b := make([]byte, min(n, st.Size()-old))
	got, _ := f.ReadAt(b, st.Size()-int64(len(b)))
	text := string(b[:got])
	if _, whole, ok := strings.Cut(text, "\n"); ok && st.Size()-old > n {
		text = whole
	}
	return strings.TrimSpace(strings.ToValidUTF8(text, "?"))
}

// Lost is how many bytes found no room.
func (l *logFile) Lost() int64 { l.mu.Lock(); defer l.mu.Unlock(); return l.lost }

// pipe returns a file to give to a process; what it writes goes to the log by
// whole lines of at most 64 KiB.
func (l *logFile) pipe() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		defer r.Close()
		br := bufio.NewReaderSize(r, 64<<10)
		for {
			line, err := br.ReadSlice('\n')
			if len(line) > 0 {
				l.Write(line)
			}
			if err != nil && err != bufio.ErrBufferFull {
				if err != io.EOF {
					fmt.Fprintf(l, "ringwall: reading this part's output: %v\n", err)
				}
				return
			}
		}
	}()
	return w, nil
}

// An eventLog writes events as JSON lines, each in one piece.
type eventLog struct {
	f     *os.File
	delay time.Duration // how long a line may wait for more, so that many go in one write; 0: not at all

	mu      sync.Mutex
	b       []byte
	waiting bool // a flush is due
}

const (
	logDelay = 20 * time.Millisecond
	logBatch = 16 << 10
)

func newEventLog(f *os.File, delay time.Duration) *eventLog { return &eventLog{f: f, delay: delay} }

func (l *eventLog) write(e *proxy.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(e.AppendJSON(l.b), '\n')
	switch {
	case l.delay == 0 || len(l.b) >= logBatch:
		l.put()
	case !l.waiting:
		l.waiting = true
		time.AfterFunc(l.delay, l.flush)
	}
}

// writeJSON writes something else than an event, at once.
func (l *eventLog) writeJSON(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		return // a log never stops its writer
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(append(l.b, b...), '\n')
	l.put()
}

// flush writes what waits. Who ends on purpose calls it last.
func (l *eventLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = false
	l.put()
}

func (l *eventLog) put() {
	if len(l.b) > 0 {
		l.f.Write(l.b)
		l.b = l.b[:0]
	}
}
