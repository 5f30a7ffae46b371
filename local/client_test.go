//go:build linux

package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
)

func TestUnanswered(t *testing.T) {
	s := State{Dir: "/srv/site/.ringwall/a-dev"}
	err := s.unanswered(fmt.Errorf("opening: %w", os.ErrPermission))
	if errors.Is(err, ErrNotRunning) || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), s.Dir) {
		t.Errorf("another user's site: got %v", err)
	}
	if err := s.unanswered(os.ErrNotExist); err != ErrNotRunning {
		t.Errorf("no site: got %v, want %v", err, ErrNotRunning)
	}
}
