//go:build linux

package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnanswered(t *testing.T) {
	s := State{Dir: "/srv/site/.ringwall/a-dev"}
	err := s.unanswered(fmt.Errorf("opening: %w", os.ErrPermission))
	if errors.Is(err, ErrNotRunning) || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), s.Dir) {
		t.Errorf("another user's site: got %v", err)
	}
	if err := s.unanswered(os.ErrNotExist); !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "ringwall up "+filepath.Base(s.Dir)) {
		t.Errorf("no site: got %v, want %v", err, ErrNotRunning)
	}
}
