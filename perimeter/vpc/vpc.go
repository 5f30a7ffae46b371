// Package vpc is perimeter 3: which networks exist.
package vpc

import (
	"slices"

	"github.com/ringwall/ringwall/perimeter"
)

// Perimeter is this wall and its promises.
var Perimeter = &perimeter.Perimeter{
	Number: 3,
	Name:   "vpc",
	Doc: "VPC is which networks exist. It keeps every part of the site apart from the machine it " +
		"runs on, from other sites, and from the internet, unless a listed flow joins them." + "\n" +
		"On this machine: a network namespace per instance without a route of its own, joined " +
		"by a hub whose firewall refuses what the plan does not list." + "\n" +
		"On AWS: a VPC with public, private and isolated subnets, network ACLs, endpoints and " +
		"flow logs.",
	Controls: slices.Concat(controls, checks, flowChecks, cisChecks),
	Synth:    synth,
}
