package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestManual(t *testing.T) {
	dir := t.TempDir()
	if err := writeManual(dir, newRoot()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"ringwall.1":          {".TH RINGWALL 1", `ringwall \- Put a web app behind`, `\fBringwall\-check\fP(1)`},
		"ringwall-check.1":    {".SH DESCRIPTION", `\-\-benchmark version`, `ringwall check examples/sample\-aws`, `\fBringwall\fP(1)`},
		"ringwall-waf-tune.1": {".SH SYNOPSIS", `\fBringwall\-waf\fP(1)`},
	} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, w := range want {
			if !strings.Contains(string(b), w) {
				t.Errorf("%s: got no %q in\n%s", name, w, b)
			}
		}
	}
}

func TestRoff(t *testing.T) {
	if got, want := roff("a\\b\n.x -y\n'z"), "a\\eb\n\\&.x \\-y\n\\&'z"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
