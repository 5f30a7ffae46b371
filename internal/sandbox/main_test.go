package sandbox_test

import (
	"os"
	"testing"

	"github.com/ringwall/ringwall/internal/sandbox"
)

// The test binary plays three parts: the tests, a sandbox under construction,
// and the attacker inside one.
func TestMain(m *testing.M) {
	sandbox.Init()
	if len(os.Args) > 2 && os.Args[1] == "attack" {
		os.Exit(attack(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}
