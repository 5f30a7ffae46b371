//go:build linux

package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/internal/supervise"
	"github.com/ringwall/ringwall/perimeter/database"
	"github.com/ringwall/ringwall/perimeter/host"
	"github.com/ringwall/ringwall/plan"
)

// A databasePart is the site's private database server, or an existing one whose
// address and credentials the owner gave.
type databasePart struct {
	hub      *hub
	server   *database.Server // nil: an existing server
	part     *supervise.Part
	existing plan.Secret
}

// hasDatabase says whether the site's network has a database in it: a private
// server, or the place where an existing one is reached.
func (h *hub) hasDatabase() bool {
	return h.Plan.Database.Reached()
}

// unwantedDatabase says whether there is one that the plan asks to delete. It is
// started once more, to be dumped.
func (h *hub) unwantedDatabase() bool {
	_, err := os.Stat(h.State.Database())
	return h.Plan.Database.Config == plan.DBNone && err == nil
}

// A toolRunner runs a database program to its end in a throw-away sandbox that
// has no network.
type toolRunner struct{ hub *hub }

func (r toolRunner) Run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	h := r.hub
	s := sandbox.Spec{Name: "database-tool", Skip: h.Skip, Cgroup: h.cgroup(), UID: h.uid(plan.NodeDatabase)}
	host.Database(h.Plan, &s)
	h.database.server.Spec(&s)
	s.Calls.Spawn = true // initialisation scripts start the server
	s.Args = args
	return h.runPiped(ctx, s, stdin, stdout)
}

// runPiped runs a sandboxed program with streams that need not be files.
func (h *hub) runPiped(ctx context.Context, s sandbox.Spec, stdin io.Reader, stdout io.Writer) error {
	var wg sync.WaitGroup
	var theirs []*os.File
	feed := func(src io.Reader) error {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		s.Stdin = r
		theirs = append(theirs, r)
		go func() { io.Copy(w, src); w.Close() }()
		return nil
	}
	drain := func(dst io.Writer, to **os.File) error {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		*to = w
		theirs = append(theirs, w)
		wg.Go(func() { io.Copy(dst, r); r.Close() })
		return nil
	}
	var stderr tail
	err := drain(&stderr, &s.Stderr)
	if stdin != nil {
		err = errors.Join(err, feed(stdin))
	}
	if stdout != nil {
		err = errors.Join(err, drain(stdout, &s.Stdout))
	}
	if err != nil {
		return err
	}
	err = runBox(ctx, s)
	for _, f := range theirs {
		f.Close()
	}
	wg.Wait()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(s.Args[0]), err, h.redact(stderr.String()))
	}
	return nil
}

// A tail keeps the end of what is written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if len(t.b) > 4096 {
		t.b = t.b[len(t.b)-4096:]
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }

// startDatabase brings the site's database up, as the plan says: none, a private
// server, or an existing one. grant gives the tiers their users and their rights.
func (h *hub) startDatabase(ctx context.Context) (grant func() error, err error) {
	d := h.Plan.Database
	grant = func() error { return nil }
	if d.Config == plan.DBNone {
		return grant, h.deleteDatabase(ctx)
	}
	if !h.hasDatabase() {
		return grant, nil
	}
	began := time.Now()
	if d.SecretFile != "" {
		s, err := database.Existing(d.SecretFile)
		if err != nil {
			return nil, err
		}
		if err := h.relayDatabase(s); err != nil {
			return nil, err
		}
		h.setDatabase(&databasePart{hub: h, existing: s})
		h.step(Step{Part: "database", State: "up", Text: "the existing server " + s.Host, Took: time.Since(began)})
		return grant, nil
	}
	if err := h.openDatabase(ctx); err != nil {
		return nil, err
	}
	if err := h.database.server.Snapshot(ctx); err != nil {
		return nil, err
	}
	return func() error {
		if err := h.database.grant(ctx); err != nil {
			return err
		}
		h.step(Step{Part: "database", State: "up", Text: string(d.Engine), Took: time.Since(began)})
		return nil
	}, nil
}

func (h *hub) openDatabase(ctx context.Context) error {
	id := int(h.uid(plan.NodeDatabase))
	dirs := database.Dirs{Data: h.State.Database(), Run: filepath.Join(h.State.Run(), "database"), Secrets: h.State.Secrets(), UID: id, GID: id}
	db := &databasePart{hub: h}
	var err error
	if h.lacks(sandbox.Mounts) {
		dirs.InsideData, dirs.InsideRun, dirs.GID = dirs.Data, dirs.Run, os.Getgid()
		if dirs.User, err = userName(); err != nil {
			return err
		}
	}
	if db.server, err = database.New(h.Plan, dirs, toolRunner{h}); err != nil {
		return err
	}
	db.server.Log = func(format string, a ...any) {
		h.step(Step{Part: "database", State: "note", Text: fmt.Sprintf(format, a...)})
	}
	term := syscall.SIGTERM
	if h.Plan.Database.Engine == plan.Postgres {
		term = syscall.SIGINT // fast shutdown: ends sessions, writes a checkpoint
	}
	first := ctx // a site that is told to stop waits for no data directory to be made
	db.part = &supervise.Part{Name: "database", Note: h.note, Grace: 30 * time.Second, Term: term, Again: termAgain,
		Start: func() (supervise.Process, error) {
			ctx := first
			first = context.Background()
			return db.start(ctx)
		}}
	for _, t := range h.Plan.Tiers { // one after the other: the first to ask makes them
		if _, err := db.server.Secret(t.Name); err != nil {
			return err
		}
	}
	h.setDatabase(db)
	if h.hasDatabase() {
		h.accounts.open(nil)
	}
	if err := db.part.Run(); err != nil {
		return err
	}
	ready, cancel := context.WithTimeout(ctx, databaseLimit)
	defer cancel()
	ready, giveUp := context.WithCancelCause(ready)
	defer giveUp(nil)
	go db.giveUp(ready, giveUp)
	if err := db.server.Ready(ready); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w; if its files are damaged, move %s away and start from a dump (database.snapshot); all that it said: ringwall logs database%s",
			err, h.State.Database(), h.lastWords("database.log"))
	}
	return nil
}

// databaseLimit is how long a database may take until it answers: a crash's log
// of changes is replayed in it.
const databaseLimit = time.Minute

// giveUp ends the wait for a server that ended several times: it will not come.
func (db *databasePart) giveUp(ctx context.Context, end context.CancelCauseFunc) {
	for ctx.Err() == nil {
		if st := db.part.Status(); st.Restarts >= 3 {
			end(fmt.Errorf("it ended %d times, lastly with: %s", st.Restarts, st.LastExit))
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (h *hub) setDatabase(db *databasePart) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.database = db
}

func (db *databasePart) start(ctx context.Context) (supervise.Process, error) {
	h := db.hub
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := db.server.Init(ctx); err != nil {
		return nil, err
	}
	out, err := h.output("database.log")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s := sandbox.Spec{Name: "database", Net: h.net.Host(plan.NodeDatabase).File(), UID: h.uid(plan.NodeDatabase),
		Cgroup: h.cgroup(), Skip: h.Skip, Stdout: out, Stderr: out}
	host.Database(h.Plan, &s)
	db.server.Spec(&s)
	return startBox(s)
}

// deleteDatabase does what dbConfig none asks for: it dumps the database that an
// earlier run made, and deletes it, after approval.
func (h *hub) deleteDatabase(ctx context.Context) error {
	if !h.unwantedDatabase() {
		return nil
	}
	if h.Plan.Database.Protect {
		return fmt.Errorf("deleting the database: it is protected; set database.protect to false (preventDeletion=no) first, and then run up again")
	}
	if !h.Approve {
		return fmt.Errorf("%w: the configuration says that the site has no database, but there is one in %s; it would be dumped and then deleted; approve it with: ringwall up --yes", ErrApproval, h.State.Database())
	}
	if err := h.openDatabase(ctx); err != nil {
		return err
	}
	dump := h.State.path("database-" + time.Now().UTC().Format("20060102T150405Z") + ".sql")
	if err := h.database.server.Dump(ctx, dump); err != nil {
		return fmt.Errorf("dumping the database before it is deleted: %w; nothing was deleted", err)
	}
	h.database.part.Stop()
	if err := h.database.server.Delete(dump); err != nil {
		return err
	}
	h.setDatabase(nil)
	return os.RemoveAll(h.State.Database()) // what is left are empty directories
}

func (db *databasePart) secret(tier string) (plan.Secret, error) {
	if db.server == nil {
		s := db.existing
		s.Host, s.Port = db.hub.Plan.VPC.Database.String(), db.hub.Plan.Database.Port
		return s, nil
	}
	return db.server.Secret(tier)
}

func (db *databasePart) grant(ctx context.Context) error {
	if db.server == nil {
		return nil
	}
	return db.server.Grant(ctx)
}

// rotate gives a tier a new user; the returned function locks the old one.
func (db *databasePart) rotate(ctx context.Context, tier string) (finish func(context.Context) error, err error) {
	if db.server == nil {
		return nil, errors.New("rotating the database's passwords: the server is not Ringwall's; change the password there and in database.secretFile")
	}
	r, err := db.server.Rotate(ctx, tier)
	if err != nil {
		return nil, err
	}
	return r.Finish, nil
}

// watch grants again when the app made or dropped a table. While the site starts,
// fleet waits for this.
func (db *databasePart) watch(ctx context.Context) {
	if db.server == nil {
		return
	}
	db.server.Watch(ctx, 200*time.Millisecond, func(err error) {
		db.hub.step(Step{Part: "database", State: "note", Text: "granting rights on new tables: " + err.Error()})
	})
}

// renew ends the server in order, so that it starts anew with the configuration
// that it would have now, and grants again: some walls are in its command line.
// Test builds only.
func (db *databasePart) renew(ctx context.Context) error {
	db.part.Restart()
	if err := db.server.Ready(ctx); err != nil {
		return err
	}
	return db.grant(ctx)
}

func (db *databasePart) stop() {
	if db.part != nil {
		db.part.Stop()
	}
}
