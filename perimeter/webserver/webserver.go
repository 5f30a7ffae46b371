// Package webserver is perimeter 8: what a request may reach.
package webserver

import (
	"slices"

	"github.com/ringwall/ringwall/perimeter"
)

// Perimeter is this wall and its promises.
var Perimeter = &perimeter.Perimeter{
	Number: 8,
	Name:   "webserver",
	Doc: "Webserver is what a request may reach inside an instance. It keeps visitors from the " +
		"administrators' pages, however the address is spelled." + "\n" +
		"On this machine: a route table per tier, matched after every encoding is undone; " +
		"administrators' routes answer 403 on fleet." + "\n" +
		"On AWS: the instances' web server, configured from the same table.",
	Controls: slices.Concat(controls, checks),
	Synth:    synth,
}
