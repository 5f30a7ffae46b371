// Package local runs a site on this machine: a supervisor that holds the doors, a
// hub that owns the site's private network and starts every other process of it
// behind the walls, and the client that talks to a running site.
package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ringwall/ringwall/internal/durable"
	"golang.org/x/sys/unix"
)

// stateVersion is the layout of the state directory that this program writes.
const stateVersion = 1

// A State is the directory in which a site lives between runs.
type State struct {
	Dir string // absolute
}

// StateOf is the state directory of a site whose configuration lies in dir.
func StateOf(dir, site string) State {
	return State{filepath.Join(dir, ".ringwall", site)}
}

func (s State) path(elem ...string) string {
	return filepath.Join(append([]string{s.Dir}, elem...)...)
}

// Secrets, Tree, Logs and the rest are the parts of the directory.
func (s State) Secrets() string  { return s.path("secrets") }
func (s State) Tree() string     { return s.path("files") }
func (s State) Logs() string     { return s.path("logs") }
func (s State) Database() string { return s.path("database") }
func (s State) Run() string      { return s.path("run") }
func (s State) CA() string       { return s.path("ca") }
func (s State) Audit() string    { return s.path("audit") }
func (s State) Control() string  { return s.path("control.sock") }

// Refusals is the log with one JSON line per refused request.
func (s State) Refusals() string { return filepath.Join(s.Logs(), "refusals.jsonl") }

// Recorded is the log with one JSON line per good request that was kept.
func (s State) Recorded() string { return filepath.Join(s.Logs(), recordedLog) }

const recordedLog = "recorded.jsonl"

// reloaded is where the rules lie that were put in force after the start.
func (s State) reloaded() string { return s.path("run", "rules.json") }

// AdminFile is where the generated administrator's login lies.
func (s State) AdminFile() string { return s.path("secrets", "admin.json") }

// cgroup is the control group below which all of the site's processes are: no
// other site has it, also one of the same name in another directory.
func (s State) cgroup() string {
	h := fnv.New32a()
	io.WriteString(h, s.Dir)
	return fmt.Sprintf("ringwall/%s-%08x", filepath.Base(s.Dir), h.Sum32())
}

type stateFile struct {
	Version int    `json:"version"`
	Site    string `json:"site"`
}

// Create makes what is missing of the directory, and refuses one that another
// user owns, that others may enter, or that another version of the layout wrote.
func (s State) Create(site string) error {
	doing := "preparing the site's state in " + s.Dir
	// From the outside in: who may write in a directory may put another in the
	// place of what is in it.
	for _, d := range []string{filepath.Dir(s.Dir), s.Dir, s.Secrets(), s.Logs(), s.Run(), s.CA(), s.Audit()} {
		if err := os.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s: %w", doing, err)
		}
		if err := private(d); err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
	name := s.path("state.json")
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		b, _ = json.Marshal(stateFile{stateVersion, site})
		return durable.WriteFile(name, append(b, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	var f stateFile
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("%s: %s is damaged (%v); if the rest of the directory is sound, delete that one file and run up again", doing, name, err)
	}
	if f.Version != stateVersion || f.Site != site {
		return fmt.Errorf("%s: it holds site %q in layout %d, want site %q in layout %d; move the directory away or use the program that wrote it", doing, f.Site, f.Version, site, stateVersion)
	}
	return nil
}

// private refuses a directory that is not this user's own.
func private(dir string) error {
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	sys := st.Sys().(*syscall.Stat_t)
	switch {
	case !st.IsDir():
		return fmt.Errorf("%s is no directory (mode %v); move it away", dir, st.Mode())
	case int(sys.Uid) != os.Getuid():
		return fmt.Errorf("%s belongs to user %d, and this is user %d; run as that user, or move it away", dir, sys.Uid, os.Getuid())
	case st.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("others may enter %[1]s (mode %04[2]o, want 0700); mend it with: chmod 700 %[1]s", dir, st.Mode().Perm())
	}
	return nil
}

// tidy removes what interrupted writes left. The caller holds the lock.
func (s State) tidy() {
	for _, d := range []string{s.Dir, s.Secrets(), s.CA()} {
		left, _ := filepath.Glob(filepath.Join(d, ".new-*"))
		for _, l := range left {
			os.Remove(l)
		}
	}
}

// A Lock says that one supervisor owns the state. The kernel lets go of it when
// the process ends, however it ends.
type Lock struct{ f *os.File }

// ErrRunning means that another supervisor holds the lock.
var ErrRunning = errors.New("the site is already running")

// Lock takes the state for this process.
func (s State) Lock() (*Lock, error) {
	f, err := os.OpenFile(s.path("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the site's state: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		b := make([]byte, 64)
		n, _ := f.ReadAt(b, 0)
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w (supervisor process %s); see it with: ringwall status, stop it with: ringwall down", ErrRunning, string(b[:n]))
		}
		return nil, fmt.Errorf("locking the site's state: %w", err)
	}
	f.Truncate(0)
	fmt.Fprint(f, os.Getpid())
	return &Lock{f}, nil
}

// Release lets another supervisor take the state.
func (l *Lock) Release() { l.f.Close() }
