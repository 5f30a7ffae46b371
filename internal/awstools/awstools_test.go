package awstools

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Outside an installed checkout nothing is found, and the words say what to do.
func TestFindSaysNotRun(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	check := func(why string) {
		t.Helper()
		if got, err := Find(); err == nil || !strings.Contains(err.Error(), "NOT RUN") || !strings.Contains(err.Error(), "scripts/setup aws") {
			t.Errorf("%s: got %+v, %v, want an error that says NOT RUN and the command", why, got, err)
		}
	}
	check("no module")
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module x\n")
	check("no pins")
	for _, p := range Pins {
		write("proof/tools/"+p, p)
	}
	check("nothing installed")
	write(".tools/aws/installed", "of another time\n")
	check("other versions")
}
