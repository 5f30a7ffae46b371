//go:build linux

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/local/localtest"
)

func boardFiles(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(localtest.Build(t, "examples/board", ""))
	must(t, err)
	return map[string]string{"site/board": string(b)}
}

// The board behind all walls: what an administrator publishes is a visitor's at
// once, and nothing that is an administrator's is a visitor's.
func TestSiteBoard(t *testing.T) {
	s, _ := up(t, "board-dev", "../board/ringwall.yaml", boardFiles(t))
	ctx := t.Context()
	admin, visitor := &Board{Client: s.office}, &Board{Client: s.visitor}

	if err := admin.Login(ctx, Credentials{"admin", "wrong"}); err == nil {
		t.Error("logged in with a wrong password")
	}
	must(t, admin.Login(ctx, s.login(t)))
	s.wantSession(t)

	next, closeLive, err := visitor.Follow(ctx, "/live")
	must(t, err)
	defer closeLive()
	nextAdmin, closeAdmin, err := admin.Follow(ctx, "/admin/live")
	must(t, err)
	defer closeAdmin()
	if _, _, err := visitor.Follow(ctx, "/admin/live"); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("a visitor's WebSocket to /admin/live: got %v, want 403", err)
	}

	upload, err := admin.Upload(ctx, PNG(7))
	must(t, err)
	if _, err := visitor.See(ctx, upload, "\x89PNG"); err != nil {
		t.Errorf("fleet does not serve an upload at once: %v", err)
	}
	const title = "Lanterns on the wall"
	body := `<p>Eleven <em>lanterns</em></p><img src="` + upload + `" alt="rings"><a href="https://example.org/?a=1&amp;b=2" onclick="x()">more</a>`
	id, err := admin.Publish(ctx, 0, title, body)
	must(t, err)
	a, err := visitor.See(ctx, fmt.Sprintf("/posts/%d", id), body)
	must(t, err)
	if a.Header.Get("Content-Security-Policy") == "" && a.Header.Get("X-Content-Type-Options") == "" {
		t.Error("the page has no security headers")
	}
	must(t, visitor.Visit(ctx, id, title, upload))
	for _, live := range []func(context.Context) (map[string]any, error){next, nextAdmin} {
		wait, cancel := context.WithTimeout(ctx, 10*time.Second)
		m, err := live(wait)
		cancel()
		if err != nil || m["type"] != "post" {
			t.Errorf("a live event: got %v, %v, want the post", m, err)
		}
	}

	t.Run("events", func(t *testing.T) {
		lines := s.stream(t, "/events")
		if _, err := visitor.CommentJSON(ctx, id, "Bob", "Seen through two hops"); err != nil {
			t.Fatal(err)
		}
		for {
			select {
			case l := <-lines:
				if strings.Contains(l, `"comment"`) {
					return
				}
			case <-time.After(10 * time.Second):
				t.Fatal("no event came in 10 s")
			}
		}
	})

	t.Run("attacks", func(t *testing.T) {
		for _, c := range []string{"<script>alert(1)</script>", "' UNION SELECT password FROM board_admins--"} {
			a, err := visitor.Form(ctx, fmt.Sprintf("/posts/%d/comments", id), map[string][]string{"author": {"Eve"}, "body": {c}})
			must(t, err)
			if err := a.Want(http.StatusForbidden); err != nil {
				t.Errorf("the comment %s: %v", c, err)
			}
		}
	})

	t.Run("spellings", func(t *testing.T) {
		for _, p := range []string{"/admin", "/admin/", "/admin/login", "//admin/login", "/./admin/login", "/x/../admin/login",
			"/%61dmin/login", "/admin%2flogin", "/admin/posts/new", "/admin;x=1/login", "/admin/./live", "/posts/..%2fadmin"} {
			refused(t, s.visitor, http.MethodGet, p)
			refused(t, s.visitor, http.MethodPost, p)
		}
		// An administrator's cookie does not open a visitor's door.
		c := *s.visitor
		h := *c.HTTP
		h.Jar, c.HTTP = s.office.HTTP.Jar, &h
		refused(t, &c, http.MethodGet, "/admin")
	})

	t.Run("uploads", func(t *testing.T) {
		s.wantExec(t, "admin/1", "cp /bin/true uploads/prog && chmod 755 uploads/prog && uploads/prog || echo refused", "refused")
		s.wantExec(t, "fleet/1", "uploads/prog || echo refused", "refused")
		must(t, os.WriteFile(s.State()+"/files/uploads/x.php", []byte("<?php echo str_repeat('ran', 3); ?>"), 0o644))
		a, err := s.visitor.Get(ctx, "/uploads/x.php")
		must(t, err)
		if strings.Contains(a.Body, "ranranran") {
			t.Errorf("an upload was executed: %q", a.Body)
		}
		must(t, os.Remove(s.State()+"/files/uploads/prog"))
		must(t, os.Remove(s.State()+"/files/uploads/x.php"))
	})

	t.Run("fleet cannot write", func(t *testing.T) {
		for _, line := range []string{"touch uploads/x", "rm board", "ln board x", "chmod 777 .", "mkdir x", "echo > uploads" + upload[len("/uploads"):]} {
			if r := s.Run("exec", "fleet/1", "--", "sh", "-c", line); r.Code == 0 {
				t.Errorf("%s in fleet: got exit code 0, want a refusal: %s%s", line, r.Stdout, r.Stderr)
			}
		}
		s.wantExec(t, "admin/1", "touch uploads/x && rm uploads/x && echo done", "done")
	})

	t.Run("database", func(t *testing.T) {
		for _, c := range []struct{ tier, sql, want string }{
			{"fleet", "SELECT 'rows', count(*) > 0 FROM board_posts", "rows|t"},
			{"fleet", "SELECT * FROM board_admins", "permission denied"},
			{"fleet", "UPDATE board_posts SET title = 'x'", "permission denied"},
			{"fleet", "DELETE FROM board_comments", "permission denied"},
			{"fleet", "CREATE TABLE x (y int)", "permission denied"},
			{"fleet", "COPY board_posts TO PROGRAM 'id'", "must be superuser"},
			{"fleet", "SELECT pg_read_file('/etc/passwd')", "permission denied"},
			{"admin", "UPDATE board_posts SET title = title", "UPDATE "},
			{"admin", "SELECT pg_read_file('/etc/passwd')", "permission denied"},
			{"admin", "CREATE ROLE x SUPERUSER", "must be superuser"},
		} {
			s.wantSQL(t, c.tier+"/1", c.sql, c.want)
		}
	})

	t.Run("cache", func(t *testing.T) {
		path := fmt.Sprintf("/posts/%d", id)
		fresh := s.person(t, s.Visitor)
		want := func(cache string) {
			t.Helper()
			_, err := fresh.See(ctx, path, title)
			must(t, err)
			within(t, 2*time.Second, func(context.Context) error {
				if e := s.access(t, path); e.Cache != cache || e.Tier == "admin" {
					return fmt.Errorf("GET %s: got %+v, want cache %q", path, e, cache)
				}
				return nil
			})
		}
		s.OK("purge")
		want("miss")
		want("hit")
		s.OK("purge")
		want("miss")
		_, err := s.office.See(ctx, path, title)
		must(t, err)
		within(t, 2*time.Second, func(context.Context) error {
			if e := s.access(t, path); e.Tier != "admin" || e.Cache == "hit" {
				return fmt.Errorf("an administrator's GET %s: got %+v, want tier admin, no cache", path, e)
			}
			return nil
		})
		_, err = admin.Publish(ctx, id, "A new title", "<p>changed</p>")
		must(t, err)
		within(t, 15*time.Second, func(ctx context.Context) error {
			_, err := fresh.See(ctx, path, "A new title")
			return err
		})
	})
	must(t, admin.Delete(ctx, id))
}

// stream reads the lines of an answer that does not end.
func (s *site) stream(t *testing.T, path string) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Visitor+path, nil)
	must(t, err)
	resp, err := (&http.Client{Transport: s.visitor.HTTP.Transport}).Do(req)
	must(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: got %d, want 200", path, resp.StatusCode)
	}
	lines := make(chan string, 64)
	go func() {
		in := bufio.NewScanner(resp.Body)
		for in.Scan() {
			lines <- in.Text()
		}
	}()
	return lines
}
