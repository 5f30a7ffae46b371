//go:build !linux

package cgroup

import "syscall"

// A Group is a control group; this system has none.
type Group struct{}

// New says that this system has no control groups.
func New(string, string, Limits) (*Group, []string) {
	return nil, []string{"control groups: only Linux has them"}
}

// Fork calls fork.
func (*Group) Fork(_ *syscall.SysProcAttr, fork func() error) (bool, error) { return true, fork() }

// Kill and Remove do nothing here.
func (*Group) Kill()   {}
func (*Group) Remove() {}

// Sweep does nothing here.
func Sweep(string) {}
