package sandbox_test

import (
	"os"
	"testing"

	"github.com/ringwall/ringwall/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Init()
	os.Exit(m.Run())
}
