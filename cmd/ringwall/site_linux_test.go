package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ringwall/ringwall/local/localtest"
)

// TestSiteScripts runs scripts against a site that runs: the program itself, not
// this test's, in the script's directory and on free doors. $VISITOR is its
// visitor's door.
func TestSiteScripts(t *testing.T) {
	program := localtest.Build(t, "cmd/ringwall", "")
	t.Cleanup(localtest.Clean)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/site",
		Setup: func(env *testscript.Env) error {
			site := localtest.New(t, program, "board-dev", "", nil)
			bin := env.WorkDir + "/bin"
			env.Vars = append(env.Vars, site.Env...)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			env.Setenv("VISITOR", site.Visitor)
			env.Defer(func() { // what a script that failed left running
				c := exec.Command(program, "down")
				c.Dir, c.Env = env.WorkDir, env.Vars
				_ = c.Run()
			})
			return errors.Join(os.Mkdir(bin, 0o755), os.Symlink(program, bin+"/ringwall"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "get": get, "asks": asks, "asked": asked},
	})
}

// visitor keeps no connection: each request is judged by the rules of its time.
var visitor = &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

// get asks the visitor's door and compares the status; $ID becomes the id of the
// request: get 403 /?q=x [header: value]... [body]
func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: get status address [header: value]... [body]")
	}
	method, body := http.MethodGet, ""
	header := http.Header{"User-Agent": {"Mozilla/5.0"}, "Accept": {"*/*"}}
	for _, a := range args[2:] {
		if name, value, ok := strings.Cut(a, ": "); ok {
			header.Set(name, value)
		} else {
			method, body = http.MethodPost, a
		}
	}
	r, err := http.NewRequest(method, ts.Getenv("VISITOR")+args[1], strings.NewReader(body))
	ts.Check(err)
	r.Header = header
	resp, err := visitor.Do(r)
	ts.Check(err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	ts.Check(err)
	ts.Setenv("ID", resp.Header.Get("X-Request-Id"))
	if got := strconv.Itoa(resp.StatusCode); got != args[0] {
		ts.Fatalf("got %s, want %s", got, args[0])
	}
}

// A load asks until it is told to stop.
type load struct {
	stop chan struct{}
	done chan error
	n    int
}

var loads sync.Map // *testscript.TestScript → *load

// asks begins to ask the visitor's door for an address, which is to answer with
// 200 each time: asks /
func asks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: asks address")
	}
	l := &load{stop: make(chan struct{}), done: make(chan error, 1)}
	loads.Store(ts, l)
	address := ts.Getenv("VISITOR") + args[0]
	go func() {
		for {
			select {
			case <-l.stop:
				l.done <- nil
				return
			default:
			}
			resp, err := visitor.Get(address)
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					err = fmt.Errorf("got %s, want 200", resp.Status)
				}
			}
			if err != nil {
				l.done <- fmt.Errorf("request %d: %w", l.n, err)
				return
			}
			l.n++
		}
	}()
}

// asked ends what asks began.
func asked(ts *testscript.TestScript, neg bool, args []string) {
	v, ok := loads.LoadAndDelete(ts)
	if !ok || neg || len(args) > 0 {
		ts.Fatalf("usage: asked, after asks")
	}
	l := v.(*load)
	close(l.stop)
	ts.Check(<-l.done)
	ts.Logf("%d requests", l.n)
	if l.n == 0 {
		ts.Fatalf("nobody asked")
	}
}
