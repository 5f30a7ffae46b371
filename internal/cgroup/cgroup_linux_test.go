package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestParse(t *testing.T) {
	v2 := func(string) []string { return []string{"cpu", "memory", "pids"} }
	none := func(string) []string { return nil }
	const (
		hybrid = "30 20 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n31 20 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n32 20 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
		only2  = "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
		inner  = "30 20 0:26 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
	)
	for _, tt := range []struct {
		name, mounts, groups string
		controllers          func(string) []string
		want                 map[string]hierarchy
	}{
		{"version 2", only2, "0::/user.slice/app\n", v2, map[string]hierarchy{
			"cpu": {"/sys/fs/cgroup/user.slice/app", true}, "memory": {"/sys/fs/cgroup/user.slice/app", true}, "pids": {"/sys/fs/cgroup/user.slice/app", true}}},
		{"hybrid", hybrid, "8:pids:/\n4:memory:/a/b\n0::/\n", none, map[string]hierarchy{
			"pids": {"/sys/fs/cgroup/pids", false}, "memory": {"/sys/fs/cgroup/memory/a/b", false}}},
		{"container", inner, "8:pids:/docker/abc\n", none, map[string]hierarchy{"pids": {"/sys/fs/cgroup/pids", false}}},
		{"outside the mount", inner, "8:pids:/docker/other\n", none, map[string]hierarchy{"pids": {"/sys/fs/cgroup/pids", false}}},
		{"nothing", "", "", none, map[string]hierarchy{}},
		{"garbage", " - \nx\n", ":\n::\nx:y\n", none, map[string]hierarchy{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := parse(tt.mounts, tt.groups, tt.controllers)
			if len(got) != len(tt.want) {
				t.Fatalf("parse = %v, want %v", got, tt.want)
			}
			for c, w := range tt.want {
				if got[c] != w {
					t.Errorf("%s: got %v, want %v", c, got[c], w)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("30 20 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n", "8:pids:/\n")
	f.Fuzz(func(t *testing.T, mounts, groups string) {
		parse(mounts, groups, func(string) []string { return []string{"pids"} })
	})
}

// TestNew makes a group where this machine allows it, and says so where not.
func TestNew(t *testing.T) {
	g, missing := New("ringwall-test", "one", Limits{Processes: 10, Memory: 64 << 20, CPU: 50})
	if g == nil {
		if len(missing) != 3 {
			t.Errorf("no group and %d reasons, want one for each limit: %v", len(missing), missing)
		}
		for _, m := range missing {
			if !strings.Contains(m, ":") {
				t.Errorf("reason %q names no cause", m)
			}
		}
		return
	}
	for _, d := range g.dirs {
		if b, err := os.ReadFile(filepath.Join(d, "pids.max")); err == nil && strings.TrimSpace(string(b)) != "10" {
			t.Errorf("%s: pids.max is %s, want 10", d, b)
		}
	}
	g.Remove()
	for _, d := range append(g.dirs, g.parents...) {
		if _, err := os.Stat(d); err == nil {
			t.Errorf("%s is left behind", d)
		}
	}
}

// TestSweep finds what a killed caller left behind.
func TestSweep(t *testing.T) {
	g, missing := New("ringwall-sweep", "one", Limits{Processes: 10})
	if g == nil {
		if len(missing) == 0 {
			t.Error("no group and no reason")
		}
		return
	}
	Sweep("ringwall-sweep")
	for _, d := range append(g.dirs, g.parents...) {
		if _, err := os.Stat(d); err == nil {
			t.Errorf("%s is left behind", d)
		}
	}
}

// TestFork sees that a process begins in the group, and that the thread that
// started it is back in its own.
func TestFork(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	in := func(task string) string {
		b, err := os.ReadFile("/proc/" + task + "/cgroup")
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	try := func(t *testing.T, g *Group) {
		before := in("thread-self")
		c := exec.Command("/bin/sleep", "60")
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		stays, err := g.Fork(c.SysProcAttr, c.Start)
		if err != nil || !stays {
			t.Fatalf("got %v, %v; want a process, and the thread back", stays, err)
		}
		defer c.Wait()
		defer c.Process.Kill()
		for _, d := range g.dirs {
			name := d[strings.Index(d, "/ringwall-test"):]
			if got := in(strconv.Itoa(c.Process.Pid)); !strings.Contains(got, name+"\n") {
				t.Errorf("the process is in\n%swant %s", got, name)
			}
		}
		if after := in("thread-self"); after != before {
			t.Errorf("the thread is in\n%sand was in\n%s", after, before)
		}
	}
	g, _ := New("ringwall-test-fork", "one", Limits{Processes: 10, Memory: 64 << 20, CPU: 50})
	if g == nil {
		return // TestNew sees that it says why
	}
	defer g.Remove()
	try(t, g)

	// Version 2 as well, where it is mounted, with no controller to it.
	const unified = "/sys/fs/cgroup/unified"
	two := &Group{dirs: []string{unified + "/ringwall-test-fork"}, second: unified + "/ringwall-test-fork"}
	if os.Mkdir(two.second, 0o755) == nil {
		defer two.Remove()
		try(t, two)
	}
}
