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
	if out, err := exec.CommandContext(ctx, "make", "build", "board").CombinedOutput(); err != nil {
		return fmt.Errorf("make build board: %w\n%s", err, out)
	}
	s.bin, s.board, s.self = filepath.Join(s.dir, "ringwall"), filepath.Join(s.dir, "board"), filepath.Join(s.dir, "bench")
	for from, to := range map[string]string{"bin/ringwall": s.bin, "examples/board/site/board": s.board} {
		if err := copyFile(from, to); err != nil {
			return err
		}
	}
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", s.self, "./bench")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("building ./bench: %w\n%s", err, out)
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
