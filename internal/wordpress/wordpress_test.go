package wordpress

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// source makes a small package with the links that Debian's has.
func source(t *testing.T, links map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"wp-settings.php", "wp-config.php", "wp-includes/version.php", "wp-content/themes/one/style.css"} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte("Debian's "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestInstall(t *testing.T) {
	src := source(t, map[string]string{
		".htaccess":          "/etc/wordpress/htaccess", // dangling, and left out
		"wp-includes/inside": "version.php",
		"wp-includes/dir":    "/usr/share/common-licenses",
	})
	dst := filepath.Join(t.TempDir(), "tree")
	if err := Install(src, dst); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dst, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !d.Type().IsRegular() {
			t.Errorf("%s is no plain file", p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"wp-config.php": "Ringwall", "wp-includes/inside": "Debian's", "wp-includes/dir/GPL-2": "GNU",
		"wp-content/mu-plugins/ringwall.php": "Plugin Name: Ringwall", "wp-content/themes/one/style.css": "Debian's",
	} {
		b, err := os.ReadFile(filepath.Join(dst, name))
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: got %.40q, %v, want %q in it", name, b, err, want)
		}
	}
	if st, err := os.Stat(filepath.Join(dst, "wp-content/uploads")); err != nil || !st.IsDir() {
		t.Errorf("no uploads: %v", err)
	}
	if err := Install(src, dst); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("over another tree: got %v, want a refusal", err)
	}
}

func TestInstallRefuses(t *testing.T) {
	for name, links := range map[string]map[string]string{
		"a link to a secret": {"wp-content/x": "/etc/passwd"},
		"a link to nothing":  {"wp-content/x": "/usr/share/nonexistent"},
		"a loop":             {"wp-content/x": ".."},
		"a device":           {"wp-content/x": "/dev/null"},
	} {
		t.Run(name, func(t *testing.T) {
			dst := filepath.Join(t.TempDir(), "tree")
			if err := Install(source(t, links), dst); err == nil {
				t.Error("installed, want an error")
			}
			for _, d := range []string{dst, dst + ".part"} {
				if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is left behind", d)
				}
			}
		})
	}
	if err := Install(t.TempDir(), t.TempDir()+"/x"); !errors.Is(err, ErrMissing) {
		t.Errorf("without WordPress: got %v, want ErrMissing", err)
	}
}

func TestNewSalts(t *testing.T) {
	var a, b map[string]string
	if json.Unmarshal(NewSalts(), &a) != nil || json.Unmarshal(NewSalts(), &b) != nil {
		t.Fatal("no JSON")
	}
	seen := map[string]bool{}
	for _, n := range SaltNames {
		for _, v := range []string{a[n], b[n]} {
			if len(v) < 50 || seen[v] {
				t.Errorf("%s: %q is short or not unique", n, v)
			}
			seen[v] = true
		}
	}
}

// config runs the configuration in PHP, with a stand-in for the rest of
// WordPress, and returns what it defined.
func config(t *testing.T, env map[string]string, host string) (map[string]any, string) {
	t.Helper()
	php, err := exec.LookPath("php")
	if err != nil {
		t.Fatal("NOT RUN: php is not installed: run `make setup SET=wordpress`")
	}
	dir := t.TempDir()
	b, err := files.ReadFile("files/wp-config.php")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"wp-config.php": string(b), "wp-settings.php": `<?php echo json_encode(get_defined_constants(true)['user']);`,
		"run.php": `<?php $_SERVER['HTTP_HOST'] = $argv[1]; require __DIR__ . '/wp-config.php';`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), php, "-d", "log_errors=0", dir+"/run.php", host)
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("php: %v: %s", err, out)
	}
	var m map[string]any
	if json.Unmarshal(out, &m) != nil {
		return nil, string(out)
	}
	return m, string(out)
}

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	db, salts := dir+"/db.json", dir+"/wp.json"
	if err := os.WriteFile(db, []byte(`{"username":"u","password":"p'\"$","host":"10.0.2.10","port":3307,"dbname":"d"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(salts, NewSalts(), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(tier string) map[string]string {
		return map[string]string{"RINGWALL_TIER": tier, "DATABASE_SECRET": db, "WORDPRESS_SECRET": salts}
	}
	admin, out := config(t, env("admin"), "127.0.0.2:8444")
	if admin == nil {
		t.Fatal(out)
	}
	for k, want := range map[string]any{"DB_HOST": "10.0.2.10:3307", "DB_PASSWORD": `p'"$`, "WP_HOME": "https://127.0.0.2:8444", "CUSTOM_USER_TABLE": nil,
		"DISALLOW_FILE_MODS": nil, "DISABLE_WP_CRON": true, "WP_HTTP_BLOCK_EXTERNAL": true, "FORCE_SSL_ADMIN": true} {
		if admin[k] != want {
			t.Errorf("admin's %s: got %v, want %v", k, admin[k], want)
		}
	}
	for _, tier := range []string{"fleet", "", "Admin"} { // whoever is not admin is as little as fleet
		m, _ := config(t, env(tier), "localhost:8443")
		if m["CUSTOM_USER_TABLE"] != "wp_users_public" || m["CUSTOM_USER_META_TABLE"] != "wp_usermeta_public" || m["DISALLOW_FILE_MODS"] != true {
			t.Errorf("tier %q: got %v", tier, m)
		}
	}
	for host, want := range map[string]string{"[::1]:8443": "https://[::1]:8443", "a.example": "https://a.example",
		"evil/x": "https://localhost", `"><script>`: "https://localhost", "a b": "https://localhost", "": "https://localhost"} {
		if m, _ := config(t, env("fleet"), host); m["WP_HOME"] != want {
			t.Errorf("host %q: got %v, want %s", host, m["WP_HOME"], want)
		}
	}
	for name, content := range map[string]string{"missing": "", "not JSON": "{hunter2", "a list": "7"} {
		bad := filepath.Join(t.TempDir(), "bad.json")
		if content != "" {
			if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		e := env("admin")
		e["DATABASE_SECRET"] = bad
		if m, out := config(t, e, "x"); m != nil || !strings.Contains(out, "not ready") || strings.Contains(out, "hunter2") {
			t.Errorf("%s: got %q, want that it is not ready", name, out)
		}
	}
}

func TestRunInstaller(t *testing.T) {
	const form, done = `<form id="setup" action="install.php?step=1">`, `<h1>Success!</h1><a href="https://x/wp-login.php">Log In</a>`
	for _, c := range []struct {
		name, get, post string
		posts           int
		want            string
	}{
		{"fresh", form, done, 1, ""},
		{"already there", done, "", 0, ""},
		{"refused", form, form, 1, "shows its form again"},
		{"broken", form, "", 1, "got status 500"},
	} {
		t.Run(c.name, func(t *testing.T) {
			posts := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body := c.get
				if r.Method == http.MethodPost {
					posts++
					body = c.post
				}
				if body == "" {
					w.WriteHeader(http.StatusInternalServerError)
				}
				fmt.Fprint(w, body)
			}))
			defer s.Close()
			err := RunInstaller(t.Context(), s.Client(), s.URL, Site{Password: "hunter2"})
			if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if posts != c.posts {
				t.Errorf("got %d posts, want %d", posts, c.posts)
			}
		})
	}
}
