//go:build linux

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/local/localtest"
)

// nodeModules is where the example's Node-RED is installed.
func nodeModules(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../node-red/site/node_modules")
	must(t, err)
	if _, err := os.Stat(dir + "/node-red/red.js"); err != nil {
		t.Fatalf("NOT RUN: Node-RED is not installed: run `make setup SET=node-red`")
	}
	return dir
}

func nodeREDSite(t *testing.T) (*site, *localtest.Running) {
	flows, err := os.ReadFile("../node-red/site/flows.json")
	must(t, err)
	s := &site{Site: localtest.New(t, localtest.Build(t, "cmd/ringwall", ""), "nodered-dev", read(t, "../node-red/ringwall.yaml"),
		map[string]string{"site/flows.json": string(flows)})}
	s.Env = append(s.Env, "RINGWALL_HOST_PROGRAMS="+nodeModules(t))
	s.User = "nobody" // as people run it: without root
	return s, s.start(t)
}

// A flow edited on admin is served by fleet, which has no editor, after it rolled
// by itself.
func TestSiteNodeRED(t *testing.T) {
	s, r := nodeREDSite(t)
	ctx := t.Context()
	admin, visitor := &NodeRED{Client: s.office}, &NodeRED{Client: s.visitor}
	const before, after = "Hello from behind eleven walls", "Good evening"
	_, err := visitor.See(ctx, "/hello", before)
	must(t, err)
	a, err := admin.Get(ctx, "/admin/flows")
	must(t, err)
	must(t, a.Want(http.StatusUnauthorized))
	if err := admin.Login(ctx, Credentials{"admin", "wrong"}); err == nil {
		t.Error("logged in with a wrong password")
	}
	must(t, admin.Login(ctx, s.login(t)))
	printed := len(r.Out.String())
	must(t, admin.Greet(ctx, after))
	_, err = admin.See(ctx, "/hello", after)
	must(t, err)
	rolled(t, r, printed)
	within(t, 30*time.Second, func(ctx context.Context) error { _, err := visitor.See(ctx, "/hello", after); return err })
	if out := s.status(t); !strings.Contains(out, "as accepted") {
		t.Errorf("a deployed flow is data, not code: status says\n%s", out)
	}
	// What an administrator's flow may hold, a visitor's request may not.
	f, err := admin.Flows(ctx)
	must(t, err)
	for _, n := range f.Nodes {
		if n["name"] == "greet" {
			n["func"] = "const os = global.get('os'); /* require('child_process').exec('id') */ msg.payload = '<script>1</script>'; return msg;"
		}
	}
	if _, err := admin.Deploy(ctx, f); err != nil {
		t.Errorf("deploying code that a firewall dislikes: %v", err)
	}

	for _, p := range []string{"/admin", "/admin/", "/admin/flows", "/admin/comms", "/%61dmin/flows", "//admin/flows", "/x/../admin/flows", "/admin%2fflows"} {
		refused(t, s.visitor, http.MethodGet, p)
		refused(t, s.visitor, http.MethodPost, p)
	}
	if _, _, err := visitor.Comms(ctx); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("the editor's WebSocket as a visitor: got %v, want 403", err)
	}
	for _, p := range []string{"/flows", "/settings", "/comms", "/red/red.min.js"} {
		a, err := s.visitor.Get(ctx, p)
		must(t, err)
		if a.Status != http.StatusNotFound && a.Status != http.StatusForbidden {
			t.Errorf("%s on fleet: got %d, want 404: it has no editor", p, a.Status)
		}
	}
	for _, line := range []string{"touch x", "echo > flows.json", "rm settings.js"} {
		if r := s.Run("exec", "fleet", "--", "sh", "-c", line); r.Code == 0 {
			t.Errorf("%s in fleet: got exit code 0, want a refusal", line)
		}
	}
}

// A program that is missing is named before anything is started, with the way to
// set it up.
func TestSiteMissingProgram(t *testing.T) {
	for program, how := range map[string]string{"node-red": "npm install -g node-red", "no-such-program": "host.programs", "{files}/app": "files.source"} {
		s := localtest.New(t, localtest.Build(t, "cmd/ringwall", ""), "x-dev", fmt.Sprintf("app: x\npreset: generic\nkind: command\nfiles: {source: ./site}\ncommand: [%q]\nenvironments:\n  dev: {}\n", program), map[string]string{"site/x": ""})
		if _, err := os.Stat("/usr/local/bin/node-red"); err == nil && program == "node-red" {
			continue
		}
		r := s.Run("up")
		if r.Code != 1 || !strings.Contains(r.Stderr, how) || strings.Count(r.Stderr, how) != 1 || strings.Contains(r.Stderr, "edge") {
			t.Errorf("up with %s: got %d\n%s\nwant 1 and %q once, before anything starts", program, r.Code, r.Stderr, how)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	return string(b)
}
