package nodered

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFill(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "settings.js")
	if err := os.WriteFile(own, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Fill(dir); err != nil {
			t.Fatal(err)
		}
	}
	if b, _ := os.ReadFile(own); string(b) != "mine" {
		t.Errorf("settings.js: got %q, want it left alone", b)
	}
	for _, name := range []string{"nodes/health.js", "nodes/health.html"} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Size() == 0 {
			t.Errorf("%s: got %v, want a file", name, err)
		}
	}
	if err := Fill(own); err == nil {
		t.Error("a directory that is a file: got no error")
	}
}
