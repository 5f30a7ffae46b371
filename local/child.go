//go:build linux

package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A role is what a re-executed process of a site does, named by its first argument.
var roles = map[string]func() error{
	"@hub":      runHub,
	"@front":    runFront,
	"@agent":    runAgent,
	"@probe":    runProbe,
	"@firewall": runFirewallTrial,
	"@network":  runNetworkTrial,
}

// Child runs the role that this process was started for and returns its exit
// code. It returns false in a process that a user started.
func Child() (code int, ok bool) {
	if len(os.Args) < 2 {
		return 0, false
	}
	role := roles[os.Args[1]]
	if role == nil {
		return 0, false
	}
	switch err := role(); {
	case errors.Is(err, errSaid):
		return 1, true
	case err != nil:
		fmt.Fprintf(os.Stderr, "ringwall %s: %v\n", os.Args[1], err)
		return 1, true
	}
	return 0, true
}

// Descriptors of a child: its configuration first, then what its role agreed on.
const fdConfig = 3

// pack writes a child's configuration, which may hold secrets, to memory that has
// no name in any file system.
func pack(v any) (*os.File, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing a process's configuration: %w", err)
	}
	fd, err := unix.MemfdCreate("config", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making memory for a process's configuration: %w", err)
	}
	f := os.NewFile(uintptr(fd), "config")
	if _, err := f.Write(b); err != nil {
		f.Close()
		return nil, fmt.Errorf("writing a process's configuration: %w", err)
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

// unpack reads what pack wrote, and closes it.
func unpack(v any) error {
	f := os.NewFile(fdConfig, "config")
	defer f.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading this process's configuration: %w; it is started by ringwall up only", err)
	}
	if err := json.NewDecoder(f).Decode(v); err != nil {
		return fmt.Errorf("reading this process's configuration: %w", err)
	}
	return nil
}

// inherited is the n-th descriptor after the configuration, from 0.
func inherited(n int, name string) *os.File {
	unix.CloseOnExec(fdConfig + 1 + n)
	return os.NewFile(uintptr(fdConfig+1+n), name)
}
