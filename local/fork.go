//go:build linux

package local

import "runtime"

// forks runs functions on one thread that never ends while the process lives.
var forks = func() chan<- func() {
	c := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range c {
			f()
		}
	}()
	return c
}()
