//go:build linux

// Package boxtest runs tests in namespaces of their own, as the process that
// owns a site's network does, and parts of a test inside a sandbox.
package boxtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/internal/sandbox"
)

const (
	inner   = "RINGWALL_TEST_INNER"
	role    = "@boxtest"
	program = "/ringwall"
	ids     = 64     // user ids that a test run by root has beside its own
	firstID = 300000 // of the machine
)

// Main is a package's TestMain: it runs the tests in new user, network, mount
// and process namespaces. part is what Run runs inside a sandbox: it gets the
// configuration and returns what goes back.
func Main(m *testing.M, part func(config []byte) (any, error)) {
	sandbox.Init()
	if len(os.Args) == 2 && os.Args[1] == role {
		os.Exit(inside(part))
	}
	if os.Getenv(inner) != "" {
		if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("proc", "/proc", "proc", 0, "")); err != nil {
			fmt.Println("NOT RUN: mounting /proc:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	runtime.LockOSThread() // its end would be the tests'
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Env = append(os.Environ(), inner+"=1")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		UidMappings: idMap(os.Getuid()), GidMappings: idMap(os.Getgid()), GidMappingsEnableSetgroups: os.Getuid() == 0,
		Pdeathsig: syscall.SIGKILL,
	}
	if err := c.Run(); err != nil {
		var e *exec.ExitError
		if !errors.As(err, &e) {
			fmt.Println("NOT RUN: starting the tests in namespaces:", err)
		}
		os.Exit(1)
	}
}

func idMap(self int) []syscall.SysProcIDMap {
	m := []syscall.SysProcIDMap{{HostID: self, Size: 1}}
	if os.Getuid() == 0 {
		m = append(m, syscall.SysProcIDMap{ContainerID: 1, HostID: firstID, Size: ids})
	}
	return m
}

// UID is the n-th user id, from 1, that a sandbox of a test may run as. Where
// the tests have one id only, all are that one.
func UID(n int) uint32 {
	b, _ := os.ReadFile("/proc/self/uid_map")
	if strings.Count(string(b), "\n") > 1 {
		return uint32(n)
	}
	return 0
}

// Run runs this package's part inside a sandbox and decodes what it returns.
func Run(t *testing.T, s sandbox.Spec, config, result any) {
	t.Helper()
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	in, inW := pipe(t)
	outR, out := pipe(t)
	errR, errW := pipe(t)
	s.Args = []string{program, role}
	s.Env = append(slices.Clone(s.Env), "GODEBUG=multipathtcp=0", "GORACE=atexit_sleep_ms=0")
	s.Stdin, s.Stdout, s.Stderr = in, out, errW
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.Mounts = append(slices.Clone(s.Mounts), sandbox.Mount{Source: exe, Target: program, Exec: true})
	p, err := sandbox.Start(s)
	for _, f := range []*os.File{in, out, errW} {
		f.Close()
	}
	if err != nil {
		t.Fatalf("NOT RUN: %v", err)
	}
	timer := time.AfterFunc(time.Minute, func() { p.Kill() })
	defer timer.Stop()
	var wg sync.WaitGroup
	var answer, said []byte
	wg.Go(func() { inW.Write(b); inW.Close() })
	wg.Go(func() { answer, _ = io.ReadAll(outR) })
	wg.Go(func() { said, _ = io.ReadAll(errR) })
	exit, err := p.Wait()
	wg.Wait()
	if err != nil || !exit.Success() {
		t.Fatalf("inside the sandbox: %v, %v: %s", exit, err, said)
	}
	if err := json.Unmarshal(answer, result); err != nil {
		t.Fatalf("reading the sandbox's answer %q: %v", answer, err)
	}
}

func pipe(t *testing.T) (r, w *os.File) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

func inside(part func([]byte) (any, error)) int {
	b, err := io.ReadAll(os.Stdin)
	if err == nil {
		var v any
		if v, err = part(b); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(v)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
