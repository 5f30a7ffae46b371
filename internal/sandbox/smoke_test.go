package sandbox_test

import (
	"testing"

	"github.com/ringwall/ringwall/internal/sandbox"
)

func TestCapabilities(t *testing.T) {
	for _, c := range sandbox.Capabilities(t.Context()) {
		t.Logf("%-40s %v %s | %s", c.Name, c.OK, c.Detail, c.Fix)
		if !c.OK && c.Layer != sandbox.Cgroup {
			t.Errorf("%s: %s", c.Name, c.Detail)
		}
	}
}
