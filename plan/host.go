package plan

// Host holds the settings of perimeter 6.
type Host struct {
	AllowWeak bool     // start although a part of the enforcement does not work on this machine
	Programs  []string // absolute directories, beside the system's, that the app may read and execute (a language's run time)
}
