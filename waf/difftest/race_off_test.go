//go:build !race

package difftest

const slow = false
