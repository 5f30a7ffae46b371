package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// These tests run the real apps without walls, to prove the clients; the same
// clients then use the apps behind them.

// unprivileged makes a child not run as root, and be killable with all its own
// children.
func unprivileged() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		a.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	return a
}

// sharedDir is a directory that the unprivileged user owns.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	own(t, dir)
	return dir
}

func own(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, 65534, 65534)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func program(t *testing.T, names ...string) string {
	t.Helper()
	for _, n := range names {
		if p, err := exec.LookPath(n); err == nil {
			return p
		}
	}
	t.Fatalf("NOT RUN: %s is not installed: run `make setup SET=test`", names[0])
	return ""
}

// start runs a program until the test ends and returns a function that kills it.
func start(t *testing.T, dir string, env []string, name string, args ...string) func() {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = dir, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}, env...), unprivileged()
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatalf("NOT RUN: starting %s: %v", name, err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	kill := func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	}
	t.Cleanup(func() {
		kill()
		if t.Failed() {
			s := log.String()
			t.Logf("%s said:\n%s", filepath.Base(name), s[max(0, len(s)-4000):])
		}
	})
	return kill
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// answers waits until f succeeds.
func answers(t *testing.T, what string, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	for {
		err := f(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("NOT RUN: %s does not answer: %v", what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// front is TLS before a plain server, as the edge is.
func front(t *testing.T, port int) (base string, c *Client) {
	t.Helper()
	p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	p.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
	s := httptest.NewTLSServer(p)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	c = New(s.URL, s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, nil)
	t.Cleanup(c.Close)
	return s.URL, c
}

// A mariadb is a server of the system's MariaDB.
type mariadb struct {
	dir  string
	port int
}

func startMariaDB(t *testing.T) *mariadb {
	t.Helper()
	m := &mariadb{dir: sharedDir(t), port: freePort(t)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	init := exec.CommandContext(ctx, program(t, "mariadb-install-db"), "--no-defaults", "--datadir="+m.dir+"/data", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	init.SysProcAttr, init.Dir = unprivileged(), m.dir
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("NOT RUN: mariadb-install-db: %v\n%s", err, out)
	}
	start(t, m.dir, nil, program(t, "mariadbd"), "--no-defaults", "--datadir="+m.dir+"/data", "--socket="+m.dir+"/sock", "--pid-file="+m.dir+"/pid",
		"--bind-address=127.0.0.1", fmt.Sprintf("--port=%d", m.port), "--skip-name-resolve", "--innodb-buffer-pool-size=64M",
		"--innodb-flush-log-at-trx-commit=2", "--general-log=1", "--general-log-file="+m.dir+"/general.log")
	answers(t, "MariaDB", func(ctx context.Context) error { _, err := m.sql(ctx, "", "SELECT 1"); return err })
	return m
}

// sql runs statements as the server's owner.
func (m *mariadb) sql(ctx context.Context, db, text string) (string, error) {
	cmd := exec.CommandContext(ctx, "mariadb", "--no-defaults", "--socket="+m.dir+"/sock", "-uroot", "-N", "-B", db)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return string(out), nil
}

func (m *mariadb) must(t *testing.T, db, text string) string {
	t.Helper()
	out, err := m.sql(t.Context(), db, text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return out
}
