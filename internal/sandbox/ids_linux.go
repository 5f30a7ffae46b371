package sandbox

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// identity is what the caller is, in its own user namespace.
type identity struct {
	uid, gid  int
	setid     bool // may take and give other ids
	setgroups bool // and may drop supplementary groups
	machine   bool // its ids are the machine's own
	uids      []idRange
}

// idRange is a run of ids that the caller's user namespace maps.
type idRange struct{ first, count uint64 }

func (id identity) mapped(uid int) bool {
	return slices.ContainsFunc(id.uids, func(r idRange) bool {
		return uint64(uid) >= r.first && uint64(uid)-r.first < r.count
	})
}

func caller() (identity, error) {
	id := identity{uid: os.Geteuid(), gid: os.Getegid()}
	var data [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		return id, err
	}
	const both = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
	id.setid = data[0].Effective&both == both
	b, err := os.ReadFile("/proc/self/setgroups")
	id.setgroups = id.setid && (err != nil || strings.TrimSpace(string(b)) == "allow")
	b, err = os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return id, err
	}
	for line := range strings.Lines(string(b)) {
		var in, out, n uint64
		if _, err := fmt.Sscan(line, &in, &out, &n); err != nil {
			return id, fmt.Errorf("reading /proc/self/uid_map: %w", err)
		}
		id.machine = id.machine || in == 0 && out == 0
		id.uids = append(id.uids, idRange{in, n})
	}
	return id, nil
}

// setupCaps are held in the new user namespace while the sandbox is made.
var setupCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETPCAP, unix.CAP_SYS_RESOURCE}

// attr says how to clone the child, and completes what the child is told.
func (id identity) attr(spec *Spec, w *wire) (*syscall.SysProcAttr, error) {
	uid, gid := int(spec.UID), int(spec.UID)
	switch {
	case uid == 0 || uid == id.uid:
		uid, gid = id.uid, id.gid
	case !id.setid:
		return nil, fmt.Errorf("got id %d, want 0 or the caller's own id %d: this caller may not change ids", uid, id.uid)
	case !id.mapped(uid):
		return nil, fmt.Errorf("got id %d, which this user namespace does not map; want 0 or one of /proc/self/uid_map", uid)
	}
	if uid == 0 && id.machine {
		return nil, errors.New("got the machine's root (id 0), want an id of the sandbox's own; set Spec.UID")
	}
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	flag := func(skip Layer, f uintptr) {
		if !spec.Skip.has(skip) {
			a.Cloneflags |= f
		}
	}
	flag(User, unix.CLONE_NEWUSER)
	flag(Mounts, unix.CLONE_NEWNS)
	flag(PID, unix.CLONE_NEWPID)
	if w.UserNS || id.setid {
		a.Cloneflags |= unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	}
	if spec.Net == nil {
		flag(Net, unix.CLONE_NEWNET)
	}
	if !w.UserNS {
		if uid != id.uid {
			w.UID, w.Setgroups = uint32(uid), id.setgroups
		}
		return a, nil
	}
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: Inner, HostID: uid, Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: Inner, HostID: gid, Size: 1}}
	a.GidMappingsEnableSetgroups = id.setgroups
	a.AmbientCaps = setupCaps
	w.Setgroups = id.setgroups
	return a, nil
}
