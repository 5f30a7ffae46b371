// Package application is perimeter 10: what the app itself gets wrong.
package application

import "github.com/ringwall/ringwall/perimeter"

// Perimeter is this wall and its promises.
var Perimeter = &perimeter.Perimeter{
	Number: 10,
	Name:   "application",
	Doc: "Application is what the app itself gets wrong. It keeps a change to the code from " +
		"going unseen, and secrets and debug pages from being served." + "\n" +
		"On this machine: a manifest of the code tree that is compared while the site runs, and " +
		"a look at what the app answers." + "\n" +
		"On AWS: the same, and scans of images and code.",
	Controls: controls,
	Synth:    synth,
}
