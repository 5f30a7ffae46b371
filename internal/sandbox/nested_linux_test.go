package sandbox_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// ownProc gives a test process that is first in its namespaces a /proc of them.
func ownProc() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	// Process numbers that no sandbox has inside tell its own from others'.
	return os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte("5000"), 0)
}

// TestNested runs the other tests as root of user namespaces: with one id, as
// for a user of the machine, and with many, as below the machine's root.
func TestNested(t *testing.T) {
	if delegated(t) {
		return
	}
	if os.Getenv("SANDBOX_NESTED") != "" {
		return
	}
	maps := map[string]syscall.SysProcIDMap{"one id": {ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	if gives() {
		maps = map[string]syscall.SysProcIDMap{"one id": {ContainerID: 0, HostID: inside, Size: 1}, "many ids": {ContainerID: 0, HostID: 100000, Size: 65536}}
	}
	for name, m := range maps {
		t.Run(name, func(t *testing.T) {
			g, more := m, ""
			if m.Size == 1 {
				more = "|Programs" // the way a site runs without root
			}
			if !gives() {
				g.HostID = os.Getegid()
			}
			c := exec.CommandContext(t.Context(), attacker, "-test.run=^Test(Attacks|Terminal|Parent|Join|Exits|Start|Kill|Files|Capab"+more+")", "-test.timeout=100s")
			c.Env = append(os.Environ(), "SANDBOX_NESTED=1", "TMPDIR=/tmp")
			c.Dir = "/"
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWNET,
				UidMappings: []syscall.SysProcIDMap{m}, GidMappings: []syscall.SysProcIDMap{g}, GidMappingsEnableSetgroups: gives(),
				AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_CHOWN, unix.CAP_FOWNER, unix.CAP_DAC_OVERRIDE, unix.CAP_SYS_RESOURCE, unix.CAP_KILL},
				Credential:  &syscall.Credential{NoSetGroups: true}, Pdeathsig: syscall.SIGKILL}
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestSmall runs the other tests with sandboxes that the small set-up program
// sets up, as `make build` has it.
func TestSmall(t *testing.T) {
	if delegated(t) || os.Getenv("SANDBOX_NESTED") != "" {
		return
	}
	build := func(args ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), "go", args...)
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("NOT RUN: go %v: %v\n%s", args, err, out)
		}
	}
	small := filepath.Join(filepath.Dir(attacker), "small")
	half := fmt.Sprintf("setup/setup.%d", os.Getpid()) // other tests build it too
	build("build", "-trimpath", "-ldflags=-s -w", "-o", half, "./setup")
	if err := os.Rename(half, "setup/setup"); err != nil {
		t.Fatal(err)
	}
	build("test", "-c", "-tags", "smallsetup", "-o", small, ".")
	if err := os.Chmod(small, 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), small, "-test.run=^Test(Program|Attacks|Terminal|Parent|Join|Exits|Start|Kill|Files|Capab|Ready)", "-test.timeout=100s")
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestUnprivileged runs the other tests as a user of the machine.
func TestUnprivileged(t *testing.T) {
	if delegated(t) || !gives() || os.Getenv("SANDBOX_NESTED") != "" {
		return // this run is it
	}
	c := exec.CommandContext(t.Context(), attacker, "-test.run=^Test(Attacks|Terminal|Parent|Join|Exits|Start|Kill|Files|Resident|Many|Capab)", "-test.timeout=100s")
	c.Env, c.Dir = append(os.Environ(), "TMPDIR=/tmp"), "/"
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: inside, Gid: inside}, Pdeathsig: syscall.SIGKILL}
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
