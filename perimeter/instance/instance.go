// Package instance is perimeter 5: who an instance may dial and accept.
package instance

import (
	"slices"

	"github.com/ringwall/ringwall/perimeter"
)

// Perimeter is this wall and its promises.
var Perimeter = &perimeter.Perimeter{
	Number: 5,
	Name:   "instance",
	Doc: "Instance is whom one instance may dial and whom it answers. It keeps a captured " +
		"instance from reaching the next one, the machine, the metadata address or the " +
		"internet." + "\n" +
		"On this machine: one firewall entry per listed flow and instance; everything else is " +
		"refused in both directions." + "\n" +
		"On AWS: one security group per tier, with references to other groups in place of " +
		"addresses.",
	Controls: slices.Concat(controls, checks),
	Synth:    synth,
}
