package sandbox_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ringwall/ringwall/internal/sandbox"
)

// The test binary plays four parts: the tests, a sandbox under construction,
// the attacker inside one, and a parent that dies.
func TestMain(m *testing.M) {
	sandbox.Init()
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "attack":
			os.Exit(attack(os.Args[2], os.Args[3:]))
		case "parent":
			parent(os.Args[2])
			return
		}
	}
	os.Exit(prepare(m))
}

func prepare(m *testing.M) int {
	if os.Getenv("SANDBOX_NESTED") != "" {
		if err := ownProc(); err != nil {
			fmt.Println("NOT RUN:", err)
			return 1
		}
	}
	dir, err := os.MkdirTemp("", "ringwall-attacker-")
	if err == nil {
		defer os.RemoveAll(dir)
		attacker = filepath.Join(dir, "attacker")
		err = place(dir)
	}
	if err != nil {
		fmt.Println("NOT RUN:", err)
		return 1
	}
	return m.Run()
}

// attacker is this binary where every user may read it, without the race
// detector: what that reserves passes every limit.
var attacker string

func place(dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if raced {
		c := exec.Command("go", "test", "-c", "-o", attacker, ".")
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("building the attacker: %w: %s", err, out)
		}
		return os.Chmod(attacker, 0o755)
	}
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(attacker, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.Close()
}

// delegated runs a test in the attacker's binary instead, when this one has
// the race detector.
func delegated(t *testing.T) bool {
	if !raced {
		return false
	}
	c := exec.CommandContext(t.Context(), attacker, "-test.run=^"+t.Name()+"$", "-test.timeout=200s")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return true
}
