package files

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/durable"
	"github.com/ringwall/ringwall/plan"
	"golang.org/x/sys/unix"
)

// Options say how a tree is copied.
type Options struct {
	UID int // who owns the copy; it counts for root only, others own what they make

	// Follow lists directories, absolute: a symbolic link that ends in one of them
	// is replaced by a copy of what it leads to. All other links stay links; inside
	// an instance those that lead out of the tree lead nowhere.
	Follow []string

	// Fill puts what is not in the plan's source into a new tree; nil: nothing.
	Fill func(dir string) error
}

// Install makes the site's tree at the first up: a copy of the plan's source, or
// an empty directory, with the directories for uploads and data. The tree appears
// whole or not at all. An existing tree is left as it is; made is then false.
func Install(p *plan.Plan, state string, o Options) (made bool, err error) {
	tree := Tree(state)
	st, err := os.Lstat(tree)
	switch {
	case err == nil && !st.IsDir():
		return false, fmt.Errorf("installing the files: %s is a %s, want a directory", tree, special(st.Mode()))
	case err == nil:
		return false, prepare(p, tree, o)
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("installing the files: %w", err)
	}
	left, _ := filepath.Glob(filepath.Join(state, ".files-*")) // of an up that was killed
	for _, l := range left {
		os.RemoveAll(l)
	}
	temp, err := os.MkdirTemp(state, ".files-")
	if err != nil {
		return false, fmt.Errorf("installing the files: %w", err)
	}
	defer os.RemoveAll(temp)
	if err := os.Chmod(temp, 0o755); err != nil {
		return false, fmt.Errorf("installing the files: %w", err)
	}
	if p.Files.Source != "" {
		if err := Copy(p.Files.Source, temp, state, o); err != nil {
			return false, err
		}
	}
	if o.Fill != nil {
		if err := o.Fill(temp); err != nil {
			return false, err
		}
		err := filepath.WalkDir(temp, func(name string, _ fs.DirEntry, err error) error {
			return errors.Join(err, owner(name, o))
		})
		if err != nil {
			return false, fmt.Errorf("installing the files: %w", err)
		}
	}
	if err := prepare(p, temp, o); err != nil {
		return false, err
	}
	if err := owner(temp, o); err != nil {
		return false, fmt.Errorf("installing the files: %w", err)
	}
	if err := durable.SyncTree(temp); err != nil {
		return false, fmt.Errorf("installing the files: %w", err)
	}
	if err := os.Rename(temp, tree); err != nil {
		return false, fmt.Errorf("installing the files: %w", err)
	}
	if err := durable.SyncTree(state); err != nil {
		return false, fmt.Errorf("installing the files: %w", err)
	}
	return true, nil
}

// prepare makes the directories that the plan names, without following a link.
func prepare(p *plan.Plan, tree string, o Options) error {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return fmt.Errorf("installing the files: %w", err)
	}
	defer root.Close()
	for _, u := range p.Files.Uploads {
		name, err := relative(u)
		if err != nil {
			return err
		}
		for i := 0; i <= len(name); i++ {
			if i < len(name) && name[i] != '/' {
				continue
			}
			part := name[:i]
			st, err := root.Lstat(part)
			if err == nil && st.IsDir() {
				continue
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("preparing the uploads %s: %s in the tree: want a directory, got %s", u, part, describe(st, err))
			}
			if err := root.Mkdir(part, 0o755); err != nil {
				return fmt.Errorf("preparing the uploads %s: %w", u, err)
			}
			if err := owner(filepath.Join(tree, part), o); err != nil {
				return fmt.Errorf("preparing the uploads %s: %w", u, err)
			}
		}
	}
	return nil
}

func owner(name string, o Options) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(name, o.UID, o.UID)
}

// Copy copies the contents of a directory into another one that exists. It skips
// the state directory, where that lies within the source, and refuses anything
// but files, directories and symbolic links. Everybody may read the copy: who may
// reach it is decided above it.
func Copy(source, target, state string, o Options) error {
	st, err := os.Stat(source)
	if err != nil {
		return fmt.Errorf("copying the files: %w; check files.source", err)
	}
	if !st.IsDir() {
		return fmt.Errorf("copying the files: %s is not a directory; check files.source", source)
	}
	c := copier{o: o, to: target}
	// The state of all sites lies in one directory beside the configuration.
	if parent := filepath.Dir(state); filepath.Base(parent) == ".ringwall" {
		state = parent
	}
	c.skip, _ = os.Stat(state)
	if err := c.dir(source, ".", 0); err != nil {
		return fmt.Errorf("copying the files of %s: %w", source, err)
	}
	return nil
}

type copier struct {
	o    Options
	to   string
	skip fs.FileInfo
}

// maxDepth bounds links that lead to a directory above themselves.
const maxDepth = 64

func (c *copier) dir(source, name string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: more than %d directories within each other; is there a link to a directory above it?", name, maxDepth)
	}
	entries, err := os.ReadDir(source)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := c.entry(filepath.Join(source, e.Name()), path.Join(name, e.Name()), depth); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) entry(source, name string, depth int) error {
	st, err := os.Lstat(source)
	if err != nil {
		return err
	}
	target := filepath.Join(c.to, name)
	if st.Mode()&fs.ModeSymlink != 0 {
		if led, ok := c.follows(source); ok {
			source = led
			if st, err = os.Stat(source); err != nil {
				return err
			}
		}
	}
	switch {
	case c.skip != nil && os.SameFile(st, c.skip):
		return nil
	case st.IsDir():
		if err := os.Mkdir(target, 0o755); err != nil {
			return err
		}
		if err := c.dir(source, name, depth+1); err != nil {
			return err
		}
	case st.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(source)
		if err != nil {
			return err
		}
		if err := os.Symlink(to, target); err != nil {
			return err
		}
	case st.Mode().IsRegular():
		if err := copyFile(source, target, st); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s is a %s: want files, directories and symbolic links only; remove it or move it out of files.source", source, special(st.Mode()))
	}
	return owner(target, c.o)
}

// follows says where a link ends, if that is to be copied.
func (c *copier) follows(link string) (string, bool) {
	if len(c.o.Follow) == 0 {
		return "", false
	}
	end, err := filepath.EvalSymlinks(link)
	if err != nil {
		return "", false
	}
	return end, slices.ContainsFunc(c.o.Follow, func(d string) bool {
		return end == d || strings.HasPrefix(end, strings.TrimSuffix(d, "/")+"/")
	})
}

func copyFile(source, target string, st fs.FileInfo) error {
	in, err := os.OpenFile(source, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	if now, err := in.Stat(); err != nil || !os.SameFile(now, st) {
		return fmt.Errorf("%s changed while it was copied; try again", source)
	}
	mode := fs.FileMode(0o644)
	if st.Mode()&0o100 != 0 {
		mode = 0o755
	}
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	err = cmp.Or(err, out.Chmod(mode))
	err = cmp.Or(err, out.Close())
	if err == nil {
		err = os.Chtimes(target, st.ModTime(), st.ModTime())
	}
	return err
}

func special(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "file"
	case m.IsDir():
		return "directory"
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}
