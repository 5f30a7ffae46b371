package diff

import (
	"fmt"
	"slices"
)

// Level is how a change is scored.
type Level int

const (
	Routine     Level = iota // nothing to decide
	Significant              // somebody has to approve it
)

var levels = [...]string{"routine", "significant"}

func (l Level) String() string { return levels[l] }

// MarshalText writes routine or significant.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (l *Level) UnmarshalText(b []byte) error {
	i := slices.Index(levels[:], string(b))
	if i < 0 {
		return fmt.Errorf("reading a level: got %q, want routine or significant", b)
	}
	*l = Level(i)
	return nil
}

// A Rule of the policy scores one kind of change.
type Rule struct {
	ID    string // aspect/what
	Level Level
	Doc   string // when it applies
	Why   string // why it is scored so
}

// Policy is the table by which changes are scored, in the order in which reports
// show them. Users read it with `ringwall diff --policy`.
var Policy = []Rule{
	{"data/lost", Significant, "A resource that holds data is deleted or replaced, and its data goes with it.", "No later change brings the data back."},
	{"data/replaced", Significant, "A resource that holds data is replaced; a copy or the old one stays.", "The new one starts empty: somebody has to move the data."},
	{"data/may-be-replaced", Significant, "A resource that holds data may be replaced: the schema says that it depends.", "What cannot be told counts as the worse case."},
	{"data/left", Significant, "A resource that holds data leaves its stack and stays in the account.", "Nothing protects, backs up or deletes it from then on."},
	{"data/weakened", Significant, "Backup, retention, versioning, redundancy or protection against deletion becomes less.", "The next mistake costs more."},
	{"data/unclear", Significant, "A setting that guards data changes in a way that cannot be ordered, or cannot be read.", "What cannot be told counts as the worse case."},
	{"access/broadened", Significant, "Somebody gets a right that nothing gave before: an allowing statement is added, a denying one goes, a managed policy is attached, a boundary goes, or one identity becomes a step to an administrator's rights.", "A right that is not needed is the next step of an attack."},
	{"access/unclear", Significant, "A policy changes that cannot be read from the template.", "What cannot be told counts as the worse case."},
	{"reach/broadened", Significant, "Something can be reached that could not: a rule of a security group or a route is added, a network ACL opens, a resource becomes public, a filter goes.", "Every wall behind it is asked by more people."},
	{"reach/unclear", Significant, "A rule of reach changes in a way that cannot be ordered, or cannot be read.", "What cannot be told counts as the worse case."},
	{"encryption/weakened", Significant, "Something is stored or sent with less encryption.", "Who gets the disk or the wire reads it."},
	{"encryption/unclear", Significant, "A key or a cipher setting changes in a way that cannot be ordered.", "The old data may become unreadable, or readable by others."},
	{"logging/weakened", Significant, "A log, an alarm, a trail or its retention becomes less.", "What happens afterwards leaves no evidence."},
	{"logging/unclear", Significant, "A log goes elsewhere.", "Somebody waits for it at the old place."},
	{"service/named", Significant, "A resource with a fixed name has to be replaced.", "CloudFormation refuses it: two cannot have one name. Change the name too."},
	{"service/export", Significant, "A resource has to be replaced whose id another stack imports.", "CloudFormation refuses it: an export in use does not change. Make the new one beside the old one first."},
	{"service/unknown-type", Significant, "A resource of a type that the schema does not know changes.", "Whether it is replaced cannot be told."},
	{"data/strengthened", Routine, "Backup, retention, versioning, redundancy or protection becomes more.", "Nobody loses by it."},
	{"access/narrowed", Routine, "Somebody loses a right.", "What breaks by it is seen, and is given back."},
	{"access/same", Routine, "A statement comes or goes, and nobody may do more or less by it: others allow as much, or one refuses it.", "Who may do what stays as it is."},
	{"reach/narrowed", Routine, "Something can no longer be reached.", "What breaks by it is seen, and is opened again."},
	{"encryption/strengthened", Routine, "Something is stored or sent with more encryption.", "Nobody loses by it."},
	{"logging/strengthened", Routine, "A log, an alarm or its retention becomes more.", "Nobody loses by it."},
	{"service/replaced", Routine, "A resource without data of its own is replaced.", "The new one is made before the old one goes."},
	{"service/may-be-replaced", Routine, "A resource without data of its own may be replaced.", "The new one is made before the old one goes."},
	{"service/added", Routine, "A resource is made.", "What it may do is scored by the other rules."},
	{"service/removed", Routine, "A resource without data of its own goes.", "What it guarded is scored by the other rules."},
	{"service/changed", Routine, "Something else of a resource changes.", "It is undone by the next change."},
}

// order is a rule's place in the policy.
func order(id string) int {
	return slices.IndexFunc(Policy, func(r Rule) bool { return r.ID == id })
}

// levelOf is the score of a rule; one that is not in the table is significant.
func levelOf(id string) Level {
	if i := order(id); i >= 0 {
		return Policy[i].Level
	}
	return Significant
}
