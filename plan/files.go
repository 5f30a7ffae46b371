package plan

import (
	"path"
	"strings"
)

// Files holds the settings of perimeter 7. There is one tree: admin may write in
// it, fleet sees the same tree read-only.
type Files struct {
	Source  string   // absolute; copied into the site's state at the first up; empty for a tree that the app's set-up makes
	Mount   string   // where the tree appears inside an instance
	Uploads []string // paths in the tree, relative, for what users bring: never code, never executed
	Data    []string // paths in the tree that the admin tier changes in its daily work (flows of Node-RED): fleet rolls, status does not call it a difference
}

// Class says what a file of the tree, named by its slash-separated relative
// path, counts as.
func (f Files) Class(name string) FileClass {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	under := func(dirs []string) bool {
		for _, d := range dirs {
			d = strings.Trim(path.Clean("/"+d), "/")
			if name == d || strings.HasPrefix(name, d+"/") {
				return true
			}
		}
		return false
	}
	switch {
	case under(f.Uploads):
		return Upload
	case under(f.Data):
		return Data
	}
	return Code
}

// FileClass tells code, data and uploads apart. The zero value is code, the
// class with the strictest rules.
type FileClass int

const (
	Code FileClass = iota
	Data
	Upload
)
