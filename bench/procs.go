//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the processor time that a process has used, in all its threads.
func cpuTime(pid int) (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|2, &ts); err != nil { // the process's own clock: clock_getcpuclockid(3)
		return 0, fmt.Errorf("reading the processor time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// cpuTimes is the sum over processes.
func cpuTimes(pids []int) (sum time.Duration, err error) {
	for _, p := range pids {
		d, err := cpuTime(p)
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// pss is a process's share of the machine's memory, in bytes: what it shares is
// divided among those that share it.
func pss(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	return field(b, "Pss:")
}

// field reads one line of smaps_rollup.
func field(b []byte, name string) (int64, error) {
	for line := range bytes.Lines(b) {
		if f := strings.Fields(string(line)); len(f) == 3 && f[0] == name && f[2] == "kB" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("reading smaps_rollup: no line %s", name)
}

// A proc is one process of a tree.
type proc struct {
	pid  int
	name string // its command line, shortened
}

// descendants lists a process and all below it.
func descendants(root int) ([]int, error) {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	below := map[int][]int{}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(n)))
		i := bytes.LastIndexByte(b, ')')
		if f := strings.Fields(string(b[i+1:])); len(f) > 1 {
			parent, _ := strconv.Atoi(f[1])
			below[parent] = append(below[parent], pid)
		}
	}
	out := []int{root}
	for i := 0; i < len(out); i++ {
		out = append(out, below[out[i]]...)
	}
	return out, nil
}

// running lists the processes of a tree that execute a program, by its file and
// not by its name: every one of Ringwall's processes is the same program.
func running(root int, program string) ([]proc, error) {
	want, err := os.Stat(program)
	if err != nil {
		return nil, err
	}
	all, err := descendants(root)
	if err != nil {
		return nil, err
	}
	var out []proc
	for _, pid := range all {
		st, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil || !sameFile(st, want) {
			continue
		}
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		name := strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " "))
		switch f := strings.Fields(name); {
		case len(f) > 1 && strings.HasPrefix(f[1], "@"):
			name = f[1][1:]
		case len(f) > 1:
			name = "supervisor"
		default:
			name = "reaper"
		}
		out = append(out, proc{pid, name})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("finding the processes of %s below %d: none", program, root)
	}
	return out, nil
}

func sameFile(a, b os.FileInfo) bool {
	x, y := a.Sys().(*syscall.Stat_t), b.Sys().(*syscall.Stat_t)
	return x.Dev == y.Dev && x.Ino == y.Ino
}

func pids(ps []proc) (out []int) {
	for _, p := range ps {
		out = append(out, p.pid)
	}
	return out
}
