// Package edge is perimeter 2: the first thing a visitor reaches.
package edge

import (
	"slices"

	"github.com/ringwall/ringwall/perimeter"
)

// Perimeter is this wall and its promises.
var Perimeter = &perimeter.Perimeter{
	Number: 2,
	Name:   "edge",
	Doc: "Edge is the first thing a visitor reaches. It keeps out attacks that are visible in a " +
		"request, visitors whose addresses are not on the list, and pages made for one person " +
		"that a cache would hand to another." + "\n" +
		"On this machine: TLS 1.2 or later, a web application firewall with the OWASP core " +
		"rules in a public and an admin profile, the allow list, headers that only we may set, " +
		"and a cache that never crosses a privilege line." + "\n" +
		"On AWS: CloudFront with a web ACL that logs, cache policies, and a function that sets " +
		"the viewer's address.",
	Controls: slices.Concat(controls, checks),
	Synth:    synth,
}
