//go:build linux

// Package localtest runs whole sites for tests: the real program, built once, in a
// directory of its own, on doors that are free. It is imported by tests only.
package localtest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var builds sync.Map // output → *sync.Once with error

// Build compiles a package of this module without cgo, once for a test run, and
// returns the program's path. tags may be empty. With RINGWALL_TEST_RACE set the
// program itself has the race detector, and Start fails the test for what it finds.
func Build(t testing.TB, pkg, tags string) string {
	t.Helper()
	return build(t, pkg, tags)
}

func build(t testing.TB, pkg, tags string, flags ...string) string {
	t.Helper()
	dir := filepath.Join(os.TempDir(), "ringwall-test-"+strconv.Itoa(os.Getpid()))
	out := filepath.Join(dir, strings.ReplaceAll(strings.Trim(pkg, "./"), "/", "-")+"-"+tags)
	if len(flags) > 0 {
		out += "-changed"
	}
	type build struct {
		once sync.Once
		err  error
	}
	b, _ := builds.LoadOrStore(out, &build{})
	b.(*build).once.Do(func() {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.(*build).err = err
			return
		}
		args := append([]string{"build", "-tags", strings.TrimPrefix(tags+",smallsetup", ","), "-o", out}, flags...)
		env := "CGO_ENABLED=0"
		if os.Getenv("RINGWALL_TEST_RACE") != "" && strings.Contains(pkg, "cmd/ringwall") {
			args, env = append(args, "-race"), "CGO_ENABLED=1"
		}
		if err := setup(); err != nil {
			b.(*build).err = err
			return
		}
		c := exec.Command("go", append(args, "github.com/ringwall/ringwall/"+strings.Trim(pkg, "./"))...)
		c.Env = append(os.Environ(), env)
		if text, err := c.CombinedOutput(); err != nil {
			b.(*build).err = fmt.Errorf("building %s: %w\n%s", pkg, err, text)
		}
	})
	if err := b.(*build).err; err != nil {
		t.Fatal(err)
	}
	return out
}

// setup builds the program that sandboxes' processes run first, where the build
// looks for it.
var setup = sync.OnceValue(func() error {
	const pkg = "github.com/ringwall/ringwall/internal/sandbox/setup"
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", pkg).Output()
	if err != nil {
		return fmt.Errorf("finding %s: %w", pkg, err)
	}
	out := filepath.Join(strings.TrimSpace(string(dir)), "setup")
	half := out + "." + strconv.Itoa(os.Getpid()) // other test programs build it too
	c := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", half, pkg)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, text)
	}
	return os.Rename(half, out)
})

// Clean removes what Build made; call it at the end of TestMain.
func Clean() { os.RemoveAll(filepath.Join(os.TempDir(), "ringwall-test-"+strconv.Itoa(os.Getpid()))) }

// A Site is one site of a test. Its fields may be changed before Up.
type Site struct {
	t      testing.TB
	Bin    string // the program
	Dir    string // where its configuration lies
	Name   string // <app>-<env>
	User   string // empty: who runs the test; else this user, when the test runs as root
	Env    []string
	Prefix []string // what to run in the program's place, with its arguments; empty: Bin

	Visitor, Office string // the doors' addresses: https://127.0.0.1:40001
}

// New makes a site from a configuration and the files beside it, by path. Its
// doors are chosen by environment variables, so that the configuration need not
// name them.
func New(t testing.TB, bin, name, yaml string, files map[string]string) *Site {
	t.Helper()
	dir, err := os.MkdirTemp("", "ringwall-site-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Site{t: t, Bin: bin, Dir: dir, Name: name}
	visitor, office := free(t, "127.0.0.1"), free(t, "127.0.0.2")
	s.Visitor, s.Office = "https://"+strings.Replace(visitor, "127.0.0.1", "localhost", 1), "https://"+office
	s.Env = []string{"RINGWALL_NETWORK_DOORS_VISITOR=" + visitor, "RINGWALL_NETWORK_DOORS_OFFICE=" + office,
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8", "NO_COLOR=1"}
	if yaml != "" {
		files[`ringwall.yaml`] = yaml
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// free is a loopback address with a port that nobody uses.
func free(t testing.TB, ip string) string {
	t.Helper()
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A Result is what a command did.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Command is a command of the program in the site's directory, not started.
func (s *Site) Command(args ...string) *exec.Cmd {
	s.t.Helper()
	if len(s.Prefix) > 0 {
		args = append(slices.Clone(s.Prefix[1:]), args...)
	} else {
		s.Prefix = []string{s.Bin}
	}
	c := exec.Command(s.Prefix[0], args...)
	c.Dir, c.Env = s.Dir, s.Env
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if s.User != "" && os.Getuid() == 0 {
		u, err := user.Lookup(s.User)
		if err != nil {
			s.t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		err = filepath.WalkDir(s.Dir, func(name string, d os.DirEntry, err error) error {
			if err == nil && !strings.Contains(name, "/.ringwall/") {
				err = os.Lchown(name, uid, gid)
			}
			return err
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return c
}

// Run runs a command of the program to its end, for at most two minutes.
func (s *Site) Run(args ...string) Result {
	s.t.Helper()
	c := s.Command(args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	c.WaitDelay = time.Second
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	timer := time.AfterFunc(2*time.Minute, func() { c.Process.Kill() })
	defer timer.Stop()
	err := c.Wait()
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) && !errors.Is(err, exec.ErrWaitDelay) {
		s.t.Fatal(err)
	}
	return Result{out.String(), errs.String(), c.ProcessState.ExitCode()}
}

// OK runs a command that must succeed, and returns what it printed.
func (s *Site) OK(args ...string) string {
	s.t.Helper()
	r := s.Run(args...)
	if r.Code != 0 {
		s.t.Fatalf("ringwall %s: got exit code %d, want 0\n%s%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr, s.Logs())
	}
	return r.Stdout
}

// A Running is a supervisor in the foreground.
type Running struct {
	Cmd  *exec.Cmd
	Out  *Buffer // what it printed
	done chan struct{}
	err  error
}

// Start starts `up` in the foreground and does not wait for the site.
func (s *Site) Start(args ...string) *Running {
	s.t.Helper()
	r := &Running{Cmd: s.Command(append([]string{"up"}, args...)...), Out: &Buffer{}, done: make(chan struct{})}
	r.Cmd.Stdout, r.Cmd.Stderr = r.Out, r.Out
	r.Cmd.WaitDelay = 2 * time.Second
	if err := StartForever(r.Cmd); err != nil {
		s.t.Fatal(err)
	}
	go func() { r.err = r.Cmd.Wait(); close(r.done) }()
	s.t.Cleanup(func() {
		r.Cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-r.done:
		case <-time.After(40 * time.Second):
			s.t.Errorf("the supervisor did not end in 40 s\n%s", r.Out)
			r.Cmd.Process.Kill()
			<-r.done
		}
		texts := []string{r.Out.String()}
		names, _ := filepath.Glob(filepath.Join(s.State(), "logs", "*.log"))
		for _, n := range names {
			b, _ := os.ReadFile(n)
			texts = append(texts, string(b))
		}
		for _, text := range texts {
			if i := strings.Index(text, "DATA RACE"); i >= 0 {
				s.t.Errorf("the program has a race:\n%.6000s", text[i:])
			}
		}
	})
	return r
}

// Up starts the site and waits until it answers.
func (s *Site) Up(args ...string) *Running {
	s.t.Helper()
	r := s.Start(args...)
	r.WaitFor(s.t, "site           ready", 2*time.Minute)
	if s.t.Failed() {
		s.t.Log(s.Logs())
	}
	return r
}

// Ended waits for the supervisor's end and returns its exit code.
func (r *Running) Ended(t testing.TB, limit time.Duration) int {
	t.Helper()
	select {
	case <-r.done:
		return r.Cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		t.Fatalf("the supervisor did not end in %v\n%s", limit, r.Out)
		return -1
	}
}

// WaitFor waits until the supervisor has printed a text.
func (r *Running) WaitFor(t testing.TB, text string, limit time.Duration) {
	t.Helper()
	end := time.After(limit)
	for !strings.Contains(r.Out.String(), text) {
		select {
		case <-r.done:
			if strings.Contains(r.Out.String(), text) {
				return
			}
			t.Fatalf("waiting for %q: the supervisor ended with %v\n%s", text, r.err, r.Out)
		case <-end:
			t.Fatalf("waiting for %q: not printed in %v\n%s", text, limit, r.Out)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// State is the site's state directory.
func (s *Site) State() string { return filepath.Join(s.Dir, ".ringwall", s.Name) }

// Roots are the site's own authority.
func (s *Site) Roots() *x509.CertPool {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.State(), "ca", "ca.pem"))
	if err != nil {
		s.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(b)
	return pool
}

// Client is a browser: it keeps cookies, checks the certificate and follows no
// redirect.
func (s *Site) Client() *http.Client {
	s.t.Helper()
	jar, _ := cookiejar.New(nil)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.Roots()}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: tr, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Get asks for an address and returns the status and the body.
func (s *Site) Get(c *http.Client, url string) (int, string, error) {
	resp, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(b), err
}

// Logs are the ends of the site's logs, for a failure's message.
func (s *Site) Logs() string {
	var b strings.Builder
	names, _ := filepath.Glob(filepath.Join(s.State(), "logs", "*.log"))
	for _, n := range names {
		text, _ := os.ReadFile(n)
		if len(text) > 2000 {
			text = text[len(text)-2000:]
		}
		if len(text) > 0 {
			fmt.Fprintf(&b, "--- %s\n%s\n", filepath.Base(n), text)
		}
	}
	return b.String()
}

// Eventually waits until a condition holds.
func Eventually(t testing.TB, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > limit {
			t.Fatalf("waited %v in vain until %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}

// A Buffer is what a process prints while others read it.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) { b.mu.Lock(); defer b.mu.Unlock(); return b.b.Write(p) }

// String is everything printed so far.
func (b *Buffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

var forks = func() chan<- func() {
	c := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range c {
			f()
		}
	}()
	return c
}()

// StartForever starts a command from a thread that does not end, because its
// death signal follows that thread.
func StartForever(c *exec.Cmd) error {
	done := make(chan error)
	forks <- func() { done <- c.Start() }
	return <-done
}
