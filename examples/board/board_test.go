package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/examples/e2e"
)

var operator = e2e.Credentials{Username: "operator", Password: "correct horse battery"}

// A tier is a running board with a TLS proxy before it: its cookies are for
// HTTPS only.
type tier struct {
	addr  string
	url   string
	roots *x509.CertPool
	stop  func()
}

func (s *tier) client(t *testing.T) *e2e.Board {
	c := e2e.New(s.url, s.roots, nil)
	t.Cleanup(c.Close)
	return &e2e.Board{Client: c}
}

func startTier(t *testing.T, p *postgres, name, dir string, c e2e.Credentials) *tier {
	t.Helper()
	admin, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"RINGWALL_TIER": name, "PORT": "0", "DATABASE_SECRET": p.secret(t, name), "ADMIN_SECRET": writeFile(t, string(admin))}
	ctx, cancel := context.WithCancel(context.Background())
	addr, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{dir}, func(k string) string { return env[k] }, func(a net.Addr) { addr <- a })
	}()
	s := &tier{}
	select {
	case a := <-addr:
		s.addr = a.String()
	case err := <-ended:
		t.Fatalf("the board did not start: %v", err)
	}
	front := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.addr}))
	s.url, s.roots = front.URL, front.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the board ended with %v", err)
			}
		case <-time.After(15 * time.Second):
			t.Error("the board did not end")
		}
		front.CloseClientConnections()
		front.Close()
	}
	t.Cleanup(s.stop)
	return s
}

func (s *tier) waitReady(t *testing.T) {
	t.Helper()
	c := s.client(t)
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		a, err := c.Get(t.Context(), "/healthz")
		if err == nil && a.Status == http.StatusOK {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("the board is not ready: %v %+v", err, a)
		}
	}
}

// startBoard starts the database, admin and fleet.
func startBoard(t *testing.T) (p *postgres, admin, fleet *tier, dir string) {
	t.Helper()
	p = startPostgres(t)
	p.users(t)
	dir = t.TempDir()
	admin = startTier(t, p, "admin", dir, operator)
	fleet = startTier(t, p, "fleet", dir, e2e.Credentials{})
	admin.waitReady(t)
	if a, err := fleet.client(t).Get(t.Context(), "/healthz"); err != nil || a.Status != http.StatusServiceUnavailable {
		t.Errorf("fleet without rights on the tables: got %v %+v, want 503", err, a)
	}
	p.grant(t)
	fleet.waitReady(t)
	return p, admin, fleet, dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestBoard(t *testing.T) {
	p, admin, fleet, dir := startBoard(t)
	ctx := t.Context()
	a, v := admin.client(t), fleet.client(t)

	must(t, a.Login(ctx, operator))
	image, err := a.Upload(ctx, e2e.PNG(1))
	must(t, err)
	_, err = v.See(ctx, image, "\x89PNG") // at once, by fleet
	must(t, err)

	next, done, err := v.Follow(ctx, "/live")
	must(t, err)
	defer done()
	stream, err := v.HTTP.Get(fleet.url + "/events")
	must(t, err)
	defer stream.Body.Close()

	title := "Seventeen lanterns"
	id, err := a.Publish(ctx, 0, title, `<h2>Look</h2><p onclick="x">An <em>image</em>: <img src="`+image+`" alt="rings"></p>`)
	must(t, err)
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if e, err := next(wait); err != nil || e["type"] != "post" || e["title"] != title {
		t.Errorf("live update: got %v, %v, want the post", e, err)
	}
	if got := readEvent(t, stream.Body); !strings.Contains(got, title) {
		t.Errorf("streamed event: got %q, want the post", got)
	}
	must(t, v.Visit(ctx, id, title, image))
	_, err = v.See(ctx, fmt.Sprintf("/posts/%d", id), "<em>image</em>", "&lt;its&gt; walls")
	must(t, err)
	_, err = v.CommentJSON(ctx, id, "Grace", "by JSON")
	must(t, err)

	t.Run("caching", func(t *testing.T) {
		fresh := fleet.client(t)
		got, err := fresh.Get(ctx, "/")
		must(t, err)
		if cc := got.Header.Get("Cache-Control"); cc != "public, max-age=5" {
			t.Errorf("for a visitor: got %q", cc)
		}
		fresh.Header.Set("Cookie", "x=y")
		got, err = fresh.Get(ctx, "/")
		must(t, err)
		if cc := got.Header.Get("Cache-Control"); cc != "private, no-store" {
			t.Errorf("with a cookie: got %q", cc)
		}
	})

	t.Run("drafts", func(t *testing.T) {
		form := url.Values{"csrf": {csrf(t, a)}, "title": {"Secret plan"}, "body": {"x"}}
		got, err := a.Form(ctx, "/admin/posts", form)
		must(t, err)
		must(t, got.Want(http.StatusSeeOther))
		got, err = v.Get(ctx, "/?fresh")
		must(t, err)
		if strings.Contains(got.Body, "Secret plan") {
			t.Error("a visitor sees a draft")
		}
		_, err = a.See(ctx, "/", "Secret plan", "Administration")
		must(t, err)
	})

	t.Run("no login on fleet", func(t *testing.T) {
		err := v.Login(ctx, operator) // its database user cannot read the administrators
		if err == nil {
			t.Error("logged in on fleet")
		}
	})

	t.Run("fleet writes comments only", func(t *testing.T) {
		st, err := openStore(p.secret(t, "fleet"))
		must(t, err)
		defer st.close()
		if _, err := st.savePost(ctx, post{Title: "x"}); err == nil {
			t.Error("fleet wrote a post")
		}
		if err := st.deleteComment(ctx, 1); err == nil {
			t.Error("fleet deleted a comment")
		}
		if _, err := st.hash(ctx, operator.Username); err == nil {
			t.Error("fleet read a password hash")
		}
		if _, err := st.session(ctx, "x"); err == nil || errors.Is(err, errNotFound) {
			t.Errorf("fleet may read sessions: %v", err)
		}
	})

	t.Run("edit and delete", func(t *testing.T) {
		_, err := a.Publish(ctx, id, "Eighteen lanterns", "changed")
		must(t, err)
		_, err = v.See(ctx, fmt.Sprintf("/posts/%d?new", id), "Eighteen lanterns")
		must(t, err)
		must(t, a.Delete(ctx, id))
		got, err := v.Get(ctx, fmt.Sprintf("/posts/%d?gone", id))
		must(t, err)
		must(t, got.Want(http.StatusNotFound))
	})

	t.Run("no half files", func(t *testing.T) {
		left, _ := filepath.Glob(dir + "/uploads/*.part")
		if len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})

	t.Run("a new password ends sessions", func(t *testing.T) {
		admin.stop()
		changed := e2e.Credentials{Username: operator.Username, Password: "another long password"}
		again := startTier(t, p, "admin", dir, changed)
		again.waitReady(t)
		c := again.client(t)
		if err := c.Login(ctx, operator); err == nil {
			t.Error("the old password still works")
		}
		must(t, c.Login(ctx, changed))
	})

	fleet.stop()                 // open streams do not hold it up
	for err = nil; err == nil; { // events that came before are still read
		_, err = next(wait)
	}
	if wait.Err() != nil {
		t.Error("a stream outlived the board")
	}
}

func csrf(t *testing.T, b *e2e.Board) string {
	t.Helper()
	a, err := b.See(t.Context(), "/admin/posts/new")
	must(t, err)
	_, rest, _ := strings.Cut(a.Body, `name="csrf" value="`)
	token, _, _ := strings.Cut(rest, `"`)
	return token
}

// readEvent reads lines until the first data after the greeting.
func readEvent(t *testing.T, r io.Reader) string {
	t.Helper()
	got := make(chan string, 1)
	go func() {
		for sc := bufio.NewScanner(r); sc.Scan(); {
			if s := sc.Text(); strings.HasPrefix(s, "data:") && !strings.Contains(s, "hello") {
				got <- s
				return
			}
		}
		got <- ""
	}()
	select {
	case s := <-got:
		return s
	case <-time.After(10 * time.Second):
		return "nothing in 10 s"
	}
}

func TestBadInput(t *testing.T) {
	_, admin, fleet, _ := startBoard(t)
	ctx := t.Context()
	a, v := admin.client(t), fleet.client(t)
	must(t, a.Login(ctx, operator))
	token := csrf(t, a)
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	js := http.Header{"Content-Type": {"application/json"}}
	for _, c := range []struct {
		name         string
		who          *e2e.Board
		method, path string
		header       http.Header
		body         string
		want         int
	}{
		{"no such page", v, "GET", "/nope", nil, "", 404},
		{"no such post", v, "GET", "/posts/99999", nil, "", 404},
		{"no number", v, "GET", "/posts/abc", nil, "", 404},
		{"huge number", v, "GET", "/posts/99999999999999999999", nil, "", 404},
		{"upload outside", v, "GET", "/uploads/..%2f..%2fetc%2fpasswd.png", nil, "", 404},
		{"upload that is none", v, "GET", "/uploads/x.html", nil, "", 404},
		{"no name", v, "POST", "/posts/1/comments", form, "author=&body=x", 400},
		{"no text", v, "POST", "/posts/1/comments", form, "author=x&body=+", 400},
		{"bad encoding", v, "POST", "/posts/1/comments", form, "author=%zz&body=x", 400},
		{"zero byte", v, "POST", "/posts/1/comments", form, "author=x&body=a%00b", 400},
		{"not UTF-8", v, "POST", "/posts/1/comments", form, "author=x&body=a%ffb", 400},
		{"too large", v, "POST", "/posts/1/comments", form, "author=x&body=" + strings.Repeat("a", 70<<10), 413},
		{"not JSON", v, "POST", "/posts/1/comments", js, "{", 400},
		{"unknown key", v, "POST", "/posts/1/comments", js, `{"author":"x","body":"y","id":1}`, 400},
		{"comment on nothing", v, "POST", "/posts/99999/comments", form, "author=x&body=y", 404},
		{"search with zero byte", v, "GET", "/search?q=%00", nil, "", 400},
		{"search with quotes", v, "GET", "/search?q='%20OR%201=1--", nil, "", 200},
		{"another site's form", v, "POST", "/posts/1/comments", http.Header{"Content-Type": form["Content-Type"], "Origin": {"https://evil.example"}}, "author=x&body=y", 403},
		{"visitor on admin", admin.client(t), "GET", "/admin", nil, "", 303},
		{"visitor posts", admin.client(t), "POST", "/admin/posts", form, "title=x&body=y", 401},
		{"visitor's admin socket", admin.client(t), "GET", "/admin/live", http.Header{"Upgrade": {"websocket"}, "Connection": {"upgrade"}}, "", 401},
		{"wrong token", a, "POST", "/admin/posts", form, "title=x&body=y&csrf=wrong", 403},
		{"no token", a, "POST", "/admin/posts", form, "title=x&body=y", 403},
		{"no title", a, "POST", "/admin/posts", form, "title=&body=y&csrf=" + token, 400},
		{"delete nothing", a, "POST", "/admin/posts/99999/delete", form, "csrf=" + token, 404},
		{"wrong password", a, "POST", "/admin/login", form, "username=operator&password=x", 403},
		{"wrong name", a, "POST", "/admin/login", form, "username=%00&password=x", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.who.Do(t.Context(), c.method, c.path, c.header, strings.NewReader(c.body))
			must(t, err)
			must(t, got.Want(c.want))
		})
	}
	t.Run("not an image", func(t *testing.T) {
		got, err := a.File(ctx, "/admin/uploads", url.Values{"csrf": {token}}, "x.png", "image/png", []byte("<?php evil();"), nil)
		must(t, err)
		must(t, got.Want(http.StatusUnsupportedMediaType))
	})
}

func TestTooManyLogins(t *testing.T) {
	var f failures
	now := time.Unix(0, 0)
	for range 20 {
		if !f.allowed(now) {
			t.Fatal("refused before the limit")
		}
		f.add(now)
	}
	if f.allowed(now.Add(59 * time.Second)) {
		t.Error("allowed after 20 failures in a minute")
	}
	if !f.allowed(now.Add(61 * time.Second)) {
		t.Error("refused a minute later")
	}
}

// A killed database loses no comment that was acknowledged, and the board needs
// no restart.
func TestDatabaseKilled(t *testing.T) {
	p, admin, fleet, _ := startBoard(t)
	ctx := t.Context()
	a, v := admin.client(t), fleet.client(t)
	must(t, a.Login(ctx, operator))

	writing := make(chan struct{})
	acknowledged := make(chan int, 1)
	go func() {
		n := 0
		defer func() { acknowledged <- n }()
		for i := 0; ; i++ {
			select {
			case <-writing:
				return
			default:
			}
			if _, err := v.CommentJSON(ctx, 1, "writer", fmt.Sprintf("comment %d", i)); err == nil {
				n++
			}
		}
	}()
	for range 2 {
		time.Sleep(300 * time.Millisecond)
		p.kill(t)
		time.Sleep(200 * time.Millisecond)
		p.start(t)
	}
	_, err := v.See(ctx, "/?after", "Welcome to the board") // is tried again inside for three seconds
	must(t, err)
	must(t, a.Login(ctx, operator))
	close(writing)
	n := <-acknowledged
	st, err := openStore(p.secret(t, "admin"))
	must(t, err)
	defer st.close()
	var have int
	must(t, st.pool.QueryRow(ctx, "SELECT count(*) FROM board_comments").Scan(&have))
	if have < n || n == 0 {
		t.Errorf("got %d comments, want the %d that were acknowledged, and more than none", have, n)
	}
	t.Logf("%d acknowledged, %d stored", n, have)
}

func TestSecretsStayHidden(t *testing.T) {
	for _, content := range []string{`{"password": "hunter2hunter2"`, `"hunter2hunter2"`, `{"engine":"mysql","password":"hunter2hunter2"}`, `{"password":"hunter2hunter2"}`} {
		file := writeFile(t, content)
		_, err := openStore(file)
		_, err2 := readAdmin(file)
		for _, err := range []error{err, err2} {
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: got %v, want an error without the password", content, err)
			}
		}
	}
}

func TestRunRefuses(t *testing.T) {
	secret := writeFile(t, `{"username":"u","host":"127.0.0.1","dbname":"d","port":1}`)
	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
		want string
	}{
		{"no directory", nil, nil, "want one"},
		{"no secret", []string{t.TempDir()}, nil, "DATABASE_SECRET is empty"},
		{"secret missing", []string{t.TempDir()}, map[string]string{"DATABASE_SECRET": "/nonexistent"}, "reading the database's credentials"},
		{"no uploads on fleet", []string{t.TempDir()}, map[string]string{"DATABASE_SECRET": secret, "RINGWALL_TIER": "fleet"}, "opening the directory for uploads"},
		{"bad port", []string{t.TempDir()}, map[string]string{"DATABASE_SECRET": secret, "PORT": "no"}, "listening on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := run(t.Context(), c.args, func(k string) string { return c.env[k] }, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
