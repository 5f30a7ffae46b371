//go:build race

package difftest

// slow says that the race detector is on: comparisons then take a sample.
const slow = true
