// Package database is perimeter 9: who may ask for which rows.
package database

import (
	"slices"

	"github.com/ringwall/ringwall/perimeter"
)

// Perimeter is this wall and its promises.
var Perimeter = &perimeter.Perimeter{
	Number: 9,
	Name:   "database",
	Doc: "Database is who may ask for which rows. It keeps a captured fleet instance from " +
		"changing what it only shows, and from reading password hashes." + "\n" +
		"On this machine: a private server that only instances reach, with one user per tier " +
		"and generated grants; it can dial nothing itself." + "\n" +
		"On AWS: RDS or Aurora in isolated subnets, one user per tier with the same grants, and " +
		"TLS forced.",
	Controls: slices.Concat(controls, checks, cisChecks),
	Synth:    synth,
}
