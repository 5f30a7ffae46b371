// Package database is perimeter 9: a private server with one user per tier,
// whose rights are generated from the plan.
package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ringwall/ringwall/internal/durable"
	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/plan"
)

// Where the server's directories appear inside its walls.
const (
	InsideData = "/data"
	InsideRun  = "/run/db"
)

// superuser is the name of the server's user id inside its walls, and therefore of
// the one account that may do everything: it has no password, only its id.
const superuser = "ringwall"

// A Runner runs a program inside the database's walls, to its end. An error
// carries the end of what the program wrote to its standard error.
type Runner interface {
	Run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error
}

// Dirs says where a server keeps its files, and whom they belong to.
type Dirs struct {
	Data    string // of the host: the server's tables; appears as InsideData
	Run     string // of the host: the server's socket; appears as InsideRun
	Secrets string // of the host: database-<tier>.json; never visible to the server

	UID, GID int // of the server, as this process sees them; client programs take the same

	// For a server that runs without walls, in tests: what it sees of the host,
	// and the name of its user id. Empty: InsideData, InsideRun, "ringwall".
	InsideData, InsideRun, User string
}

// A Server is the database of one site. Its methods are safe for concurrent use.
type Server struct {
	Log func(format string, a ...any) // what the user should know; nil: nowhere

	plan *plan.Plan
	dirs Dirs
	run  Runner
	eng  engine

	mu      sync.Mutex      // held while accounts, grants or tables are changed from here
	rolling map[string]bool // tiers whose former user is still needed
	prints  printCache
}

// An engine is what PostgreSQL and MariaDB do differently.
type engine interface {
	major() string                                    // of the programs on this machine
	dataMajor(dir string) (string, error)             // of a data directory of the host
	initialise(ctx context.Context, dir string) error // makes an empty server in dir, as the server sees it
	configure() error                                 // writes what the server reads at its start
	command() []string
	sql(ctx context.Context, db, script string) (string, error) // as the superuser, over the socket; rows are lines, cells split by tabs
	prepare(ctx context.Context) error                          // the site's database and the accounts that nobody logs in to
	tables(ctx context.Context) ([]table, error)
	accounts(ctx context.Context, users []user) error
	grant(ctx context.Context, tables []table) error
	endSessions(ctx context.Context, user string) error
	fingerprint(ctx context.Context) (string, error)
	stamp() (string, time.Time, error) // changes whenever fingerprint may, and when that was; costs no connection
	dump(ctx context.Context, w io.Writer) error
	trailer() string // the beginning of a complete dump's last comment
	restore(ctx context.Context, r io.Reader) error
	recreate(ctx context.Context) error // drops the site's database with all in it, and makes it again
}

// New checks the plan and finds the engine's programs.
func New(p *plan.Plan, dirs Dirs, run Runner) (*Server, error) {
	if err := validate(p); err != nil {
		return nil, err
	}
	if dirs.InsideData == "" {
		dirs.InsideData = InsideData
	}
	if dirs.InsideRun == "" {
		dirs.InsideRun = InsideRun
	}
	if dirs.User == "" {
		dirs.User = superuser
	}
	s := &Server{plan: p, dirs: dirs, run: run, rolling: map[string]bool{}}
	var err error
	switch p.Database.Engine {
	case plan.Postgres:
		s.eng, err = newPostgres(s)
	case plan.MySQL:
		s.eng, err = newMySQL(s)
	default:
		err = fmt.Errorf("the database's engine: got %q, want mysql or postgres", p.Database.Engine)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) logf(format string, a ...any) {
	if s.Log != nil {
		s.Log(format, a...)
	}
}

const (
	liveDir = "server"     // in Dirs.Data: the server's data directory
	newDir  = "server.new" // one that is being made
	oldDir  = "server.old" // one that is being deleted
	noneDir = "none"       // stays empty: where file functions would look
	tmpDir  = "tmp"        // sort files; emptied at every start
)

func (s *Server) host(name string) string   { return filepath.Join(s.dirs.Data, name) }
func (s *Server) inside(name string) string { return filepath.Join(s.dirs.InsideData, name) }

// Init makes the data directory, once and as a whole: what a killed Init left is
// removed and made again. It also writes the server's configuration, so it is to
// be called before every start.
func (s *Server) Init(ctx context.Context) error {
	for _, dir := range []string{s.dirs.Data, s.dirs.Run} {
		if err := s.ownDir(dir); err != nil {
			return err
		}
	}
	for _, name := range []string{newDir, oldDir} {
		if _, err := os.Lstat(s.host(name)); err == nil {
			s.logf("database: removing %s, which an interrupted run left", s.host(name))
			if err := os.RemoveAll(s.host(name)); err != nil {
				return fmt.Errorf("removing what an interrupted run left: %w", err)
			}
		}
	}
	half, _ := filepath.Glob(filepath.Join(s.dirs.Secrets, ".database-*"))
	for _, file := range half { // of an interrupted write
		os.Remove(file)
	}
	if err := os.RemoveAll(s.host(tmpDir)); err != nil {
		return fmt.Errorf("emptying the database's temporary directory: %w", err)
	}
	for _, name := range []string{noneDir, tmpDir} {
		if err := s.ownDir(s.host(name)); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(s.host(liveDir)); errors.Is(err, os.ErrNotExist) {
		if err := s.create(ctx); err != nil {
			return fmt.Errorf("initialising the %s data directory in %s: %w", s.plan.Database.Engine, s.host(liveDir), err)
		}
	} else if err != nil {
		return fmt.Errorf("looking at the database's data directory: %w", err)
	}
	if err := s.checkMajor(); err != nil {
		return err
	}
	return s.eng.configure()
}

func (s *Server) create(ctx context.Context) error {
	start := time.Now()
	if err := s.ownDir(s.host(newDir)); err != nil {
		return err
	}
	if err := s.eng.initialise(ctx, s.inside(newDir)); err != nil {
		return err
	}
	if err := durable.SyncTree(s.host(newDir)); err != nil {
		return err
	}
	if err := os.Rename(s.host(newDir), s.host(liveDir)); err != nil {
		return err
	}
	s.logf("database: %s %s initialised in %s", s.plan.Database.Engine, s.eng.major(), time.Since(start).Round(time.Millisecond))
	return durable.SyncTree(s.dirs.Data)
}

func (s *Server) checkMajor() error {
	dir := s.host(liveDir)
	got, err := s.eng.dataMajor(dir)
	if err != nil {
		return fmt.Errorf("reading the version of the database in %s: %w; if it is damaged, move the directory away and start from a dump (database.snapshot)", dir, err)
	}
	if want := s.eng.major(); got != want {
		return fmt.Errorf("opening the database in %s: it was made by %s %s, and this machine runs %s; install version %s, dump with it, move the directory away, and start from the dump (database.snapshot)",
			dir, s.plan.Database.Engine, got, want, got)
	}
	return nil
}

// ownDir makes a directory that belongs to the server alone.
func (s *Server) ownDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making a directory of the database: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("closing a directory of the database to others: %w", err)
	}
	if s.dirs.UID == os.Geteuid() {
		return nil
	}
	if err := os.Chown(dir, s.dirs.UID, s.dirs.GID); err != nil {
		return fmt.Errorf("giving %s to the database's user: %w", dir, err)
	}
	return nil
}

// Command is the server's command line, to be run in the foreground inside the
// walls that Spec describes. It holds no secret.
func (s *Server) Command() (args, env []string) {
	return s.eng.command(), []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"}
}

// Spec fills in what the server needs of its sandbox: its two directories, the
// system's programs, and sockets. Name, Net, UID and Limits are the caller's. The
// server may fork but not execute, so that no SQL can start a program; for what
// goes through the Runner the caller adds Calls.Spawn.
func (s *Server) Spec(spec *sandbox.Spec) {
	spec.Args, spec.Env = s.Command()
	spec.Mounts = append(spec.Mounts,
		sandbox.Mount{Source: s.dirs.Data, Target: s.dirs.InsideData, Write: true},
		sandbox.Mount{Source: s.dirs.Run, Target: s.dirs.InsideRun, Write: true})
	for _, dir := range []string{"/usr", "/etc/ld.so.cache"} {
		if !slices.ContainsFunc(spec.Mounts, func(m sandbox.Mount) bool { return m.Target == dir }) {
			if _, err := os.Stat(dir); err == nil {
				spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: dir, Target: dir, Exec: true})
			}
		}
	}
	if spec.Texts == nil {
		spec.Texts = map[string]string{}
	}
	spec.Texts["/etc/passwd"] = superuser + ":x:1000:1000::/nonexistent:/usr/sbin/nologin\n"
	spec.Texts["/etc/group"] = superuser + ":x:1000:\n"
	if spec.Links == nil {
		spec.Links = map[string]string{}
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if to, err := os.Readlink("/" + name); err == nil {
			spec.Links["/"+name] = to
		}
	}
	spec.Proc = true
	spec.Calls.TCP, spec.Calls.Unix, spec.Calls.Fork, spec.Calls.Meta = true, true, true, true
}

// Ready waits until the server answers on its socket. The caller ends ctx when
// the server's process ends.
func (s *Server) Ready(ctx context.Context) error {
	var last error
	for {
		if s.listening() {
			if _, last = s.eng.sql(ctx, "", "SELECT 1;"); last == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			if last == nil {
				last = errors.New("its socket did not appear")
			}
			return fmt.Errorf("waiting for the database: %w (%w); the server's log says why", last, context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *Server) listening() bool {
	dir, err := os.Open(s.dirs.Run)
	if err != nil {
		return false
	}
	defer dir.Close()
	c, err := net.Dial("unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), s.socketName()))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func (s *Server) socketName() string {
	if s.plan.Database.Engine == plan.Postgres {
		return fmt.Sprintf(".s.PGSQL.%d", s.plan.Database.Port)
	}
	return "mariadb.sock"
}

// Delete removes the database for good. The server must have been dumped with
// Dump and be stopped; dump is that file, which is looked at once more.
func (s *Server) Delete(dump string) error {
	if err := s.Verify(dump); err != nil {
		return fmt.Errorf("deleting the database: its dump is not complete, nothing was deleted: %w", err)
	}
	if err := os.Rename(s.host(liveDir), s.host(oldDir)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("deleting the database: %w", err)
	}
	if err := os.RemoveAll(s.host(oldDir)); err != nil {
		return fmt.Errorf("deleting the database: %w; the next run goes on with it", err)
	}
	for _, name := range []string{snapshotMark, tmpDir, noneDir} {
		if err := os.RemoveAll(s.host(name)); err != nil {
			return fmt.Errorf("deleting the database: %w", err)
		}
	}
	for _, t := range s.plan.Tiers {
		if err := os.Remove(s.secretFile(t.Name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("deleting the database's credentials: %w", err)
		}
	}
	s.logf("database: deleted; its dump is %s", dump)
	return nil
}
