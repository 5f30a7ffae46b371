package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A server of the system's PostgreSQL in a directory of its own.
type postgres struct {
	dir  string
	port int
	cmd  *exec.Cmd
	done chan error
}

func pgBin(t *testing.T, name string) string {
	t.Helper()
	all, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(all) == 0 {
		t.Fatalf("NOT RUN: %s is not installed: run `make setup`", name)
	}
	return all[len(all)-1]
}

// asNobody lets a test that root runs start what refuses to run as root.
func asNobody() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		a.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	return a
}

func startPostgres(t *testing.T) *postgres {
	t.Helper()
	dir, err := os.MkdirTemp("", "board-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	init := exec.CommandContext(ctx, pgBin(t, "initdb"), "-D", dir+"/data", "-A", "trust", "-U", "postgres", "--no-sync", "--locale=C", "-E", "UTF8")
	init.SysProcAttr, init.Dir = asNobody(), dir
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("NOT RUN: initdb: %v\n%s", err, out)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &postgres{dir: dir, port: ln.Addr().(*net.TCPAddr).Port}
	ln.Close()
	p.start(t)
	t.Cleanup(func() { p.kill(t) })
	return p
}

func (p *postgres) start(t *testing.T) {
	t.Helper()
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		log, err := os.OpenFile(p.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(pgBin(t, "postgres"), "-D", p.dir+"/data", "-k", p.dir, "-h", "127.0.0.1", "-p", strconv.Itoa(p.port), "-c", "shared_buffers=16MB")
		cmd.SysProcAttr, cmd.Dir, cmd.Stdout, cmd.Stderr = asNobody(), p.dir, log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		log.Close()
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		p.cmd, p.done = cmd, done
		for len(done) == 0 && time.Now().Before(limit) {
			if c, err := p.connect(); err == nil {
				c.Close(context.Background())
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		// After a kill, the shared memory of the old server may not be gone yet.
		if time.Now().After(limit) {
			b, _ := os.ReadFile(p.dir + "/log")
			t.Fatalf("NOT RUN: PostgreSQL does not start:\n%s", b)
		}
	}
}

func (p *postgres) kill(t *testing.T) {
	t.Helper()
	if p.cmd == nil {
		return
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // its backends have the same group or see it die
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		t.Error("PostgreSQL did not die")
	}
	p.cmd = nil
}

func (p *postgres) connect() (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres", p.dir, p.port))
}

// do runs SQL as the owner of the server.
func (p *postgres) do(t *testing.T, sql ...string) {
	t.Helper()
	c, err := p.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	for _, s := range sql {
		if _, err := c.Exec(context.Background(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// users makes both tiers' users, without any right on tables for fleet.
func (p *postgres) users(t *testing.T) {
	t.Helper()
	p.do(t, "CREATE ROLE board_admin LOGIN", "CREATE ROLE board_fleet LOGIN",
		"CREATE DATABASE board OWNER board_admin")
}

// grant gives fleet what ringwall.yaml gives it.
func (p *postgres) grant(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=board", p.dir, p.port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	for _, s := range []string{
		"GRANT SELECT ON ALL TABLES IN SCHEMA public TO board_fleet",
		"REVOKE ALL ON board_admins, board_admin_sessions FROM board_fleet",
		"GRANT INSERT ON board_comments TO board_fleet",
	} {
		if _, err := c.Exec(ctx, s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// secret writes the credentials of a tier as the site's runtime does.
func (p *postgres) secret(t *testing.T, tier string) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"username": "board_" + tier, "password": "unused-by-trust", "host": "127.0.0.1",
		"port": p.port, "dbname": "board", "engine": "postgres"})
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, string(b))
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file.json")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
