//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// build makes the programs that are measured, as `make` does.
func (s *settings) build(ctx context.Context) error {
	if _, err := os.Stat("examples/board/ringwall.yaml"); err != nil {
		return fmt.Errorf("finding the project: %w; run this from its top directory: go run ./bench", err)
	}
	measured = firstLine("git", "describe", "--always", "--dirty")
	for _, b := range []struct {
		pkg string
		out *string
	}{{"./cmd/ringwall", &s.bin}, {"./bench", &s.self}, {"./examples/board", &s.board}} {
		*b.out = filepath.Join(s.dir, filepath.Base(b.pkg))
		c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", *b.out, b.pkg)
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", b.pkg, err, out)
		}
	}
	return nil
}

// copyFile copies a program to where a site has it.
func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}
