//go:build linux

package local

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/internal/sandbox"
)

// launch sets up a sandbox. Where no control group bounds its memory, this
// process does: the kernel's per-process limits know nothing of memory that
// processes share, nor of their sum.
func launch(s sandbox.Spec) (*sandbox.Process, error) {
	done := func() {}
	if s.Skip&sandbox.Mounts != 0 {
		var err error
		if done, err = unmounted(&s); err != nil {
			done()
			return nil, err
		}
	}
	start := func() (*sandbox.Process, error) { return boxes.start(s) }
	var p *sandbox.Process
	var err error
	if s.Skip&sandbox.PID != 0 {
		p, err = orphans.start(start)
	} else {
		p, err = start()
	}
	if err != nil {
		done()
		return nil, err
	}
	if s.Skip&sandbox.Mounts != 0 {
		go func() { <-p.Done(); done() }()
	}
	limit := s.Limits.Memory
	if limit <= 0 {
		limit = sandbox.DefaultMemory
	}
	if slices.ContainsFunc(p.Missing, func(m string) bool { return strings.HasPrefix(m, "resident memory") }) {
		go boundMemory(p, limit)
	}
	return p, nil
}

// boundMemory ends the largest process of a sandbox whenever its processes
// together have more memory than the limit, as the kernel does for a control group.
func boundMemory(p *sandbox.Process, limit int64) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.Done():
			return
		case <-tick.C:
		}
		all := descendants(p.PID)
		var sum, largest int64
		victim := 0
		for _, pid := range all {
			m := residentMemory(pid)
			if sum += m; m > largest {
				largest, victim = m, pid
			}
		}
		if sum <= limit || victim == 0 {
			continue
		}
		// Shared memory was counted once for each process that has it.
		if sum = proportionalMemory(all); sum > limit {
			unix.Kill(victim, unix.SIGKILL)
		}
	}
}

// descendants are a process and all that it started, by the kernel's word on
// parents: an orphan's parent is the sandbox's first process.
func descendants(root int) []int { return below(processes(), root) }

// residentMemory is what a process has in memory that is no file's: bytes.
func residentMemory(pid int) int64 {
	return sumOf(fmt.Sprintf("/proc/%d/status", pid), "RssAnon:", "RssShmem:")
}

// proportionalMemory is what processes have in memory together: bytes. Of a
// process that may not be read its private part counts.
func proportionalMemory(pids []int) (sum int64) {
	for _, pid := range pids {
		m := sumOf(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss_Anon:", "Pss_Shmem:")
		if m == 0 {
			m = sumOf(fmt.Sprintf("/proc/%d/status", pid), "RssAnon:")
		}
		sum += m
	}
	return sum
}

// sumOf adds the lines of a file of /proc that begin with one of the names, each
// in kB, and returns bytes.
func sumOf(file string, names ...string) (sum int64) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) > 1 && slices.Contains(names, f[0]) {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			sum += n << 10
		}
	}
	return sum
}
