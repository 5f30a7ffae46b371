package database

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/ringwall/ringwall/internal/lazy"
)

// client runs one of the system's client programs on this side of the walls, as
// the server's user, which is how the server knows it. The socket's directory is
// handed over as descriptor 3 (see socketDir), so neither its length nor the
// directories above it matter. stdin carries the SQL: no secret is ever an
// argument or in the environment.
func (s *Server) client(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	dir, err := os.Open(s.dirs.Run)
	if err != nil {
		return fmt.Errorf("opening the directory of the database's socket: %w", err)
	}
	defer dir.Close()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=/nonexistent", "PGPASSFILE=/nonexistent",
		"PGCONNECT_TIMEOUT=5", "PGOPTIONS=-c search_path=pg_catalog -c client_min_messages=error -c lock_timeout=5s"}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{dir}
	cmd.Stdin, cmd.Stdout = stdin, stdout
	var said tail
	cmd.Stderr = &said
	cmd.WaitDelay = 5 * time.Second
	if s.dirs.UID != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(s.dirs.UID), Gid: uint32(s.dirs.GID)}}
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if msg := said.String(); msg != "" {
			return errors.New(msg)
		}
		return fmt.Errorf("running %s: %w", args[0], err)
	}
	return nil
}

const socketDir = "/proc/self/fd/3"

// scriptMax bounds one script of ours; dumps have no bound.
const scriptMax = 30 * time.Second

// query is client for scripts whose answer fits in memory.
func (s *Server) query(ctx context.Context, args []string, script string) (string, error) {
	var out bytes.Buffer
	ctx, cancel := context.WithTimeoutCause(ctx, scriptMax, fmt.Errorf("the server took longer than %s", scriptMax))
	defer cancel()
	err := s.client(ctx, args, strings.NewReader(script), &out)
	return strings.TrimSuffix(out.String(), "\n"), err
}

// tail keeps the end of what a program wrote to its standard error.
type tail struct{ b []byte }

const tailMax = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if len(t.b) > tailMax {
		t.b = t.b[len(t.b)-tailMax:]
	}
	return len(p), nil
}

// verifiers are what the servers store for a password. They are useless to log
// in with, and still nobody's business.
var verifiers = lazy.Regexp(`SCRAM-SHA-256\$[^'\s]*|\*[0-9A-F]{40}`)

func (t *tail) String() string {
	return verifiers().ReplaceAllString(strings.TrimSpace(string(t.b)), "[hidden]")
}
