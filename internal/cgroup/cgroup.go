// Package cgroup bounds a group of processes together: their number, their
// memory and their share of the processors, with control groups of version 2
// or 1, whichever the machine lets the caller write.
package cgroup

// Limits of one group. Zero values are no limit.
type Limits struct {
	Processes int
	Memory    int64 // bytes
	CPU       int   // hundredths of one processor
}
