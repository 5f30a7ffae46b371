package database

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/plan"
)

// TestMain lets the test binary set sandboxes up.
func TestMain(m *testing.M) {
	sandbox.Init()
	code := m.Run()
	for _, dir := range initialised.dir {
		os.RemoveAll(filepath.Dir(dir))
	}
	os.Exit(code)
}

// walled runs programs inside the server's walls, as a site does. The network is
// the machine's: what may be dialled is another wall's to say.
type walled struct {
	server *Server
	uid    int
}

func (w *walled) spec() sandbox.Spec {
	spec := sandbox.Spec{Name: "database", UID: uint32(w.uid), Skip: sandbox.Net,
		Limits: sandbox.Limits{Processes: 512, Memory: 2 << 30, OpenFiles: 16384, FileSize: 1 << 40}}
	w.server.Spec(&spec)
	return spec
}

func (w *walled) Run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	spec := w.spec()
	spec.Args, spec.Calls.Spawn = args, true
	in, feed, err := os.Pipe()
	if err != nil {
		return err
	}
	out, err := os.CreateTemp("", "ringwall-out-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	spec.Stdin, spec.Stderr = in, out
	p, err := sandbox.Start(spec)
	in.Close()
	if err != nil {
		return err
	}
	go func() {
		if stdin != nil {
			io.Copy(feed, stdin)
		}
		feed.Close()
	}()
	stop := context.AfterFunc(ctx, func() { p.Kill() })
	defer stop()
	if exit, err := p.Wait(); err != nil || !exit.Success() {
		b, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s: %s (%v): %s", args[0], exit, err, b)
	}
	return nil
}

// TestWalled runs both servers as a site does, behind mounts, namespaces,
// Landlock and seccomp.
func TestWalled(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		x := newSite(t, e, wordpress)
		x.dirs.InsideData, x.dirs.InsideRun, x.dirs.User = InsideData, InsideRun, superuser
		uid := x.dirs.UID
		if uid == os.Geteuid() {
			uid = 0 // a caller that may not change its ids names none
		}
		w := &walled{server: x.Server, uid: uid}
		x.run = w
		x.must(x.Init(t.Context()))
		start := func() *sandbox.Process {
			spec := w.spec()
			spec.Stderr = x.log
			p, err := sandbox.Start(spec)
			if err != nil {
				t.Fatal("NOT RUN: ", err)
			}
			t.Cleanup(func() { p.Kill(); p.Wait() })
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := x.Ready(ctx); err != nil {
				b, _ := os.ReadFile(x.log.Name())
				t.Fatalf("%v\n%s", err, b)
			}
			return p
		}
		p := start()
		x.must(x.Grant(t.Context()))
		x.ok(plan.Admin, wpTables)
		x.must(x.Grant(t.Context()))
		x.ok(plan.Fleet, "INSERT INTO wp_comments (body) VALUES ('hi')")
		x.denied(plan.Fleet, "SELECT * FROM wp_users")
		dump := filepath.Join(t.TempDir(), "dump.sql")
		x.must(x.Dump(t.Context(), dump))
		x.must(x.eng.recreate(t.Context()))
		x.must(x.Restore(t.Context(), dump))
		x.must(x.Grant(t.Context()))
		if got := x.ok(plan.Fleet, "SELECT body FROM wp_comments"); got != "hi" {
			t.Errorf("restored: got %q, want hi", got)
		}
		if e == plan.Postgres {
			// Not even the superuser's SQL can start a program.
			if _, err := x.eng.sql(t.Context(), "", "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'"); err == nil {
				t.Error("the superuser started a program, want it refused by the sandbox")
			}
		}
		p.Kill()
		p.Wait()
		p = start()
		if got := x.ok(plan.Fleet, "SELECT body FROM wp_comments"); got != "hi" {
			t.Errorf("after a kill: got %q, want hi", got)
		}
		p.Kill()
		p.Wait()
		b, _ := os.ReadFile(x.log.Name())
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, "ERROR") || strings.Contains(line, "Warning") || strings.Contains(line, "WARNING") {
				t.Log(strings.TrimSpace(line))
			}
		}
	})
}
