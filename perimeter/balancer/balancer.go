// Package balancer is perimeter 4: one door to many instances.
package balancer

import (
	"slices"

	"github.com/ringwall/ringwall/perimeter"
)

// Perimeter is this wall and its promises.
var Perimeter = &perimeter.Perimeter{
	Number: 4,
	Name:   "balancer",
	Doc: "Balancer is the one door to the instances. It keeps out requests that did not come " +
		"through the edge, and visitors from the admin instance." + "\n" +
		"On this machine: a listener of its own that compares the edge's secret in constant " +
		"time, sends the administrators' addresses to admin and all others to fleet, and " +
		"answers 404 where no rule fits." + "\n" +
		"On AWS: an internal load balancer behind a VPC origin, with TLS 1.2 or later and the " +
		"same rules.",
	Controls: slices.Concat(controls, checks),
	Synth:    synth,
}
