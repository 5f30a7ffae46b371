//go:build linux

package local_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/examples/e2e"
	"github.com/ringwall/ringwall/internal/supervise"
	"github.com/ringwall/ringwall/local"
	"github.com/ringwall/ringwall/local/localtest"
)

// What the tests of faults share: a steady load, the processes of a site, and
// what it must not leave behind.

// faulty is a site without a database whose app misbehaves as fault says.
func faulty(t *testing.T, fault, more string) *localtest.Site {
	t.Helper()
	memory := "128MiB"
	if os.Getenv("RINGWALL_TEST_RACE") != "" {
		memory = "1GiB" // the race detector's own need
	}
	conf := fmt.Sprintf(`app: faulty
command: ["{files}/faulty"]
files: {source: site}
routes: {docroot: "-", admin: [/admin/*]}
balancer: {healthPath: /healthz, startTimeout: 5s, drainTimeout: 2s}
tiers:
  fleet: {env: {FAULT: %q}, limits: {memory: %s, processes: 64}}
%s
default: dev
environments: {dev: {}}
`, fault, memory, more)
	prog, err := os.ReadFile(localtest.Build(t, "local/testdata/faulty", ""))
	if err != nil {
		t.Fatal(err)
	}
	return localtest.New(t, localtest.Build(t, "cmd/ringwall", ""), "faulty-dev", conf, map[string]string{"site/faulty": string(prog)})
}

// A load is a steady stream of requests: visitors and administrators, HTTP/1.1
// and HTTP/2, connections kept, and visitors' comments.
type load struct {
	t      *testing.T
	s      *localtest.Site
	post   int64
	cancel context.CancelFunc
	wg     sync.WaitGroup
	asked  atomic.Int64

	mu     sync.Mutex
	failed []failure
	since  time.Time            // the last fault
	first  map[string]time.Time // by kind, when the first good answer came to what was sent after it
	acked  []string             // comments that were acknowledged
}

type failure struct {
	at   time.Time // when it was sent
	what string
}

// newLoad publishes a post on the board and begins the load.
func newLoad(t *testing.T, s *localtest.Site) *load {
	t.Helper()
	cred, err := e2e.ReadCredentials(filepath.Join(s.State(), "secrets", "admin.json"))
	if err != nil {
		t.Fatal(err)
	}
	b := &e2e.Board{Client: e2e.New(s.Office, s.Roots(), nil)}
	defer b.Close()
	if err := b.Login(t.Context(), cred); err != nil {
		t.Fatal(err)
	}
	post, err := b.Publish(t.Context(), 0, "Under load", "<p>steady</p>")
	if err != nil {
		t.Fatal(err)
	}
	l := &load{t: t, s: s, post: post, first: map[string]time.Time{}}
	l.begin()
	t.Cleanup(l.end)
	return l
}

func (l *load) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	roots := l.s.Roots()
	for _, proto := range []string{"h1", "h2"} {
		tr := func() *http.Client {
			return &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{ForceAttemptHTTP2: proto == "h2",
				TLSClientConfig: &tls.Config{RootCAs: roots}}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		}
		l.every(ctx, 60*time.Millisecond, tr(), "visitor "+proto, func() *http.Request {
			r, _ := http.NewRequest("GET", fmt.Sprintf("%s/posts/%d", l.s.Visitor, l.post), nil)
			r.Header.Set("Cookie", "load=1") // what has a cookie is not stored
			return r
		})
		l.every(ctx, 100*time.Millisecond, tr(), "admin "+proto, func() *http.Request {
			r, _ := http.NewRequest("GET", l.s.Office+"/admin/login", nil)
			return r
		})
	}
	c := &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	n := 0
	l.every(ctx, 80*time.Millisecond, c, "comment", func() *http.Request {
		n++
		r, _ := http.NewRequest("POST", fmt.Sprintf("%s/posts/%d/comments", l.s.Visitor, l.post),
			strings.NewReader(fmt.Sprintf(`{"author": "load", "body": "comment number %d of this run."}`, n)))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json")
		r.Header.Set("X-Text", fmt.Sprintf("comment number %d of this run.", n)) // for the book-keeping below
		return r
	})
}

func (l *load) every(ctx context.Context, pause time.Duration, c *http.Client, kind string, next func() *http.Request) {
	l.wg.Go(func() {
		defer c.CloseIdleConnections()
		for ctx.Err() == nil {
			r := next()
			began := time.Now()
			want := 200
			text := r.Header.Get("X-Text")
			r.Header.Del("X-Text")
			if text != "" {
				want = 201
			}
			resp, err := c.Do(r)
			got := ""
			if err == nil {
				b, rerr := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err = rerr; err == nil && resp.StatusCode != want {
					got = fmt.Sprintf("got status %d, want %d: %.150q", resp.StatusCode, want, b)
				}
			}
			if err != nil {
				got = err.Error()
			}
			l.asked.Add(1)
			l.mu.Lock()
			if got != "" {
				l.failed = append(l.failed, failure{began, kind + ": " + got})
			} else {
				if l.first[kind].IsZero() && began.After(l.since) {
					l.first[kind] = time.Now()
				}
				if text != "" {
					l.acked = append(l.acked, text)
				}
			}
			l.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	})
}

// end stops the load; it may be called twice.
func (l *load) end() { l.cancel(); l.wg.Wait() }

// failures returns what failed since the last call; comments are no idempotent
// requests and come second.
func (l *load) failures() (reads, comments []failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.failed {
		if strings.HasPrefix(f.what, "comment") {
			comments = append(comments, f)
		} else {
			reads = append(reads, f)
		}
	}
	l.failed = nil
	return reads, comments
}

// must fails the test when a request failed.
func (l *load) must(during string) {
	l.t.Helper()
	reads, comments := l.failures()
	for i, f := range slices.Concat(reads, comments) {
		if i == 5 {
			l.t.Errorf("… and %d more", len(reads)+len(comments)-i)
			break
		}
		l.t.Errorf("%s: %s", during, f.what)
	}
}

// fault ends a process and remembers when.
func (l *load) fault(pid int) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = kill(l.t, pid, syscall.SIGKILL)
	clear(l.first)
}

// healed waits until every kind of request that was sent after the fault was
// answered well, and returns when the last of them was, or the last that failed
// was sent.
func (l *load) healed(what string) time.Duration {
	l.t.Helper()
	kinds := []string{"visitor h1", "visitor h2", "admin h1", "admin h2", "comment"}
	localtest.Eventually(l.t, 15*time.Second, what+": all kinds of requests are answered again", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.first) == len(kinds)
	})
	time.Sleep(300 * time.Millisecond)
	reads, comments := l.failures()
	worst := time.Duration(0)
	for _, f := range slices.Concat(reads, comments) {
		worst = max(worst, f.at.Sub(l.since))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.first {
		worst = max(worst, at.Sub(l.since))
	}
	l.t.Logf("%-22s healed after %4d ms (%d reads and %d comments failed)", what, worst.Milliseconds(), len(reads), len(comments))
	return worst
}

// present checks that every acknowledged comment is there.
func (l *load) present() {
	l.t.Helper()
	c := l.s.Client()
	var status int
	var text string
	var err error
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(500 * time.Millisecond) {
		status, text, err = l.s.Get(c, fmt.Sprintf("%s/posts/%d?again=%d", l.s.Visitor, l.post, time.Now().UnixNano()))
		if status != http.StatusTooManyRequests || time.Now().After(end) { // the load may have used the address's rate up
			break
		}
	}
	if err != nil || status != 200 {
		l.t.Fatalf("reading the comments: got %d %v %.200q", status, err, text)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.acked) == 0 {
		l.t.Fatal("no comment was acknowledged, so nothing is proved")
	}
	if len(l.acked) > 490 {
		l.t.Fatalf("got %d comments, and the board shows 500: shorten the test", len(l.acked))
	}
	lost := 0
	for _, a := range l.acked {
		if !strings.Contains(text, html.EscapeString(a)) {
			if lost++; lost < 5 {
				l.t.Errorf("acknowledged and lost: %s", a)
			}
		}
	}
	l.t.Logf("%d acknowledged comments, %d lost; %d requests", len(l.acked), lost, l.asked.Load())
}

// status is the site's own account of itself.
func status(t *testing.T, s *localtest.Site) (st local.Status) {
	t.Helper()
	r := s.Run("status", "-o", "json") // 1 while a part is not well
	if err := json.Unmarshal([]byte(r.Stdout), &st); err != nil || r.Code > 1 {
		t.Fatalf("status: %v, exit code %d\n%s\n%s", err, r.Code, r.Stdout, r.Stderr)
	}
	return st
}

// A proc is a process of the machine.
type proc struct {
	pid, ppid int
	inner     []int  // its ids in the namespaces below, outermost first
	start     string // with pid, its identity
	comm      string
}

func procs() map[int]proc {
	out := map[int]proc{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		b, err := os.ReadFile(d + "/status")
		st, err2 := os.ReadFile(d + "/stat")
		if err != nil || err2 != nil {
			continue
		}
		var p proc
		for line := range strings.Lines(string(b)) {
			k, v, _ := strings.Cut(line, ":")
			f := strings.Fields(v)
			switch k {
			case "Name":
				p.comm = strings.TrimSpace(v)
			case "PPid":
				p.ppid, _ = strconv.Atoi(f[0])
			case "NSpid":
				p.pid, _ = strconv.Atoi(f[0])
				for _, x := range f[1:] {
					n, _ := strconv.Atoi(x)
					p.inner = append(p.inner, n)
				}
			}
		}
		after := string(st)[strings.LastIndexByte(string(st), ')')+1:]
		if f := strings.Fields(after); len(f) > 19 {
			if f[0] == "Z" {
				continue
			}
			p.start = f[19]
		}
		out[p.pid] = p
	}
	return out
}

// family are a process and everything below it.
func family(root int) (out []proc) {
	all := procs()
	var add func(pid int)
	add = func(pid int) {
		p, ok := all[pid]
		if !ok {
			return
		}
		out = append(out, p)
		for _, c := range all {
			if c.ppid == pid {
				add(c.pid)
			}
		}
	}
	add(root)
	return out
}

// hubOf is the hub's process id on the machine.
func hubOf(t *testing.T, r *localtest.Running) int {
	t.Helper()
	for _, p := range family(r.Cmd.Process.Pid) {
		if p.ppid == r.Cmd.Process.Pid && len(p.inner) > 0 && p.inner[0] == 1 {
			return p.pid
		}
	}
	t.Fatal("the supervisor has no hub")
	return 0
}

// hostPID is the machine's id of a process that the hub knows as pid.
func hostPID(t *testing.T, r *localtest.Running, pid int) int {
	t.Helper()
	for _, p := range family(r.Cmd.Process.Pid) {
		if pid > 1 && len(p.inner) > 0 && p.inner[0] == pid {
			return p.pid
		}
	}
	t.Fatalf("the hub's process %d is not on this machine", pid)
	return 0
}

// A footprint is everything of a running site that the kernel must have let go of
// afterwards.
type footprint struct {
	procs  []proc
	spaces map[string]bool // namespaces that are not the test's own
	state  string
	groups map[string]bool // directories
}

var kinds = []string{"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"}

func footprintOf(r *localtest.Running, s *localtest.Site) footprint {
	return footprintFrom(r.Cmd.Process.Pid, s)
}

func footprintFrom(supervisor int, s *localtest.Site) footprint {
	f := footprint{procs: family(supervisor), spaces: map[string]bool{}, state: s.State(), groups: map[string]bool{}}
	own := map[string]bool{}
	for _, k := range kinds {
		own[link("/proc/self/ns/"+k)] = true
	}
	for _, p := range f.procs {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", p.pid))
		for line := range strings.Lines(string(b)) {
			_, path, _ := strings.Cut(strings.TrimSpace(line), ":/")
			if i := strings.Index(path, "ringwall/"+s.Name); i >= 0 {
				f.groups[filepath.Base(filepath.Dir(path))] = true
			}
		}
		for _, name := range held(p.pid) {
			if !own[name] {
				f.spaces[name] = true
			}
		}
	}
	return f
}

// held are the namespaces that a process is in or holds open.
func held(pid int) (out []string) {
	for _, k := range kinds {
		out = append(out, link(fmt.Sprintf("/proc/%d/ns/%s", pid, k)))
	}
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		if to := link(fd); strings.HasPrefix(to, "net:[") {
			out = append(out, to)
		}
	}
	return out
}

func link(name string) string { to, _ := os.Readlink(name); return to }

// gone waits until nothing of a site is left: within limit no process; a moment
// later no namespace, mount, control group or listener. A killed site's groups
// are removed by the next up, so they count only when groups is true.
func (f footprint) gone(t *testing.T, limit time.Duration, groups bool) {
	t.Helper()
	took := localtest.Eventually(t, limit, "no process of the site is left", func() bool { return len(f.alive()) == 0 })
	localtest.Eventually(t, 3*time.Second, "no process is in a namespace of the site", func() bool {
		for pid, p := range procs() {
			if p.ppid != 1 { // an orphan; the numbers are given anew to other sites' namespaces
				continue
			}
			for _, name := range held(pid) {
				if f.spaces[name] {
					return false
				}
			}
		}
		return true
	})
	if b, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(b), f.state) {
		t.Errorf("a mount of %s is left", f.state)
	}
	if b, _ := os.ReadFile("/proc/net/unix"); strings.Contains(string(b), f.state) {
		t.Errorf("a socket in %s is left", f.state)
	}
	if groups {
		for g := range f.groups {
			for _, depth := range []string{"*", "*/*", "*/*/*"} {
				if left, _ := filepath.Glob("/sys/fs/cgroup/" + depth + "/ringwall/" + g); len(left) > 0 {
					t.Errorf("control groups are left: %v", left)
				}
			}
		}
		if name := f.state + "/control.sock"; exists(name) {
			t.Errorf("%s is left", name)
		}
	}
	t.Logf("nothing left after %d ms: %d processes and %d namespaces are gone", took.Milliseconds(), len(f.procs), len(f.spaces))
}

func exists(name string) bool { _, err := os.Lstat(name); return err == nil }

func (f footprint) alive() (out []proc) {
	all := procs()
	for _, p := range f.procs {
		if q, ok := all[p.pid]; ok && q.start == p.start {
			out = append(out, q)
		}
	}
	return out
}

// full says whether the long form of a test is to run.
func full() bool { return !testing.Short() }

func kill(t *testing.T, pid int, sig syscall.Signal) time.Time {
	t.Helper()
	if pid < 2 {
		t.Fatalf("NOT RUN: there is no such process (%d) to kill", pid)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("NOT RUN: killing process %d: %v", pid, err)
	}
	return time.Now()
}

type (
	instanceStatus = local.InstanceStatus
	part           = supervise.Status
)

func cmdline(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.ReplaceAll(string(b), "\x00", " ")
}

// answers says whether a connection to the visitor's door is accepted.
func answers(s *localtest.Site) bool {
	c, err := net.DialTimeout("tcp", strings.Replace(strings.TrimPrefix(s.Visitor, "https://"), "localhost", "127.0.0.1", 1), time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil
}
