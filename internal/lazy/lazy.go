// Package lazy makes things when they are first asked for. Every process of a site is
// this program, so what a package makes at the start of one is paid for many times,
// and mostly by those who do not use it.
package lazy

import (
	"regexp"
	"sync"
)

// Regexp gives a pattern that is compiled when it is first called for. One that is
// no pattern panics then: what is given is a constant, and a test uses it.
func Regexp(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
