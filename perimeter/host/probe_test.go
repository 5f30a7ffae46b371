//go:build linux

package host

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ringwall/ringwall/internal/boxtest"
	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/internal/vnet"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// A trial is what the process inside a sandbox is to judge.
type trial struct {
	Control string
	Plan    *plan.Plan
	Inside  *perimeter.Inside
}

func TestMain(m *testing.M) {
	sandbox.Init()
	if len(os.Args) > 1 && os.Args[1] == "inside" {
		fmt.Println("inside", os.Getpid())
		if _, err := os.Stat("/usr/bin/true"); err == nil && sandbox.Loader(os.Args[0]) == "" {
			fmt.Println("the machine's programs are visible")
		}
		return
	}
	boxtest.Main(m, func(config []byte) (any, error) {
		var x trial
		if err := json.Unmarshal(config, &x); err != nil {
			return nil, err
		}
		i := slices.IndexFunc(controls, func(c *perimeter.Control) bool { return c.ID == x.Control })
		return perimeter.Judge(context.Background(), 6, controls[i], &perimeter.Target{Plan: x.Plan, Inside: x.Inside}), nil
	})
}

// hub is the one network of this test process.
var hub = sync.OnceValues(func() (*vnet.Net, error) { return vnet.New() })

// bench is a machine with what the probes look for.
type bench struct {
	dir    string
	net    *vnet.Net
	at     *vnet.Host
	web    netip.AddrPort
	inside perimeter.Inside
	plan   *plan.Plan
}

func newBench(t *testing.T, kind plan.Kind) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir()}
	b.plan = &plan.Plan{App: "t", Env: "test", File: filepath.Join(b.dir, "ringwall.yaml"), Kind: kind, Tiers: []plan.Tier{
		{Name: plan.Admin, Min: 1, Max: 1, Write: true},
		{Name: plan.Fleet, Min: 1, Max: 1, Limits: plan.Limits{Processes: 48, Memory: 2 << 30, OpenFiles: 256, FileSize: 1 << 20}},
	}}
	var err error
	if b.net, err = hub(); err != nil {
		t.Fatal("NOT RUN: ", err)
	}
	addr := netip.MustParseAddr("10.9.1.100")
	made, err := b.net.Add(vnet.Spec{Name: "fleet/1", Addrs: []vnet.Address{{Group: plan.Fleet, Addr: addr}}})
	if err != nil {
		t.Fatal("NOT RUN: ", err)
	}
	b.at = made[0]
	t.Cleanup(func() { b.net.Remove("fleet/1") })
	b.web = netip.AddrPortFrom(addr, 8080)
	l, err := b.at.Listen(b.web)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for _, d := range []string{"tree", "run"} {
		if err := os.Mkdir(filepath.Join(b.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if uid := int(boxtest.UID(2)); uid != 0 {
		os.Chmod(b.dir, 0o711)
		for d := b.dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
			os.Chmod(d, 0o711)
		}
		os.Chown(filepath.Join(b.dir, "run"), uid, uid)
	}
	socket := filepath.Join(b.dir, "s.sock")
	b.listen(t, socket)
	os.Chmod(socket, 0o666)
	b.inside = perimeter.Inside{Tier: plan.Fleet, Self: "fleet/1", Files: "/srv/tree", Write: []string{"/run/app", "/tmp"},
		Sockets: []string{socket, "@ringwall-host-test"}, Hidden: []string{b.dir, socket, "/root", "/var/lib"},
		Services: map[string]netip.AddrPort{"fleet/1": b.web}}
	return b
}

func (b *bench) listen(t *testing.T, name string) {
	t.Helper()
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

func (b *bench) spec(tier string) sandbox.Spec {
	s := sandbox.Spec{Name: tier + "-1", Net: b.at.File(), UID: boxtest.UID(2), Env: []string{"PATH=/usr/bin:/bin"}}
	Allow(b.plan, b.plan.Tier(tier), &s)
	s.Mounts = append(s.Mounts, sandbox.Mount{Source: filepath.Join(b.dir, "tree"), Target: "/srv/tree"},
		sandbox.Mount{Source: filepath.Join(b.dir, "run"), Target: "/run/app", Write: true})
	return s
}

func (b *bench) judge(t *testing.T, c *perimeter.Control, s sandbox.Spec) perimeter.Result {
	t.Helper()
	var r perimeter.Result
	in := b.inside
	in.Tier = string(c.Vantage)
	if c.ID == "host/limits-scratch" {
		in.Write = []string{"/tmp"} // what is at /run/app here lies on the disk
	}
	boxtest.Run(t, s, trial{c.ID, b.plan, &in}, &r)
	return r
}

// TestProbesHold judges every control with all walls up, for both kinds of app.
func TestProbesHold(t *testing.T) {
	for _, kind := range []plan.Kind{plan.PHP, plan.Command} {
		t.Run(string(kind), func(t *testing.T) {
			b := newBench(t, kind)
			b.listen(t, "@ringwall-host-test")
			for _, c := range controls {
				t.Run(strings.TrimPrefix(c.ID, "host/"), func(t *testing.T) {
					r := b.judge(t, c, b.spec(string(c.Vantage)))
					if r.Verdict != perimeter.Held {
						t.Errorf("got %v: %s\ntried %q\nsaw %q", r.Verdict, r.Error, r.Tried, r.Evidence)
					}
				})
			}
		})
	}
}

// TestProbesBreak takes each control's wall down and wants it judged Broken.
func TestProbesBreak(t *testing.T) {
	b := newBench(t, plan.PHP)
	if err := b.at.Do(func() error { b.listen(t, "@ringwall-host-test"); return nil }); err != nil {
		t.Fatal(err)
	}
	for _, c := range controls {
		name := strings.TrimPrefix(c.ID, "host/")
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(walls, func(w wall) bool { return w.id == c.Switch() })
			if i < 0 {
				t.Fatal("no wall is taken down for this control, so its probe is not tested")
			}
			s := b.spec(string(c.Vantage))
			walls[i].lower(b.plan, &s)
			if r := b.judge(t, c, s); r.Verdict != perimeter.Broken {
				t.Errorf("got %v: %s\ntried %q\nsaw %q", r.Verdict, r.Error, r.Tried, r.Evidence)
			}
		})
	}
}
