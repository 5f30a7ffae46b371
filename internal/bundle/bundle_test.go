package bundle

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What is packed is what tar, as an instance has it, takes out.
func TestPack(t *testing.T) {
	noise := make([]byte, 9000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte('a' + r.IntN(26))
	}
	files := []File{{"/etc/a.conf", 0o644, "text\n"}, {"/usr/local/libexec/run", 0o755, "#!/bin/sh\n"}, {"/etc/deep/er/noise", 0o600, string(noise)}}
	b, err := Pack(files)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := Pack(files); again.Sum != b.Sum {
		t.Error("packing twice gives two checksums")
	}
	if len(b.Parts) < 2 || b.String() != fmt.Sprintf("%d %s", len(b.Parts), b.Sum) {
		t.Errorf("got %d parts, %s", len(b.Parts), b)
	}
	dir := t.TempDir()
	var text strings.Builder
	for _, p := range b.Parts {
		if len(p) > MaxPart {
			t.Errorf("a part of %d characters", len(p))
		}
		text.WriteString(p + "\n") // as a command line prints them
	}
	if err := os.WriteFile(dir+"/text", []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	script := `cd "$0" && mkdir out && base64 --decode --ignore-garbage text >files && echo "$1  files" | sha256sum --check --status && tar --extract --gzip --file files --directory out --no-same-owner`
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", script, dir, b.Sum).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, f := range files {
		name := filepath.Join(dir, "out", f.Path)
		got, err := os.ReadFile(name)
		if err != nil || string(got) != f.Text {
			t.Errorf("%s: got %.40q, %v", f.Path, got, err)
		}
		if st, err := os.Stat(name); err == nil && st.Mode().Perm() != os.FileMode(f.Mode) {
			t.Errorf("%s: got mode %v", f.Path, st.Mode())
		}
	}
	for _, bad := range []string{"relative", "/a/../b", ""} {
		if _, err := Pack([]File{{Path: bad}}); err == nil {
			t.Errorf("%q is packed", bad)
		}
	}
}
