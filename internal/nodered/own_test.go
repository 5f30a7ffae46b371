package nodered

import (
	"os"
	"strings"
	"testing"
)

func TestLock(t *testing.T) {
	files, names, err := Lock()
	if err != nil || len(names) != 2 {
		t.Fatalf("got %v, %v", names, err)
	}
	for _, n := range names {
		b, err := os.ReadFile("../../examples/node-red/site/" + n)
		if err != nil || string(b) != files[n] {
			t.Errorf("%s is not the example's: %v; copy it", n, err)
		}
	}
	if n := strings.Count(files["package-lock.json"], `"integrity"`); n < 200 {
		t.Errorf("got %d checksums", n)
	}
	own, names, err := Own()
	if err != nil || own["settings.js"] == "" || len(names) != 3 {
		t.Errorf("got %v, %v", names, err)
	}
}
