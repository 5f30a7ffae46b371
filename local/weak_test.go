//go:build linux

package local_test

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// withoutLandlock, in the environment, makes the test binary lose Landlock and
// become the program that its arguments name: a machine whose kernel lacks it.
const withoutLandlock = "RINGWALL_TEST_WITHOUT_LANDLOCK"

func loseLandlock() {
	const ld, jeq, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	p := []unix.SockFilter{
		{Code: ld, K: 0},
		{Code: jeq, Jt: 0, Jf: 1, K: unix.SYS_LANDLOCK_CREATE_RULESET},
		{Code: ret, K: 0x00050000 | uint32(unix.ENOSYS)},
		{Code: ret, K: 0x7fff0000},
	}
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, 1, 1, uintptr(unsafe.Pointer(&prog))); e != 0 {
		panic(e)
	}
	os.Unsetenv(withoutLandlock)
	panic(syscall.Exec(os.Args[1], os.Args[1:], os.Environ()))
}

// A machine that lacks a layer is refused, with the reason; --allow-weak starts
// with the rest, says so, and no control that needs the layer is green.
func TestWeak(t *testing.T) {
	s := board(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.Prefix = []string{self, s.Bin}
	s.Env = append(s.Env, withoutLandlock+"=1")
	r := s.Start()
	if code := r.Ended(t, testLimit); code != 1 || !strings.Contains(r.Out.String(), "Landlock") || !strings.Contains(r.Out.String(), "--allow-weak") {
		t.Errorf("without Landlock: got exit code %d and %s, want 1 and the name of what is missing", code, r.Out)
	}
	s.Up("--allow-weak")
	if r := s.Run("status"); r.Code != 0 || !strings.Contains(r.Stdout, "weak: without Landlock") {
		t.Errorf("status: got exit code %d and %s%s, want 0 and weak", r.Code, r.Stdout, r.Stderr)
	}
	p := s.Run("probe", "--only", "host", "-v")
	if p.Code != 1 || !strings.Contains(p.Stdout, "cannot enforce it: it lacks Landlock") {
		t.Errorf("probing what needs Landlock: got exit code %d and %s%s, want 1 and unknown", p.Code, p.Stdout, p.Stderr)
	}
}
