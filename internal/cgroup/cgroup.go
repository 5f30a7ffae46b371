// Package cgroup bounds a group of processes together: their number, their
// memory and their share of the processors, with control groups of version 2
// or 1, whichever the machine lets the caller write.
package cgroup

// Unbounded is what New says is missing where there is no group at all, because
// of an error.
func Unbounded(l Limits, err error) (missing []string) {
	for _, w := range l.each() {
		missing = append(missing, w+": "+err.Error())
	}
	return missing
}

// each names the limits that are set.
func (l Limits) each() (names []string) {
	if l.Processes > 0 {
		names = append(names, processes)
	}
	if l.Memory > 0 {
		names = append(names, memory)
	}
	if l.CPU > 0 {
		names = append(names, cpu)
	}
	return names
}

const processes, memory, cpu = "number of processes", "resident memory", "share of the processors"

// Limits of one group. Zero values are no limit.
type Limits struct {
	Processes int
	Memory    int64 // bytes
	CPU       int   // hundredths of one processor
}
