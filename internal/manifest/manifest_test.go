package manifest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	full := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func scan(t *testing.T, dir string, old *Manifest) *Manifest {
	t.Helper()
	m, err := Scan(dir, nil, old)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestScanAndDiff(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"a.php", "b/c.php", "b/d.php", "b.php", "z"} {
		write(t, dir, n, n)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	one := scan(t, dir, nil)
	var names []string
	for _, f := range one.Files {
		names = append(names, f.Path)
	}
	if want := []string{"a.php", "b.php", "b/c.php", "b/d.php", "link", "z"}; !slices.Equal(names, want) {
		t.Fatalf("got %q, want %q", names, want)
	}
	if two := scan(t, dir, one); !Diff(one, two).Empty() {
		t.Errorf("nothing changed: got %v", Diff(one, two))
	}

	// Same size and the old time: only the inode's own time gives it away.
	st, _ := os.Stat(filepath.Join(dir, "a.php"))
	time.Sleep(20 * time.Millisecond)
	write(t, dir, "a.php", "A.php")
	if err := os.Chtimes(filepath.Join(dir, "a.php"), st.ModTime(), st.ModTime()); err != nil {
		t.Fatal(err)
	}
	os.Chmod(filepath.Join(dir, "z"), 0o755)
	os.Remove(filepath.Join(dir, "b.php"))
	write(t, dir, "n/e/w", "x")
	os.Remove(filepath.Join(dir, "link"))
	os.Symlink("/etc/shadow", filepath.Join(dir, "link"))
	c := Diff(one, scan(t, dir, one))
	if !slices.Equal(c.Added, []string{"n/e/w"}) || !slices.Equal(c.Removed, []string{"b.php"}) || !slices.Equal(c.Changed, []string{"a.php", "link", "z"}) {
		t.Errorf("got %+v", c)
	}
	if !strings.Contains(c.String(), "changed  a.php\n") {
		t.Errorf("got %q", c.String())
	}
	kept, err := Scan(dir, func(n string) bool { return strings.HasPrefix(n, "b/") }, nil)
	if err != nil || len(kept.Files) != 2 {
		t.Errorf("kept: got %v, %v", kept, err)
	}
}

func TestSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Scan(dir, nil, nil); err == nil || !strings.Contains(err.Error(), "named pipe") {
		t.Errorf("got %v", err)
	}
	if _, err := Scan(filepath.Join(dir, "nothing"), nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestSaveAndLoad(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "tree/a b\n.php", "x")
	write(t, dir, "tree/latin\xe9.txt", "x")
	write(t, dir, "tree/latin\xe8.txt", "x")
	m := scan(t, filepath.Join(dir, "tree"), nil)
	name := filepath.Join(dir, "manifest.json")
	if err := m.Save(name); err != nil {
		t.Fatal(err)
	}
	got, err := Load(name)
	if err != nil || !Diff(m, got).Empty() {
		t.Fatalf("got %v, %v", got, err)
	}
	if _, err := Load(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	b, _ := os.ReadFile(name)
	for _, bad := range []string{"", string(b[:len(b)/2]), `{"version":2}`, `{"version":1,"files":[{"path":"../x"}]}`, `{"version":1,"files":[{"path":"x","sha256":"00"}]}`} {
		write(t, dir, "manifest.json", bad)
		if _, err := Load(name); err == nil || !strings.Contains(err.Error(), "ringwall accept") {
			t.Errorf("%.20q: got %v", bad, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".manifest-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "code.php", "1")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	notices := make(chan Notice, 10)
	w := &Watcher{Dir: dir, Interval: 10 * time.Millisecond, Quiet: 3, Class: func(n string) int {
		if strings.HasPrefix(n, "up/") {
			return 2
		}
		return 0
	}}
	done := make(chan error, 1)
	from := scan(t, dir, nil)
	go func() { done <- w.Run(ctx, from, func(n Notice) { notices <- n }) }()
	for i := range 20 { // a copy in progress
		write(t, dir, "up/x", strings.Repeat("x", i))
		write(t, dir, "code.php", strings.Repeat("y", i))
		time.Sleep(2 * time.Millisecond)
	}
	var n Notice
	select {
	case n = <-notices:
	case <-ctx.Done():
		t.Fatal("no notice")
	}
	if !slices.Equal(n.Changes[2].Added, []string{"up/x"}) || !slices.Equal(n.Changes[0].Changed, []string{"code.php"}) || len(n.Now.Files) != 2 {
		t.Errorf("got %+v", n)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"version":1,"files":[{"path":"a","mode":420,"size":1,"sha256":"` + strings.Repeat("0", 64) + `"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parse(b); err == nil && !Diff(m, m).Empty() {
			t.Error("a manifest differs from itself")
		}
	})
}

// BenchmarkRescan is one scan of an unchanged WordPress.
func BenchmarkRescan(b *testing.B) {
	const dir = "/usr/share/wordpress"
	old, err := Scan(dir, nil, nil)
	if err != nil {
		b.Fatalf("NOT RUN: %v; install wordpress", err)
	}
	b.ReportMetric(float64(len(old.Files)), "files")
	for b.Loop() {
		if _, err := Scan(dir, nil, old); err != nil {
			b.Fatal(err)
		}
	}
}
