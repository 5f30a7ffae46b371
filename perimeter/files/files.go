// Package files is perimeter 7: what an instance may read and write.
package files

import (
	"slices"

	"github.com/ringwall/ringwall/perimeter"
)

// Perimeter is this wall and its promises.
var Perimeter = &perimeter.Perimeter{
	Number: 7,
	Name:   "files",
	Doc: "Files is what an instance may read and write. It keeps a captured fleet instance from " +
		"changing the site, and anything uploaded from being run as code." + "\n" +
		"On this machine: one tree that admin may write and that fleet sees through a read-only " +
		"mount, with uploads told apart from code." + "\n" +
		"On AWS: an EFS file system with a policy of its own, an access point per tier, TLS, " +
		"and no write permission for fleet.",
	Controls: slices.Concat(controls, checks, bucketChecks, cisChecks),
	Synth:    synth,
}
