package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

const (
	ctlReadOnly    = "files/read-only"
	ctlNoExec      = "files/uploads-noexec"
	ctlAdminWrites = "files/admin-writes"
)

// Tree is where a site's files lie in its state directory.
func Tree(state string) string { return filepath.Join(state, "files") }

// Allow lets the app of a tier see the tree: for writing on admin only, with
// programs executable only for kind command, and never those in uploads.
func Allow(p *plan.Plan, tier, tree string, spec *sandbox.Spec) error {
	t := p.Tier(tier)
	if t == nil {
		return fmt.Errorf("mounting the files: no tier %q in the plan", tier)
	}
	write := t.Write && !perimeter.Down(ctlAdminWrites) || perimeter.Down(ctlReadOnly)
	noexec := !perimeter.Down(ctlNoExec)
	exec := p.Kind == plan.Command || !noexec
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: tree, Target: p.Files.Mount, Write: write, Exec: exec})
	// A program that saves a file the way editors do sets its mode as well.
	spec.Calls.Meta = spec.Calls.Meta || write
	if !exec || !noexec {
		return nil // a read-write mount of its own would only make moves between directories slower
	}
	root, err := os.OpenRoot(tree)
	if err != nil {
		return fmt.Errorf("mounting the files: %w", err)
	}
	defer root.Close()
	for _, u := range p.Files.Uploads {
		name, err := relative(u)
		if err != nil {
			return err
		}
		if st, err := root.Lstat(name); err != nil || !st.IsDir() {
			return fmt.Errorf("mounting the uploads %s: want a directory in %s, got %s", u, tree, describe(st, err))
		}
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: filepath.Join(tree, name), Target: path.Join(p.Files.Mount, name), Write: write})
	}
	return nil
}

func describe(st fs.FileInfo, err error) string {
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "nothing"
		}
		return err.Error()
	}
	return "a " + special(st.Mode())
}

// relative is a path of the plan as a name in the tree.
func relative(u string) (string, error) {
	name := path.Clean("/" + u)[1:]
	if name == "" {
		return "", fmt.Errorf("reading files.uploads: got %q, want a directory below the tree's root", u)
	}
	return name, nil
}
