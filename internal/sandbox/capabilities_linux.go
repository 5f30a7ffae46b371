package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/internal/cgroup"
)

// all are the layers that a process alone can have; control groups are tried apart.
const all = Mounts | Net | PID | User | Caps | NoNewPrivs | NoNest | Landlock | Seccomp | Rlimits | Cgroup

const userFix = "in a container: docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined; on Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0; elsewhere: sysctl user.max_user_namespaces=15000"

// Capabilities tries each part of the enforcement in a throw-away process, and
// then the checks that others own. What was not tried is not OK.
func Capabilities(ctx context.Context, others ...Check) []Capability {
	var out []Capability
	add := func(layer Layer, name, detail, fix string, err error) {
		c := Capability{Layer: layer, Name: name, OK: err == nil, Detail: detail}
		if err != nil {
			c.Detail, c.Fix = err.Error(), fix
			if se, ok := errors.AsType[*StartError](err); ok {
				c.Detail = se.Step + ": " + se.Err.Error()
				if se.Next != "" {
					c.Fix = se.Next
				}
			}
		}
		out = append(out, c)
	}
	with := User // what all others are tried in, where it works
	base := Spec{Name: "doctor", Args: []string{"/nothing"}, dry: true, Limits: Limits{Processes: 64, Memory: 256 << 20, OpenFiles: 64, FileSize: 1 << 20}}
	if id, err := caller(); err == nil && id.machine && id.uid == 0 {
		base.UID = Inner
	}
	for _, c := range []struct {
		layer, with  Layer
		name, detail string
		proc         bool
		fix          string
	}{
		{User, 0, "user namespace", "made one and took an id in it", false, userFix},
		{Mounts, 0, "private mounts", "built a root, moved into it and let go of the machine's", false, "needs Linux 5.12 or later"},
		{PID, Mounts, "process namespace with its own /proc", "made one and mounted its /proc", true, ""},
		{Net, 0, "network namespace", "made one", false, userFix},
		{NoNest, 0, "no nested namespaces", "set this namespace's limits to nothing", false, nestHint},
		{Caps, 0, "no capabilities", "emptied every set", false, ""},
		{NoNewPrivs, 0, "no new privileges", "set the flag", false, ""},
		{Landlock, NoNewPrivs, "Landlock", fmt.Sprintf("restricted a process, version %d", landlockABI()), false, "start the kernel with landlock among its lsm= modules"},
		{Seccomp, NoNewPrivs, "seccomp", "filtered a process and saw a call refused", false, "needs a kernel with CONFIG_SECCOMP_FILTER"},
		{Rlimits, 0, "resource limits", "set them", false, ""},
	} {
		if err := ctx.Err(); err != nil {
			add(c.layer, c.name, "", "", fmt.Errorf("not tried: %w", err))
			continue
		}
		spec := base
		spec.Proc = c.proc
		spec.Skip = all &^ (c.layer | c.with | with)
		err := tryDry(spec)
		if c.layer == User && err != nil {
			with = 0
		}
		if c.layer == NoNest && with == 0 {
			err = errors.New("there is no user namespace whose limits could be set")
		}
		add(c.layer, c.name, c.detail, c.fix, err)
	}
	out = append(out, groups()...)
	for _, c := range others {
		err := ctx.Err()
		if err == nil {
			err = attempt(ctx, c.Try)
		}
		add(c.Layer, c.Name, "did it", c.Fix, err)
	}
	return out
}

func attempt(ctx context.Context, try func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("trying it panicked: %v", p)
		}
	}()
	return try(ctx)
}

func tryDry(spec Spec) error {
	p, err := Start(spec)
	if err != nil {
		return err
	}
	exit, err := p.Wait()
	if err == nil && !exit.Success() {
		err = fmt.Errorf("the process ended with %v", exit)
	}
	return err
}

// groups tries each limit of control groups in a group of its own.
func groups() []Capability {
	const fix = "run Ringwall in a delegated group: systemd-run --user --scope -p Delegate=yes ringwall up; until then per-process limits bound it"
	var out []Capability
	for _, c := range []struct {
		name string
		l    cgroup.Limits
	}{
		{"control group: processes", cgroup.Limits{Processes: 64}},
		{"control group: memory", cgroup.Limits{Memory: 256 << 20}},
		{"control group: processor share", cgroup.Limits{CPU: 100}},
	} {
		g, missing := cgroup.New("ringwall", fmt.Sprintf("doctor-%d", os.Getpid()), c.l)
		r := Capability{Layer: Cgroup, Name: c.name, OK: g != nil && len(missing) == 0, Detail: "made a group and set its limit"}
		if !r.OK {
			r.Detail, r.Fix = "no control group", fix
			if len(missing) > 0 {
				r.Detail = missing[0]
			}
		}
		if g != nil {
			g.Remove()
		}
		out = append(out, r)
	}
	return out
}

// dryRun ends a process that only Capabilities wanted.
func (b *box) dryRun() error {
	if !b.Skip.has(Seccomp) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err == nil {
			unix.Close(fd)
		}
		if err != unix.EACCES {
			return step("filtering its system calls", fmt.Errorf("got %v from a refused call, want %v", err, unix.EACCES))
		}
	}
	b.tell(status{Ready: true})
	unix.Exit(0)
	return nil
}
