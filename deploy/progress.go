package deploy

import "time"

// State is where a stack or a resource is.
type State string

const (
	Waiting State = "waiting" // for another operation's end
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed"
	Same    State = "unchanged"
	Kept    State = "kept"    // retained on deletion
	Stopped State = "stopped" // by the user; what was begun goes on
	Note    State = "note"
)

// An Event is one thing that happened.
type Event struct {
	Stack, Region string
	Resource      string // logical id; empty: the stack itself
	Type          string
	Verb          string // create, update, delete, replace, roll back
	State         State
	Text          string        // in plain words
	At            time.Duration // since the run's start
	Took          time.Duration // of what has ended
}
