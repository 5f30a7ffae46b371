//go:build linux

package host

import (
	"context"
	"errors"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/perimeter"
)

var visibility = []*perimeter.Control{
	fleet("private-mounts",
		"A fleet app sees none of the machine's files but programs and its own tree.",
		"Keys, other sites and other users' files lie beside the one that was captured.",
		privateMounts),
	admin("admin-private-mounts",
		"An admin app sees none of the machine's files but programs and its own tree.",
		"Keys, other sites and other users' files lie beside the one that was captured.",
		privateMounts),
	fleet("no-devices",
		"A fleet app has no device but the harmless few, and can make none.",
		"The disk's own device leads past every file's mode.",
		noDevices),
}

// privateMounts looks for paths that exist on the machine. One that exists here
// is visible even if its mode keeps it closed.
func privateMounts(_ context.Context, t *perimeter.Target) error {
	if _, err := os.ReadDir(t.Inside.Files); err != nil {
		return errors.Join(errors.New("reading the site's own tree, which is allowed"), err)
	}
	for _, name := range t.Inside.Hidden {
		if holds(name, t.Inside.Files) || heldBy(name, t.Plan.Host.Programs) {
			continue // on the way to what this app is to see
		}
		_, err := os.Lstat(name)
		if other := t.Denied(err, []syscall.Errno{syscall.ENOENT}, "look at %s", name); other != nil {
			t.Broken("%s is visible: %v", name, err)
		}
	}
	return nil
}

func heldBy(name string, list []string) bool {
	for _, p := range list {
		if holds(name, p) {
			return true
		}
	}
	return false
}

// holds says whether a directory is, or is above or below, a path.
func holds(dir, name string) bool {
	dir, name = path.Clean(dir), path.Clean(name)
	return dir == name || strings.HasPrefix(name, dir+"/") || strings.HasPrefix(dir, name+"/")
}

func noDevices(_ context.Context, t *perimeter.Target) error {
	if _, err := os.Stat("/dev/null"); err != nil {
		return errors.Join(errors.New("looking at /dev/null, which is allowed"), err)
	}
	for _, name := range []string{"mem", "kmem", "port", "kmsg", "fuse", "kvm", "loop-control", "net/tun", "sda", "vda", "nvme0n1", "ptmx", "input"} {
		_, err := os.Lstat("/dev/" + name)
		if other := t.Denied(err, []syscall.Errno{syscall.ENOENT}, "look at /dev/%s", name); other != nil {
			t.Broken("/dev/%s is there", name)
		}
	}
	const zero = 1<<8 | 5 // the device that gives zeros
	name := os.TempDir() + "/.ringwall-probe-device"
	err := unix.Mknod(name, unix.S_IFCHR|0o600, zero)
	if err == nil {
		os.Remove(name)
	}
	return t.Denied(err, []syscall.Errno{syscall.EPERM}, "make a device")
}
