package sandbox

// wire is what the parent tells the child about its sandbox, over a pipe: one
// line of JSON, and goAhead when the program may be executed.
type wire struct {
	Name   string
	Args   []string
	Env    []string
	Dir    string
	Files  int // descriptors after stderr
	TTY    bool
	Mounts []Mount
	Texts  map[string]string
	Links  map[string]string
	Proc   bool
	TmpMax int64
	Calls  Calls
	Limits Limits
	Skip   Layer

	UserNS    bool   // the child lies in a user namespace of its own
	UID       uint32 // to become, without a user namespace
	Dry       bool   // end before the program would be executed
	Setgroups bool   // supplementary groups may be dropped
}

// status is one line that the child writes to the parent.
type status struct {
	Step  string `json:",omitempty"` // that failed
	Errno int    `json:",omitempty"`
	Text  string `json:",omitempty"` // the error, where it is not an errno alone
	Next  string `json:",omitempty"`
	Ready bool   `json:",omitempty"` // set-up is done; the program is next
	Spent int64  `json:",omitempty"` // with Ready: nanoseconds of processor time until then
	Ran   bool   `json:",omitempty"` // the program runs, below a reaper
	Ended bool   `json:",omitempty"`
	Wait  uint32 `json:",omitempty"` // its wait status
}

const goAhead = 'g'

func (l Layer) has(m Layer) bool { return l&m != 0 }

// argv0 marks a process that was re-executed to become a sandbox.
const argv0 = "ringwall-box"

// Descriptors that the child finds beside the standard three.
const (
	fdSpec    = 3
	fdStatus  = 4
	fdProgram = 5 // what it runs
	fdFiles   = 6
)
