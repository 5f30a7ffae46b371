package host_test

import (
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/internal/boxtest"
	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/host"
	"github.com/ringwall/ringwall/plan"
)

func aPlan(t *testing.T, kind plan.Kind) *plan.Plan {
	p := &plan.Plan{App: "wp", Env: "dev", Kind: kind, File: filepath.Join(t.TempDir(), "ringwall.yaml")}
	limits := plan.Limits{Processes: 64, Memory: 512 << 20, OpenFiles: 1024, FileSize: 64 << 20}
	p.Tiers = []plan.Tier{{Name: plan.Admin, Write: true, Limits: limits}, {Name: plan.Fleet, Limits: limits}}
	return p
}

func run(t *testing.T, spec sandbox.Spec) (string, sandbox.Exit) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	spec.UID = boxtest.UID(3)
	spec.Stdout, spec.Stderr = w, w
	p, err := sandbox.Start(spec)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(20*time.Second, func() { p.Kill() })
	defer stop.Stop()
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	exit, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return string(out), exit
}

// TestApp runs a program in an app's walls and looks around.
func TestApp(t *testing.T) {
	p := aPlan(t, plan.Command)
	s := sandbox.Spec{Name: "fleet-1", Args: []string{"/bin/bash", "-c", "id -un; cat /etc/passwd /etc/resolv.conf; ls /root /home /var /etc/shadow /etc/ssl/private; ls /etc/ssl/certs | head -1; python3 --version >/dev/null 2>&1; : > /usr/x; echo end"}, Env: []string{"PATH=/usr/bin:/bin"}}
	host.Allow(p, p.Tier(plan.Fleet), &s)
	out, exit := run(t, s)
	if !exit.Success() || !strings.Contains(out, "app\nroot:x:0") || !strings.HasSuffix(out, "end\n") {
		t.Errorf("%v:\n%s", exit, out)
	}
	for _, dir := range []string{"/root", "/home", "/var", "/etc/shadow", "/etc/ssl/private"} {
		if !strings.Contains(out, "cannot access '"+dir+"'") {
			t.Errorf("%s is visible:\n%s", dir, out)
		}
	}
}

// TestOwn runs our own binary as the agent and the front would.
func TestOwn(t *testing.T) {
	p := aPlan(t, plan.PHP)
	for name, fill := range map[string]func(*plan.Plan, *sandbox.Spec){"agent": host.Agent, "front": host.Front} {
		s := sandbox.Spec{Name: name, Args: []string{host.Binary, "inside"}}
		fill(p, &s)
		if out, exit := run(t, s); !exit.Success() || !strings.HasSuffix(out, "inside 1\n") {
			t.Errorf("%s: %q, %v", name, out, exit)
		}
	}
}

func TestTiers(t *testing.T) {
	for _, tt := range []struct {
		kind plan.Kind
		tier string
		want sandbox.Calls
	}{
		{plan.PHP, plan.Fleet, sandbox.Calls{Unix: true, TCP: true, Fork: true}},
		{plan.PHP, plan.Admin, sandbox.Calls{Unix: true, TCP: true, Fork: true, Spawn: true, Meta: true}},
		{plan.Command, plan.Fleet, sandbox.Calls{Unix: true, TCP: true, Spawn: true}},
		{plan.Command, plan.Admin, sandbox.Calls{Unix: true, TCP: true, Spawn: true, Meta: true}},
	} {
		p := aPlan(t, tt.kind)
		var s sandbox.Spec
		host.Allow(p, p.Tier(tt.tier), &s)
		if s.Calls != tt.want {
			t.Errorf("%s %s: %+v, want %+v", tt.kind, tt.tier, s.Calls, tt.want)
		}
		for _, m := range s.Mounts {
			if m.Write {
				t.Errorf("%s %s: %s is writable", tt.kind, tt.tier, m.Target)
			}
		}
		if s.Skip != 0 {
			t.Errorf("%s %s: layers %b are left out", tt.kind, tt.tier, s.Skip)
		}
	}
}

// TestLowered takes each wall down and sees that part of the Spec alone change.
func TestLowered(t *testing.T) {
	defer perimeter.SetDown(nil)
	for _, kind := range []plan.Kind{plan.PHP, plan.Command} {
		p := aPlan(t, kind)
		perimeter.SetDown(nil)
		var whole sandbox.Spec
		host.Allow(p, p.Tier(plan.Fleet), &whole)
		for _, id := range host.Lowered() {
			var s sandbox.Spec
			perimeter.SetDown([]string{id})
			host.Allow(p, p.Tier(plan.Fleet), &s)
			changed := !reflect.DeepEqual(s, whole)
			never := id == "host/no-spawn" && kind == plan.Command // a command may spawn anyway
			if changed != (perimeter.CanTakeDown && !never) {
				t.Errorf("%s %s: the specification changed: %v", kind, id, changed)
			}
		}
	}
}
