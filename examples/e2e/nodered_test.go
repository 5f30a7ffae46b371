package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ringwall/ringwall/internal/nodered"
)

// startNodeRED runs one tier over the user directory dir.
func startNodeRED(t *testing.T, dir, tier string) (*NodeRED, func()) {
	t.Helper()
	tmp := sharedDir(t)
	if err := os.WriteFile(tmp+"/admin.json", []byte(`{"username":"`+operator.Username+`","password":"`+operator.Password+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	own(t, tmp)
	port := freePort(t)
	stop := start(t, tmp, []string{"RINGWALL_TIER=" + tier, fmt.Sprintf("PORT=%d", port), "ADMIN_SECRET=" + tmp + "/admin.json"},
		program(t, "node"), dir+"/node_modules/node-red/red.js", "--userDir", dir)
	_, c := front(t, port)
	n := &NodeRED{Client: c}
	answers(t, "Node-RED", func(ctx context.Context) error {
		a, err := n.Get(ctx, "/healthz")
		if err != nil {
			return err
		}
		return a.Want(http.StatusOK)
	})
	return n, stop
}

func TestNodeRED(t *testing.T) {
	dir := filepath.Join(sharedDir(t), "site")
	if _, err := os.Stat("../node-red/site/node_modules/node-red/red.js"); err != nil {
		t.Fatalf("NOT RUN: Node-RED is not installed: run `make setup SET=node-red`")
	}
	if out, err := exec.Command("cp", "-a", "../node-red/site", dir).CombinedOutput(); err != nil {
		t.Fatalf("copying the user directory: %v: %s", err, out)
	}
	must(t, nodered.Fill(dir))
	own(t, dir)
	ctx := t.Context()

	admin, _ := startNodeRED(t, dir, "admin")
	fleet, stop := startNodeRED(t, dir, "fleet")
	const first = "Hello from behind eleven walls"
	for _, n := range []*NodeRED{admin, fleet} {
		_, err := n.See(ctx, "/hello", first)
		must(t, err)
	}
	a, err := admin.Get(ctx, "/admin/flows")
	must(t, err)
	must(t, a.Want(http.StatusUnauthorized))
	if err := admin.Login(ctx, Credentials{operator.Username, "wrong"}); err == nil {
		t.Error("logged in with a wrong password")
	}
	must(t, admin.Login(ctx, operator))
	f, err := admin.Flows(ctx)
	must(t, err)
	must(t, admin.Greet(ctx, "Good evening"))
	_, err = admin.See(ctx, "/hello", "Good evening")
	must(t, err)
	if _, err := admin.Deploy(ctx, f); err == nil {
		t.Error("a deployment over an old revision was taken, want a conflict")
	}

	_, err = fleet.See(ctx, "/hello", first) // fleet reads its flows when it starts
	must(t, err)
	stop()
	fleet, _ = startNodeRED(t, dir, "fleet")
	_, err = fleet.See(ctx, "/hello", "Good evening")
	must(t, err)
	for _, path := range []string{"/admin/", "/admin/flows", "/flows", "/settings", "/admin/comms", "/comms"} {
		a, err := fleet.Get(ctx, path)
		must(t, err)
		if a.Status != http.StatusNotFound {
			t.Errorf("%s on fleet: got %d, want 404: it has no editor", path, a.Status)
		}
	}
}
