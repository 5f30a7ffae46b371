package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

var engines = []plan.Engine{plan.Postgres, plan.MySQL}

// eachEngine runs a test against both servers.
func eachEngine(t *testing.T, f func(*testing.T, plan.Engine)) {
	for _, e := range engines {
		t.Run(string(e), func(t *testing.T) {
			if !perimeter.CanTakeDown { // walls are down for a whole process
				t.Parallel()
			}
			f(t, e)
		})
	}
}

// direct runs programs without walls, as a user that is not root: PostgreSQL
// refuses to be.
type direct struct{ uid, gid int }

func (d direct) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if d.uid != os.Geteuid() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(d.uid), Gid: uint32(d.gid)}
	}
	return cmd
}

func (d direct) Run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	cmd := d.command(ctx, args)
	cmd.Stdin, cmd.Stdout = stdin, stdout
	var said tail
	cmd.Stderr = &said
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, said.String())
	}
	return nil
}

// A site is a server that runs without walls.
type site struct {
	*Server
	t    *testing.T
	proc *exec.Cmd
	log  *os.File
	done chan error
	said []string

	fresh bool // initialises its own data directory
}

// initialised holds a data directory of each engine, made once for all tests.
var initialised struct {
	sync.Mutex
	dir map[plan.Engine]string
}

// borrow copies an initialised data directory into place.
func (x *site) borrow() {
	x.t.Helper()
	if _, err := os.Lstat(x.host(liveDir)); err == nil || x.fresh || perimeter.CanTakeDown {
		return
	}
	initialised.Lock()
	defer initialised.Unlock()
	e := x.plan.Database.Engine
	from := initialised.dir[e]
	if from == "" {
		x.must(x.Init(x.t.Context()))
		base, err := os.MkdirTemp("", "ringwall-db-made-")
		x.must(err)
		from = filepath.Join(base, liveDir)
		if out, err := exec.Command("cp", "-a", x.host(liveDir), from).CombinedOutput(); err != nil {
			x.t.Fatalf("%v: %s", err, out)
		}
		if initialised.dir == nil {
			initialised.dir = map[plan.Engine]string{}
		}
		initialised.dir[e] = from
		return
	}
	x.must(x.ownDir(x.dirs.Data))
	if out, err := exec.Command("cp", "-a", from, x.host(liveDir)).CombinedOutput(); err != nil {
		x.t.Fatalf("%v: %s", err, out)
	}
}

func testPlan(e plan.Engine, port uint16) *plan.Plan {
	p := &plan.Plan{App: "wp", Env: "test", Tiers: []plan.Tier{{Name: plan.Admin, Min: 1, Max: 1, Write: true}, {Name: plan.Fleet, Min: 1, Max: 2}}}
	p.VPC.CIDR, p.VPC.Database = netip.MustParsePrefix("127.0.0.0/8"), netip.MustParseAddr("127.0.0.1")
	p.Database = plan.Database{Config: plan.DBInstance, Engine: e, Name: "wp_test", Port: port}
	return p
}

func wordpress(p *plan.Plan) {
	p.Database.Grants = map[string][]plan.Grant{plan.Fleet: {
		{Tables: "*", Rights: []string{"select"}},
		{Tables: "wp_comment*", Rights: []string{"select", "insert"}},
		{Tables: "wp_private_*"},
	}}
	p.Database.Mask = []plan.Mask{{Tier: plan.Fleet, Table: "wp_users", View: "wp_users_fleet",
		Columns: map[string]string{"user_pass": "'*'", "user_email": "''"}, Where: "id < 100"}}
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// newSite makes a server that is not started yet.
func newSite(t *testing.T, e plan.Engine, edit func(*plan.Plan)) *site {
	t.Helper()
	p := testPlan(e, freePort(t))
	if edit != nil {
		edit(p)
	}
	base, err := os.MkdirTemp("", "ringwall-db-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	if err := os.Chmod(base, 0o711); err != nil {
		t.Fatal(err)
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		uid, gid = 65534, 65534
	}
	who, err := osuser.LookupId(strconv.Itoa(uid))
	if err != nil {
		t.Fatal("NOT RUN: ", err)
	}
	d := Dirs{Data: filepath.Join(base, "data"), Run: filepath.Join(base, "run"), Secrets: filepath.Join(base, "secrets"), UID: uid, GID: gid, User: who.Username}
	d.InsideData, d.InsideRun = d.Data, d.Run
	s, err := New(p, d, direct{uid, gid})
	if err != nil {
		t.Fatal("NOT RUN: ", err)
	}
	x := &site{Server: s, t: t}
	s.Log = func(format string, a ...any) { x.said = append(x.said, fmt.Sprintf(format, a...)) }
	if x.log, err = os.Create(filepath.Join(base, "log")); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *site) start() {
	x.t.Helper()
	x.borrow()
	if err := x.Init(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
	args, env := x.Command()
	x.proc = direct{x.dirs.UID, x.dirs.GID}.command(context.Background(), args)
	x.proc.Env, x.proc.Stderr, x.proc.Stdout = env, x.log, x.log
	x.proc.SysProcAttr.Setpgid = true
	if err := x.proc.Start(); err != nil {
		x.t.Fatal("NOT RUN: ", err)
	}
	proc := x.proc
	x.done = make(chan error, 1)
	go func() { x.done <- proc.Wait() }()
	x.t.Cleanup(func() { x.kill() })
	ctx, cancel := context.WithTimeout(x.t.Context(), 30*time.Second)
	defer cancel()
	if err := x.Ready(ctx); err != nil {
		b, _ := os.ReadFile(x.log.Name())
		x.t.Fatalf("%v\n%s", err, b)
	}
}

// kill ends the server and its children at once, as kill -9 does.
func (x *site) kill() {
	if x.proc == nil {
		return
	}
	syscall.Kill(-x.proc.Process.Pid, syscall.SIGKILL)
	<-x.done
	x.proc = nil
	// PostgreSQL's children have process groups of their own, and end by
	// themselves a moment later. In a sandbox the kernel ends them.
	for start := time.Now(); time.Since(start) < 5*time.Second; time.Sleep(5 * time.Millisecond) {
		dirs, _ := filepath.Glob("/proc/[0-9]*/cwd")
		if !slices.ContainsFunc(dirs, func(d string) bool { to, _ := os.Readlink(d); return to == x.host(liveDir) }) {
			return
		}
	}
}

func (x *site) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// as runs SQL as a tier.
func (x *site) as(tier, sql string) (string, error) {
	x.t.Helper()
	secret, err := x.Secret(tier)
	x.must(err)
	ctx, cancel := context.WithTimeout(x.t.Context(), 10*time.Second)
	defer cancel()
	return Query(ctx, secret, sql)
}

func (x *site) ok(tier, sql string) string {
	x.t.Helper()
	out, err := x.as(tier, sql)
	if err != nil {
		x.t.Fatalf("%s: %s: %v", tier, sql, err)
	}
	return out
}

func (x *site) denied(tier, sql string) {
	x.t.Helper()
	if out, err := x.as(tier, sql); !errors.Is(err, ErrDenied) {
		x.t.Errorf("%s: %s: got %q, %v; want it refused", tier, sql, out, err)
	}
}

const wpTables = `
CREATE TABLE wp_posts (id INT PRIMARY KEY, title VARCHAR(100));
CREATE TABLE wp_comments (id SERIAL PRIMARY KEY, body VARCHAR(100));
CREATE TABLE wp_commentmeta (id INT PRIMARY KEY, v VARCHAR(100));
CREATE TABLE wp_options (id INT PRIMARY KEY, v VARCHAR(100));
CREATE TABLE wp_private_keys (id INT PRIMARY KEY, v VARCHAR(100));
CREATE TABLE wp_users (id INT PRIMARY KEY, user_login VARCHAR(60), user_pass VARCHAR(100), user_email VARCHAR(100));
INSERT INTO wp_posts VALUES (1, 'hello');
INSERT INTO wp_options VALUES (1, 'siteurl');
INSERT INTO wp_private_keys VALUES (1, 'key');
INSERT INTO wp_users VALUES (1, 'root', 'HASH', 'a@b.example'), (100, 'hidden', 'HASH', 'c@d.example');
`

// wpSite is a running server with an app's tables, granted.
func wpSite(t *testing.T, e plan.Engine) *site {
	t.Helper()
	x := newSite(t, e, wordpress)
	x.start()
	x.must(x.Grant(t.Context()))
	x.ok(plan.Admin, wpTables)
	x.must(x.Grant(t.Context()))
	return x
}

func (x *site) saidAny(text string) bool { return strings.Contains(strings.Join(x.said, "\n"), text) }
