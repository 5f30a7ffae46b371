package perimeter

import "github.com/ringwall/ringwall/plan"

// Rounds are a conversation that a probe, which runs on this machine, has with the
// database through an instance. The probe is run again and again: what it asks and
// has no answer to yet is written into the instance's next script, until nothing is
// left to ask. What the probe said of its last run counts.
type Rounds interface {
	// Begin forgets what the probe asked the last time.
	Begin()
	// Pending says whether the probe has asked what there is no answer to yet.
	Pending() bool
	// Write asks, in a control's part of a script.
	Write(*Script)
	// Read takes the answers from what that part printed: its fields behind the
	// control's id, a list for each line.
	Read(lines [][]string)
	// Query answers, or notes the question. The secret's password may have the
	// word Password in it for the tier's own, which never leaves the instance.
	Query(secret plan.Secret, sql string, rows bool) (string, error)
	// Secret is the tier's own, with the word Password for its password.
	Secret() (plan.Secret, error)
}

// Password stands for a tier's own password.
const Password = "{password}"
