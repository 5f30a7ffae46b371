// Package manifest lists the files of a tree with their contents' hashes, tells
// two lists apart and notices changes. It decides nothing about them.
package manifest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/ringwall/ringwall/internal/durable"
)

// A Manifest is what a tree held when it was scanned, sorted by path.
type Manifest struct {
	Files []File
}

// A File is one regular file or symbolic link. Directories only show in paths.
type File struct {
	Path string      `json:"path"` // relative, with slashes
	Mode fs.FileMode `json:"mode"` // permissions, and whether it is a link
	Size int64       `json:"size"`
	Hash string      `json:"sha256"`        // of the content, or of a link's target
	Raw  []byte      `json:"raw,omitempty"` // Path in a manifest's file, where JSON cannot hold it
	stat stamp
}

// A stamp changes whenever a file does: a program can set a file's times back,
// but not the time of its inode's change.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime [2]int64
}

// Scan lists the files of dir that keep wants; nil wants all. Contents that have
// not changed since an older scan of the same tree, by their inode, size and
// times, are not read again; old may be nil. A file that vanishes meanwhile is
// left out; anything but files, links and directories is an error.
func Scan(dir string, keep func(name string) bool, old *Manifest) (*Manifest, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("scanning %s: %w", dir, err)
	}
	defer root.Close()
	s := scanner{root: root, keep: keep, old: old}
	if err := s.dir("."); err != nil {
		return nil, fmt.Errorf("scanning %s: %w", dir, err)
	}
	slices.SortFunc(s.files, byPath)
	return &Manifest{s.files}, nil
}

func byPath(a, b File) int { return cmp.Compare(a.Path, b.Path) }

type scanner struct {
	root  *os.Root
	keep  func(string) bool
	old   *Manifest
	files []File
	buf   []byte
}

func (s *scanner) dir(name string) error {
	d, err := s.root.Open(name)
	if err != nil {
		return ignoreGone(err)
	}
	entries, err := d.ReadDir(-1)
	if err == nil {
		err = s.entries(name, entries)
	}
	return errors.Join(err, d.Close())
}

func (s *scanner) entries(dir string, entries []fs.DirEntry) error {
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() {
			if err := s.dir(name); err != nil {
				return err
			}
			continue
		}
		if s.keep != nil && !s.keep(name) {
			continue
		}
		st, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		f, err := s.file(name, st)
		if err != nil {
			if ignoreGone(err) == nil {
				continue
			}
			return err
		}
		s.files = append(s.files, f)
	}
	return nil
}

func (s *scanner) file(name string, st fs.FileInfo) (File, error) {
	f := File{Path: name, Mode: st.Mode() & (fs.ModePerm | fs.ModeSymlink | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky), Size: st.Size(), stat: stampOf(st)}
	if o := s.old.find(name); o != nil && o.stat == f.stat && f.stat != (stamp{}) && o.Mode == f.Mode {
		f.Hash = o.Hash
		return f, nil
	}
	h := sha256.New()
	switch {
	case st.Mode()&fs.ModeSymlink != 0:
		to, err := s.root.Readlink(name)
		if err != nil {
			return f, err
		}
		io.WriteString(h, to)
	case st.Mode().IsRegular():
		r, err := s.root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		if err != nil {
			return f, err
		}
		defer r.Close()
		if s.buf == nil {
			s.buf = make([]byte, 64<<10)
		}
		n, err := io.CopyBuffer(h, struct{ io.Reader }{r}, s.buf)
		if err != nil {
			return f, err
		}
		if n != f.Size {
			f.Size, f.stat = n, stamp{} // it is being written; the next scan reads it again
		}
	default:
		return f, fmt.Errorf("%s is a %s: want files, directories and symbolic links only", name, kind(st.Mode()))
	}
	f.Hash = hex.EncodeToString(h.Sum(nil))
	return f, nil
}

func kind(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP) {
		return nil
	}
	return err
}

func (m *Manifest) find(name string) *File {
	if m == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(m.Files, name, func(f File, n string) int { return cmp.Compare(f.Path, n) })
	if !ok {
		return nil
	}
	return &m.Files[i]
}

// A Change is what differs between two manifests; the lists are sorted paths.
type Change struct {
	Added, Removed, Changed []string
}

// Empty says whether nothing differs.
func (c Change) Empty() bool { return len(c.Added)+len(c.Removed)+len(c.Changed) == 0 }

// Paths returns every path that differs.
func (c Change) Paths() []string {
	all := slices.Concat(c.Added, c.Removed, c.Changed)
	slices.Sort(all)
	return all
}

func (c Change) String() string {
	var b strings.Builder
	for _, l := range []struct {
		sign  string
		paths []string
	}{{"added   ", c.Added}, {"removed ", c.Removed}, {"changed ", c.Changed}} {
		for _, p := range l.paths {
			fmt.Fprintf(&b, "%s %s\n", l.sign, printable(p))
		}
	}
	return b.String()
}

func printable(p string) string {
	q := fmt.Sprintf("%q", p)
	if q[1:len(q)-1] == p {
		return p
	}
	return q
}

// Diff tells what changed from an older manifest to a newer one. Nil is empty.
func Diff(old, new *Manifest) Change {
	var c Change
	if old == nil {
		old = &Manifest{}
	}
	if new == nil {
		new = &Manifest{}
	}
	i, j := 0, 0
	for i < len(old.Files) || j < len(new.Files) {
		switch {
		case i == len(old.Files) || j < len(new.Files) && new.Files[j].Path < old.Files[i].Path:
			c.Added = append(c.Added, new.Files[j].Path)
			j++
		case j == len(new.Files) || old.Files[i].Path < new.Files[j].Path:
			c.Removed = append(c.Removed, old.Files[i].Path)
			i++
		default:
			a, b := old.Files[i], new.Files[j]
			if a.Hash != b.Hash || a.Mode != b.Mode {
				c.Changed = append(c.Changed, a.Path)
			}
			i, j = i+1, j+1
		}
	}
	return c
}

const format = 1

type document struct {
	Version int    `json:"version"`
	Files   []File `json:"files"`
}

// Save writes a manifest so that a reader sees the old one or the new one whole,
// also after a power cut.
func (m *Manifest) Save(name string) error {
	files := slices.Clone(m.Files)
	for i := range files {
		if f := &files[i]; !utf8.ValidString(f.Path) {
			f.Raw = []byte(f.Path)
		}
	}
	b, err := json.MarshalIndent(document{format, files}, "", " ")
	if err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	if err := durable.WriteFile(name, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	return nil
}

// Load reads what Save wrote. A file that is not there is fs.ErrNotExist.
func Load(name string) (*Manifest, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	m, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("reading the manifest %s: %w; look at the tree yourself, then `ringwall accept` makes a new one", name, err)
	}
	return m, nil
}

func parse(b []byte) (*Manifest, error) {
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if d.Version != format {
		return nil, fmt.Errorf("got version %d, want %d", d.Version, format)
	}
	for i := range d.Files {
		f := &d.Files[i]
		if f.Raw != nil {
			f.Path, f.Raw = string(f.Raw), nil
		}
		if f.Path == "." || !fs.ValidPath(strings.ToValidUTF8(f.Path, "?")) {
			return nil, fmt.Errorf("it is damaged: file %d has the path %q", i+1, f.Path)
		}
		if h, err := hex.DecodeString(f.Hash); err != nil || len(h) != sha256.Size {
			return nil, fmt.Errorf("it is damaged: file %q has the hash %q", f.Path, f.Hash)
		}
		if i > 0 && d.Files[i-1].Path >= f.Path {
			return nil, fmt.Errorf("it is damaged: file %q is out of order", f.Path)
		}
	}
	return &Manifest{d.Files}, nil
}
