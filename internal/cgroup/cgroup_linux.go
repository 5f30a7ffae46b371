package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Group is one control group, or with version 1 one in each hierarchy.
type Group struct {
	dirs    []string
	parents []string
	homes   map[string]string // of version 1: by directory, the group that the caller is in
	second  string            // the directory of version 2
	killer  string            // cgroup.kill, where the kernel has it
}

// New makes a group of that name below parent, itself made if need be, and sets
// the limits. It returns what could not be enforced, and a nil group where
// nothing can be.
func New(parent, name string, l Limits) (*Group, []string) {
	own, err := hierarchies()
	if err != nil {
		return nil, []string{"control groups: " + err.Error()}
	}
	g := &Group{homes: map[string]string{}}
	var missing []string
	for _, w := range []struct {
		controller, what string
		set              bool
		v1, v2           [][2]string
	}{
		{"pids", processes, l.Processes > 0,
			[][2]string{{"pids.max", strconv.Itoa(l.Processes)}}, [][2]string{{"pids.max", strconv.Itoa(l.Processes)}}},
		{"memory", memory, l.Memory > 0,
			[][2]string{{"memory.limit_in_bytes", strconv.FormatInt(l.Memory, 10)}},
			[][2]string{{"memory.max", strconv.FormatInt(l.Memory, 10)}, {"memory.swap.max", "0"}}},
		{"cpu", cpu, l.CPU > 0,
			[][2]string{{"cpu.cfs_period_us", "100000"}, {"cpu.cfs_quota_us", strconv.Itoa(l.CPU * 1000)}},
			[][2]string{{"cpu.max", fmt.Sprintf("%d 100000", l.CPU*1000)}}},
	} {
		if !w.set {
			continue
		}
		h, ok := own[w.controller]
		if !ok {
			missing = append(missing, fmt.Sprintf("%s: no writable control group with the %s controller", w.what, w.controller))
			continue
		}
		files := w.v1
		if h.v2 {
			files = w.v2
		}
		err := g.limit(h, parent, name, w.controller, files)
		for range 3 { // another group's end may take the parent away in between
			if !errors.Is(err, fs.ErrNotExist) {
				break
			}
			err = g.limit(h, parent, name, w.controller, files)
		}
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s: %v", w.what, err))
		}
	}
	if len(g.dirs) == 0 {
		g.Remove()
		return nil, missing
	}
	return g, missing
}

func (g *Group) limit(h hierarchy, parent, name, controller string, files [][2]string) error {
	up := h.dir
	for part := range strings.SplitSeq(path.Clean(parent), "/") {
		if h.v2 {
			if err := enable(up, controller); err != nil {
				return err
			}
		}
		up = path.Join(up, part)
		if err := mkdir(up); err != nil {
			return err
		}
		if !slices.Contains(g.parents, up) {
			g.parents = append(g.parents, up)
		}
	}
	if h.v2 {
		if err := enable(up, controller); err != nil {
			return err
		}
	}
	dir := path.Join(up, name)
	if err := mkdir(dir); err != nil {
		return err
	}
	if !slices.Contains(g.dirs, dir) {
		g.dirs = append(g.dirs, dir)
	}
	if h.v2 {
		g.second = dir
	} else {
		g.homes[dir] = h.dir
	}
	for _, f := range files {
		err := os.WriteFile(path.Join(dir, f[0]), []byte(f[1]), 0o644)
		if f[0] == "memory.swap.max" && errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without swap accounting
		}
		if err != nil {
			return err
		}
	}
	if k := path.Join(dir, "cgroup.kill"); h.v2 {
		if _, err := os.Stat(k); err == nil {
			g.killer = k
		}
	}
	return nil
}

func mkdir(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// enable hands a controller to the groups below dir.
func enable(dir, controller string) error {
	file := path.Join(dir, "cgroup.subtree_control")
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if slices.Contains(strings.Fields(string(b)), controller) {
		return nil
	}
	err = os.WriteFile(file, []byte("+"+controller), 0o644)
	if !errors.Is(err, syscall.EBUSY) {
		return err
	}
	// A group with processes of its own hands nothing down: this process moves
	// to a group beside the ones it makes.
	self := path.Join(dir, "self")
	if err := mkdir(self); err != nil {
		return err
	}
	if err := os.WriteFile(path.Join(self, "cgroup.procs"), []byte("0"), 0o644); err != nil {
		return err
	}
	return os.WriteFile(file, []byte("+"+controller), 0o644)
}

// Fork calls fork, which starts a process from the calling thread with these
// attributes: the process begins in the group. The thread must be locked and is
// back in its own groups after it, or stays false.
//
// A process that is moved after it was started makes every other one on the
// machine wait, tens of milliseconds, that starts, ends or makes a thread. A
// thread that moves itself does not, and neither does clone3(2).
func (g *Group) Fork(attr *syscall.SysProcAttr, fork func() error) (stays bool, err error) {
	stays = true
	for dir, home := range g.homes {
		if err := enter(dir); err != nil {
			return stays, fmt.Errorf("entering its control group: %w", err)
		}
		defer func() {
			if enter(home) != nil {
				stays = false
			}
		}()
	}
	if g.second != "" {
		fd, err := unix.Open(g.second, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return stays, fmt.Errorf("opening its control group: %w", err)
		}
		defer unix.Close(fd)
		attr.UseCgroupFD, attr.CgroupFD = true, fd
		defer func() { attr.UseCgroupFD = false }()
	}
	return stays, fork()
}

// enter moves the calling thread to a group of version 1.
func enter(dir string) error {
	fd, err := unix.Open(path.Join(dir, "tasks"), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte("0"))
	return err
}

// Kill ends every process of the group, where the kernel can do that at once.
func (g *Group) Kill() {
	if g.killer != "" {
		os.WriteFile(g.killer, []byte("1"), 0o644)
	}
}

// Remove takes the group away; its processes have ended. Parents that are
// empty go too.
func (g *Group) Remove() {
	for _, d := range g.dirs {
		for range 50 { // the kernel lets go of a process a moment after its end
			if err := os.Remove(d); err == nil || errors.Is(err, fs.ErrNotExist) {
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	slices.Reverse(g.parents)
	for _, d := range g.parents {
		os.Remove(d)
	}
}

// Sweep removes the groups below parent that have no process left: a caller
// that was killed could not. Nobody else may start anything below parent
// meanwhile.
func Sweep(parent string) {
	own, err := hierarchies()
	if err != nil {
		return
	}
	for _, h := range own {
		up := path.Join(h.dir, path.Clean(parent))
		list, err := os.ReadDir(up)
		if err != nil {
			continue
		}
		for _, d := range list {
			if d.IsDir() {
				os.Remove(path.Join(up, d.Name())) // refused while a process is in it
			}
		}
		os.Remove(up)
	}
}

type hierarchy struct {
	dir string // this process's own group
	v2  bool
}

// hierarchies finds the group for each controller that this process was started
// in; it may move to one below it.
var hierarchies = sync.OnceValues(func() (map[string]hierarchy, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	return parse(string(mounts), string(groups), func(dir string) []string {
		b, _ := os.ReadFile(path.Join(dir, "cgroup.controllers"))
		return strings.Fields(string(b))
	}), nil
})

// parse joins /proc/self/mountinfo with /proc/self/cgroup. Version 1 wins where
// a controller is bound to it: version 2 does not have it then.
func parse(mounts, groups string, controllers func(dir string) []string) map[string]hierarchy {
	type mount struct{ root, point string }
	v1 := map[string]mount{}
	var v2 *mount
	for line := range strings.Lines(mounts) {
		left, right, ok := strings.Cut(strings.TrimSpace(line), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 5 || len(r) < 3 {
			continue
		}
		switch r[0] {
		case "cgroup2":
			v2 = &mount{l[3], l[4]}
		case "cgroup":
			for o := range strings.SplitSeq(r[2], ",") {
				v1[o] = mount{l[3], l[4]}
			}
		}
	}
	join := func(m mount, own string) string {
		if rel, ok := strings.CutPrefix(own+"/", strings.TrimSuffix(m.root, "/")+"/"); ok {
			return path.Join(m.point, rel)
		}
		return m.point
	}
	out := map[string]hierarchy{}
	for line := range strings.Lines(groups) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		if f[1] == "" && v2 != nil {
			dir := join(*v2, f[2])
			for _, c := range controllers(dir) {
				if _, ok := out[c]; !ok {
					out[c] = hierarchy{dir, true}
				}
			}
			continue
		}
		for c := range strings.SplitSeq(f[1], ",") {
			if m, ok := v1[c]; ok {
				out[c] = hierarchy{join(m, f[2]), false}
			}
		}
	}
	return out
}
