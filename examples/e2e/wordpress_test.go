package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/wordpress"
)

var operator = Credentials{Username: "operator", Password: "correct horse battery staple"}

// The least that the fleet's database user needs: the test below shows that it
// is enough. The preset gives no more but rows of wp_commentmeta, for plugins.
var fleetViews = []string{
	"CREATE SQL SECURITY DEFINER VIEW wp_users_public AS SELECT ID, user_login, '*' AS user_pass, user_nicename, '' AS user_email, user_url, user_registered, '' AS user_activation_key, user_status, display_name FROM wp_users",
	"CREATE SQL SECURITY DEFINER VIEW wp_usermeta_public AS SELECT umeta_id, user_id, meta_key, meta_value FROM wp_usermeta WHERE meta_key IN ('nickname', 'first_name', 'last_name', 'description')",
}

const fleetComments = "GRANT SELECT, INSERT ON wordpress.wp_comments TO fleet@'127.0.0.1';"

func fleetGrants(tables []string) string {
	var b strings.Builder
	for _, t := range tables {
		switch t {
		case "wp_users", "wp_usermeta":
		default:
			fmt.Fprintf(&b, "GRANT SELECT ON wordpress.%s TO fleet@'127.0.0.1';\n", t)
		}
	}
	return b.String()
}

// startWordPress serves the tree with PHP's own server.
func startWordPress(t *testing.T, m *mariadb, tree, tier string) (string, *WordPress) {
	t.Helper()
	dir := sharedDir(t)
	db, err := json.Marshal(map[string]any{"username": tier, "password": "p", "host": "127.0.0.1", "port": m.port, "dbname": "wordpress", "engine": "mysql"})
	if err != nil {
		t.Fatal(err)
	}
	const router = `<?php
$p = realpath($_SERVER['DOCUMENT_ROOT'] . parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));
if ($p && strpos($p, $_SERVER['DOCUMENT_ROOT']) === 0 && (is_file($p) || is_file("$p/index.php"))) return false;
$_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = '/index.php';
$_SERVER['SCRIPT_FILENAME'] = $_SERVER['DOCUMENT_ROOT'] . '/index.php';
require $_SERVER['SCRIPT_FILENAME'];
`
	for name, content := range map[string]string{"db.json": string(db), "wp.json": string(wordpress.NewSalts()), "router.php": router} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	own(t, dir)
	port := freePort(t)
	start(t, dir, []string{"RINGWALL_TIER=" + tier, "DATABASE_SECRET=" + dir + "/db.json", "WORDPRESS_SECRET=" + dir + "/wp.json", "PHP_CLI_SERVER_WORKERS=4"},
		program(t, "php"), "-d", "display_errors=0", "-d", "log_errors=1", "-d", "memory_limit=256M", "-d", "upload_max_filesize=16M", "-d", "post_max_size=16M",
		"-S", fmt.Sprintf("127.0.0.1:%d", port), "-t", tree, dir+"/router.php")
	base, c := front(t, port)
	answers(t, "PHP", func(ctx context.Context) error {
		a, err := c.Get(ctx, "/wp-includes/css/dist/block-library/style.min.css")
		if err != nil {
			return err
		}
		return a.Want(http.StatusOK)
	})
	return base, &WordPress{Client: c}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWordPress(t *testing.T) {
	m := startMariaDB(t)
	m.must(t, "", "CREATE DATABASE wordpress; CREATE USER admin@'127.0.0.1' IDENTIFIED BY 'p'; CREATE USER fleet@'127.0.0.1' IDENTIFIED BY 'p'; GRANT ALL ON wordpress.* TO admin@'127.0.0.1';")
	tree := sharedDir(t) + "/tree"
	if err := wordpress.Install(wordpress.Source, tree); errors.Is(err, wordpress.ErrMissing) {
		t.Fatalf("NOT RUN: %v", err)
	} else {
		must(t, err)
	}
	own(t, tree)
	ctx := t.Context()

	adminBase, admin := startWordPress(t, m, tree, "admin")
	site := wordpress.Site{Title: "Eleven walls", Username: operator.Username, Password: operator.Password, Email: "operator@example.org"}
	must(t, wordpress.RunInstaller(ctx, admin.HTTP, adminBase, site))
	must(t, wordpress.RunInstaller(ctx, admin.HTTP, adminBase, site)) // again: nothing happens

	tables := strings.Fields(m.must(t, "wordpress", "SHOW TABLES"))
	m.must(t, "wordpress", strings.Join(fleetViews, ";"))
	m.must(t, "", fleetGrants(append(tables, "wp_users_public", "wp_usermeta_public"))+fleetComments)
	_, err := admin.See(ctx, "/wp-cron.php") // as admin's web server does each minute
	must(t, err)
	_, visitor := startWordPress(t, m, tree, "fleet")

	if err := admin.Login(ctx, Credentials{operator.Username, "wrong"}); err == nil {
		t.Error("logged in with a wrong password")
	}
	must(t, admin.Login(ctx, operator))
	media, err := admin.Upload(ctx, "rings.png", PNG(7))
	must(t, err)
	const title = "Lanterns on the wall"
	post, err := admin.Publish(ctx, title, Blocks("Eleven lanterns", media))
	must(t, err)

	for _, active := range []bool{true, false} { // ends without the plugin
		must(t, admin.SetPlugin(ctx, "akismet/akismet", active))
		must(t, visitor.Visit(ctx, post, title, media, "/author/operator/"))
		text := fmt.Sprintf("A comment while a plugin is active=%v", active)
		must(t, visitor.Comment(ctx, post.ID, "Ada", text))
		want := 0 // one whom an administrator approved before is seen at once
		if active {
			want = 1
		}
		if n, err := admin.Approve(ctx, post.ID); err != nil || n != want {
			t.Errorf("approving: got %d comments, %v, want %d", n, err, want)
		}
		_, err = visitor.See(ctx, post.Path(), text)
		must(t, err)
		m.must(t, "wordpress", "UPDATE wp_comments SET comment_date = '2020-01-01', comment_date_gmt = '2020-01-01', comment_author_IP = '192.0.2.9'") // out of the flood check's sight
	}
	if got := m.must(t, "wordpress", fmt.Sprintf("SELECT comment_count FROM wp_posts WHERE ID = %d", post.ID)); strings.TrimSpace(got) != "1" {
		t.Errorf("fleet counted its comment: got %s, want 1", got)
	}
	_, err = admin.See(ctx, "/wp-cron.php")
	must(t, err)
	if got := m.must(t, "wordpress", fmt.Sprintf("SELECT comment_count FROM wp_posts WHERE ID = %d", post.ID)); strings.TrimSpace(got) != "2" {
		t.Errorf("admin counted fleet's comment: got %s, want 2", got)
	}
	a, err := visitor.See(ctx, post.Path())
	must(t, err)
	if strings.Contains(a.Body, adminBase) {
		t.Error("a visitor's page names the administrator's host")
	}

	t.Run("fleet has no more than it needs", func(t *testing.T) {
		for _, c := range []struct {
			sql string
			ok  bool
		}{
			{"SELECT user_pass FROM wp_users", false},
			{"SELECT meta_value FROM wp_usermeta WHERE meta_key = 'session_tokens'", false},
			{"SELECT user_login, user_pass FROM wp_users_public", true},
			{"UPDATE wp_options SET option_value = 'x' WHERE option_name = 'home'", false},
			{"INSERT INTO wp_posts (post_title) VALUES ('x')", false},
			{"UPDATE wp_comments SET comment_approved = 1", false},
			{"DELETE FROM wp_comments", false},
			{"UPDATE wp_users_public SET display_name = 'x'", false},
			{"CREATE TABLE x (y INT)", false},
		} {
			_, err := m.as(ctx, "fleet", c.sql)
			if (err == nil) != c.ok {
				t.Errorf("%s: got %v, want allowed=%v", c.sql, err, c.ok)
			}
		}
		if out, err := m.as(ctx, "fleet", "SELECT user_pass, user_email FROM wp_users_public"); err != nil || strings.TrimSpace(out) != "*" {
			t.Errorf("the masked users: got %q, %v", out, err)
		}
	})

	t.Run("no login on fleet", func(t *testing.T) {
		if err := visitor.Login(ctx, operator); err == nil {
			t.Error("logged in on fleet: the walls of the web server would be the only ones")
		}
	})

	t.Run("admin's cookie on fleet", func(t *testing.T) {
		u := *visitor.Client
		u.HTTP = &http.Client{Transport: visitor.HTTP.Transport, Jar: admin.HTTP.Jar, CheckRedirect: visitor.HTTP.CheckRedirect}
		a, err := (&u).Do(ctx, http.MethodPost, "/wp-json/wp/v2/posts", http.Header{"X-Wp-Nonce": {admin.nonce}, "Content-Type": {"application/json"}}, strings.NewReader(`{"title":"x","status":"publish"}`))
		must(t, err)
		if a.Status < 400 {
			t.Errorf("fleet took admin's cookie: status %d", a.Status)
		}
	})

	t.Run("chromium", func(t *testing.T) {
		b, err := OpenBrowser(ctx, 1280)
		if err != nil {
			t.Fatalf("NOT RUN: %v", err)
		}
		defer b.Close()
		path, err := b.PublishWordPress(adminBase, operator, "From a real browser", Artefact("wordpress-editor.png"))
		must(t, err)
		_, err = visitor.See(ctx, path, "From a real browser", "Written in a real browser.")
		must(t, err)
	})
}

// as runs one statement as a tier's user, over TCP.
func (m *mariadb) as(ctx context.Context, user, text string) (string, error) {
	cmd := exec.CommandContext(ctx, "mariadb", "--no-defaults", "--protocol=tcp", "-h127.0.0.1", fmt.Sprintf("-P%d", m.port), "-u"+user, "-N", "-B", "wordpress")
	cmd.Env = append(os.Environ(), "MYSQL_PWD=p")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return string(out), nil
}
