//go:build !linux

package sandbox

import (
	"context"
	"errors"
	"os"
	"time"
)

var errOther = errors.New("only Linux can confine a program this way; run Ringwall in a Linux machine")

// A Process is a running sandbox; this system has none.
type Process struct {
	PID     int
	Missing []string
	Cost    time.Duration
}

// Init does nothing here.
func Init() {}

// Start refuses: nothing runs without its walls.
func Start(spec Spec) (*Process, error) {
	return nil, &StartError{Name: spec.Name, Step: "starting its process", Err: errOther}
}

// Wait, Done, Signal and Kill have no process to act on.
func (*Process) Wait() (Exit, error)    { return Exit{}, errOther }
func (*Process) Done() <-chan struct{}  { return nil }
func (*Process) Signal(os.Signal) error { return errOther }
func (*Process) Kill() error            { return errOther }

// Capabilities says that nothing works here.
func Capabilities(context.Context, ...Check) []Capability {
	return []Capability{{Name: "a Linux kernel", Detail: errOther.Error()}}
}
