//go:build linux

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{5, 1, 3}, 3}, {[]float64{4, 1, 2, 3}, 2.5}} {
		if got := median(c.in); got != c.want {
			t.Errorf("median(%v): got %v, want %v", c.in, got, c.want)
		}
	}
}

func TestField(t *testing.T) {
	text := "5581c0000000-7fff rw-p 00000000 00:00 0 [rollup]\nRss:    20904 kB\nPss:     7924 kB\nPss_Anon: 5748 kB\n"
	if n, err := field([]byte(text), "Pss:"); n != 7924<<10 || err != nil {
		t.Errorf("got %d %v, want %d", n, err, 7924<<10)
	}
	if _, err := field([]byte("Rss: 1 kB\n"), "Pss:"); err == nil {
		t.Error("a file without the line: got no error")
	}
}

func TestCPUTime(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
	}
	after, err := cpuTime(os.Getpid())
	if err != nil || after <= before {
		t.Errorf("after work: got %v %v, want more than %v", after, err, before)
	}
}

func TestVariants(t *testing.T) {
	for k, kind := range kinds {
		seen := map[string]bool{}
		for _, b := range variantsOf(k, "localhost:8443") {
			seen[string(b)] = true
			if !bytes.Contains(b, []byte("\r\n\r\n")) || !bytes.HasSuffix(bytes.SplitN(b, []byte("\r\n"), 2)[0], []byte(" HTTP/1.1")) {
				t.Fatalf("%s: not a request: %q", kind.name, b)
			}
		}
		if len(seen) < variants {
			t.Errorf("%s: got %d different requests, want %d", kind.name, len(seen), variants)
		}
	}
}

func TestLoadIsLoopbackOnly(t *testing.T) {
	if _, err := openLoad("192.0.2.1:443", 1, nil); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestResultsKeepOtherSections(t *testing.T) {
	name := filepath.Join(t.TempDir(), "RESULTS.md")
	write := func(title, cell string) {
		if err := writeResults(name, []*report{{title: title, head: []string{"x"}, rows: [][]string{{cell}}}}); err != nil {
			t.Fatal(err)
		}
	}
	write(benches[1].title, "old-cell")
	write(benches[0].title, "other-cell")
	write(benches[1].title, "new-cell")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if strings.Contains(text, "old-cell") || strings.Count(text, "\n## ") != 2 || strings.Index(text, "other-cell") > strings.Index(text, "new-cell") {
		t.Errorf("got:\n%s", text)
	}
}

// The peer that Ringwall is compared to: both hops and the app answer.
func TestBareHops(t *testing.T) {
	s := &settings{dir: t.TempDir(), conns: 2, n: 20, smoke: true}
	if err := os.Chdir(".."); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chdir("bench") })
	if err := s.build(t.Context()); err != nil {
		t.Fatal(err)
	}
	os.Chmod(s.dir, 0o755)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b, err := startBare(ctx, s, true)
	if err != nil {
		t.Fatal(err)
	}
	defer b.stop()
	cost, _, err := s.measure(ctx, b.addr, "/page", map[string][]int{"hops": b.hops})
	if err != nil || cost <= 0 || len(b.hops) != 2 {
		t.Errorf("got %v %v with %d hops", cost, err, len(b.hops))
	}
}
