// Package host is perimeter 6: what the kernel will do for an app.
package host

import (
	"slices"

	"github.com/ringwall/ringwall/perimeter"
)

// Perimeter is this wall and its promises.
var Perimeter = &perimeter.Perimeter{
	Number: 6,
	Name:   "host",
	Doc: "Host is what the kernel will do for an app. It keeps an app that was taken over from " +
		"gaining rights, seeing other processes, or exhausting the machine." + "\n" +
		"On this machine: a user namespace without capabilities, private mounts, no new " +
		"privileges, seccomp, Landlock, and limits on processes, memory, files and processor " +
		"time." + "\n" +
		"On AWS: a launch template with IMDSv2 required, Session Manager in place of SSH, and " +
		"Amazon Linux 2023.",
	Controls: slices.Concat(controls, checks),
	Synth:    synth,
}
