//go:build !linux

package cgroup

// A Group is a control group; this system has none.
type Group struct{}

// New says that this system has no control groups.
func New(string, string, Limits) (*Group, []string) {
	return nil, []string{"control groups: only Linux has them"}
}

// Add, Kill and Remove do nothing here.
func (*Group) Add(int) error { return nil }
func (*Group) Kill()         {}
func (*Group) Remove()       {}

// Sweep does nothing here.
func Sweep(string) {}
