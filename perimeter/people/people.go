// Package people is perimeter 0: who may change the site.
package people

import (
	"slices"

	"github.com/ringwall/ringwall/perimeter"
)

// Perimeter is this wall and its promises.
var Perimeter = &perimeter.Perimeter{
	Number: 0,
	Name:   "people",
	Doc: "People is who may change the site. It keeps out every other account of the machine, " +
		"and every leak of a password or key through arguments, environments, logs or messages." + "\n" +
		"On this machine: a control socket that answers the site's owner and root alone, and " +
		"secrets in files that only the owner can open." + "\n" +
		"On AWS: IAM roles with the rights of one tier each, multi-factor conditions on what a " +
		"person may do, and a trail of who did it.",
	Controls: slices.Concat(controls, checks, evidenceChecks, cisChecks),
	Synth:    synth,
}
