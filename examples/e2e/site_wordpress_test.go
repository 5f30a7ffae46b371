//go:build linux

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/local/localtest"
)

// WordPress from the system's packages behind all walls, from an empty directory
// to a post that a visitor reads and comments on.
func TestSiteWordPress(t *testing.T) {
	s := &site{Site: localtest.New(t, localtest.Build(t, "cmd/ringwall", ""), "wp-dev", read(t, "../wordpress/ringwall.yaml"), map[string]string{})}
	s.User = "nobody" // as people run it: without root
	r := s.start(t)
	if !strings.Contains(r.Out.String(), "installed by its own installer") {
		t.Errorf("up does not say that WordPress was installed:\n%s", r.Out)
	}
	ctx := t.Context()
	login := s.login(t)
	admin, visitor := &WordPress{Client: s.office}, &WordPress{Client: s.visitor}
	if err := admin.Login(ctx, Credentials{login.Username, "wrong"}); err == nil {
		t.Error("logged in with a wrong password")
	}
	must(t, admin.Login(ctx, login))
	s.wantSession(t)
	media, err := admin.Upload(ctx, "rings.png", PNG(7))
	must(t, err)
	_, err = visitor.See(ctx, media.Path(), "\x89PNG") // at once
	must(t, err)
	const title = "Lanterns on the wall"
	post, err := admin.Publish(ctx, title, Blocks("Eleven lanterns", media))
	must(t, err)
	author := "/author/" + login.Username + "/"
	visit := func(t *testing.T) {
		t.Helper()
		within(t, 10*time.Second, func(ctx context.Context) error { return visitor.Visit(ctx, post, title, media, author) })
	}

	t.Run("plugin", func(t *testing.T) {
		for _, active := range []bool{true, false} {
			must(t, admin.SetPlugin(ctx, "akismet/akismet", active))
			visit(t)
		}
	})

	t.Run("comment", func(t *testing.T) {
		const text = "A comment through eleven walls"
		must(t, visitor.Comment(ctx, post.ID, "Ada", text))
		_, err := admin.See(ctx, "/wp-admin/edit-comments.php", text)
		must(t, err)
		if n, err := admin.Approve(ctx, post.ID); err != nil || n != 1 {
			t.Fatalf("approving: got %d comments, %v, want 1", n, err)
		}
		within(t, 15*time.Second, func(ctx context.Context) error { _, err := visitor.See(ctx, post.Path(), text); return err })
		a, err := visitor.Form(ctx, "/wp-comments-post.php", map[string][]string{"comment": {"<script>alert(1)</script>"}, "author": {"Eve"},
			"email": {"eve@example.org"}, "comment_post_ID": {fmt.Sprint(post.ID)}})
		must(t, err)
		must(t, a.Want(http.StatusForbidden))
	})

	t.Run("spellings", func(t *testing.T) {
		for _, p := range []string{"/wp-login.php", "//wp-login.php", "/./wp-login.php", "/x/../wp-login.php", "/%77p-login.php", "/wp%2dlogin.php",
			"/wp-login.php/", "/wp-login.php/x", "/wp-login.php/x.css", "/index.php/../wp-login.php", "/wp-login%2ephp", "/wp-login.php;x",
			"/wp-admin", "/wp-admin/", "/wp-admin/index.php", "/wp-admin//post-new.php", "/wp-admin/./install.php", "/wp-admin%2fpost.php", "/wp-includes/../wp-admin/",
			"/wp-admin/css/../index.php", "/wp-admin/admin-ajax.php/../index.php", "/xmlrpc.php", "/xmlrpc.php/x", "/wp-cron.php?doing_wp_cron", "/wp-config.php", "/wp-signup.php",
			"/wp-activate.php", "/wp-mail.php", "/wp-json/wp/v2/users", "/wp-json/wp/v2/users/1", "/wp-json//wp/v2/users", "/?rest_route=/wp/v2/users", "/?rest_route=%2Fwp%2Fv2%2Fusers",
			"/?rest_route=//wp/v2/users", "/index.php/wp-json/wp/v2/users", "/?rest_route[]=/wp/v2/users", "/wp-content/uploads/x.php", "/wp-content/uploads/x.php/y"} {
			if a, err := s.visitor.Get(ctx, p); err != nil {
				t.Errorf("%s: %v", p, err)
			} else if a.Status != http.StatusForbidden && !(strings.Contains(p, "[]") && !strings.Contains(a.Body, `"slug"`)) {
				t.Errorf("%s: got %d, want 403: %.100q", p, a.Status, a.Body)
			}
			if a, err := s.visitor.Form(ctx, p, nil); err != nil {
				t.Errorf("POST %s: %v", p, err)
			} else if a.Status < 400 {
				t.Errorf("POST %s: got %d, want a refusal", p, a.Status)
			}
		}
		c := *s.visitor
		h := *c.HTTP
		h.Jar, c.HTTP = s.office.HTTP.Jar, &h
		refused(t, &c, http.MethodGet, "/wp-admin/")
		a, err := c.Do(ctx, http.MethodPost, "/wp-json/wp/v2/posts", http.Header{"X-Wp-Nonce": {admin.nonce}, "Content-Type": {"application/json"}}, strings.NewReader(`{"title":"x","status":"publish"}`))
		must(t, err)
		if a.Status < 400 {
			t.Errorf("fleet took an administrator's cookie: got status %d", a.Status)
		}
	})

	t.Run("cron", func(t *testing.T) { // the clock of the site asks for it too, once a minute
		_, err := admin.See(ctx, "/wp-cron.php?doing_wp_cron")
		must(t, err)
	})

	t.Run("code", func(t *testing.T) {
		if out := s.status(t); !strings.Contains(out, "as accepted") {
			t.Errorf("status after the installation: got\n%s", out)
		}
		printed := len(r.Out.String())
		// A person with a shell on admin changes a file; fleet's opcode caches never look again.
		s.wantExec(t, "admin/1", `mkdir -p wp-content/mu-plugins && cat > wp-content/mu-plugins/ours.php <<'END' && echo done
<?php add_action("wp_footer", function () { echo "<i>changed on admin</i>"; });
add_action("ringwall_tick", function () { file_put_contents(WP_CONTENT_DIR . "/uploads/tick.txt", "the clock struck"); });
END`, "done")
		rolled(t, r, printed)
		within(t, 15*time.Second, func(ctx context.Context) error { _, err := visitor.See(ctx, "/", "changed on admin"); return err })
		if out := s.status(t); !strings.Contains(out, "mu-plugins/ours.php") {
			t.Errorf("status does not name the changed file: got\n%s", out)
		}
		printed = len(r.Out.String())
		s.wantExec(t, "admin/1", "sed -i s/changed/again/ wp-content/mu-plugins/ours.php && echo done", "done")
		rolled(t, r, printed)
		within(t, 15*time.Second, func(ctx context.Context) error { _, err := visitor.See(ctx, "/", "again on admin"); return err })
		if out := s.OK("accept"); !strings.Contains(out, "accepted") {
			t.Errorf("accept: got %q", out)
		}
		if out := s.status(t); !strings.Contains(out, "as accepted") {
			t.Errorf("status after accept: got\n%s", out)
		}
		visit(t)
	})

	s.wantExec(t, "admin/1", `php -r 'require "wp-load.php"; wp_schedule_single_event(time() - 1, "ringwall_tick");' && echo done`, "done")
	defer func() { // the site's own clock asks for what is due, once a minute
		within(t, 90*time.Second, func(ctx context.Context) error {
			_, err := visitor.See(ctx, "/wp-content/uploads/tick.txt", "the clock struck")
			return err
		})
	}()

	t.Run("fleet cannot write", func(t *testing.T) {
		for _, line := range []string{"touch wp-content/uploads/x", "echo > wp-config.php", "mv index.php x", "chmod 777 ."} {
			if r := s.Run("exec", "fleet/1", "--", "sh", "-c", line); r.Code == 0 {
				t.Errorf("%s in fleet: got exit code 0, want a refusal", line)
			}
		}
	})

	t.Run("the app complains of nothing but what the preset refuses", func(t *testing.T) {
		for _, n := range []string{"admin-1.log", "fleet-1.log", "fleet-2.log", "fleet-3.log"} {
			b, _ := os.ReadFile(filepath.Join(s.State(), "logs", n))
			for l := range strings.Lines(string(b)) {
				if strings.Contains(l, "database error") && !strings.Contains(l, "command denied to user") || strings.Contains(l, "Fatal error") {
					t.Errorf("%s: %.300s", n, l)
				}
			}
		}
	})

	t.Run("chromium", func(t *testing.T) {
		b, err := OpenBrowser(ctx, 1280)
		if err != nil {
			t.Fatalf("NOT RUN: %v", err)
		}
		defer b.Close()
		path, err := b.PublishWordPress(s.Office, login, "From a real browser", Artefact("wordpress-behind-walls.png"))
		must(t, err)
		within(t, 15*time.Second, func(ctx context.Context) error {
			_, err := visitor.See(ctx, path, "From a real browser", "Written in a real browser.")
			return err
		})
	})
}
