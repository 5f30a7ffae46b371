// Package network is perimeter 1: names, routes and floods.
package network

import "github.com/ringwall/ringwall/perimeter"

// Perimeter is this wall and its promises.
var Perimeter = &perimeter.Perimeter{
	Number: 1,
	Name:   "network",
	Doc: "Network is the way in from the internet. It keeps out requests for names that are not " +
		"ours, floods, and clients that hold a connection open by sending slowly." + "\n" +
		"On this machine: listeners that count connections and requests per address, cut slow " +
		"clients, and answer known host names only." + "\n" +
		"On AWS: Route 53, Shield, a certificate, and a CAA record that says who may issue one.",
	Controls: controls,
	Synth:    synth,
}
