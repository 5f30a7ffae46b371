package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadSuppressions(t *testing.T) {
	for _, x := range []struct{ name, text, want string }{
		{"whole", "- id: edge/cache-boundary\n  scope: a/B\n  reason: it is public\n  owner: ann\n  expires: 2027-01-31\n", ""},
		{"empty", "", ""},
		{"no owner", "- id: edge/x\n  reason: r\n  expires: 2027-01-31\n", "1:3: it has no owner"},
		{"no day", "- id: edge/x\n  reason: r\n  owner: o\n  expires: soon\n", `4:12: expires: got "soon"`},
		{"no control", "- id: everything\n  reason: r\n  owner: o\n  expires: 2027-01-31\n", `id: got "everything"`},
		{"unknown field", "- id: edge/x\n  reason: r\n  owner: o\n  expires: 2027-01-31\n  until: never\n", `"until" is no part`},
		{"no list", "id: edge/x\n", "want a list"},
	} {
		file := filepath.Join(t.TempDir(), SuppressionsFile)
		if err := os.WriteFile(file, []byte(x.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadSuppressions(file)
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%s: got %v, want %q", x.name, err, x.want)
		}
	}
}
