package application

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

func site(t *testing.T, files map[string]string) (p *plan.Plan, state string) {
	t.Helper()
	state = t.TempDir()
	os.Mkdir(filepath.Join(state, "files"), 0o755)
	for name, text := range files {
		write(t, state, name, text)
	}
	return &plan.Plan{Files: plan.Files{Uploads: []string{"uploads"}, Data: []string{"flows.json"}}}, state
}

func write(t *testing.T, state, name, text string) {
	t.Helper()
	full := filepath.Join(state, "files", name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestIntegrity(t *testing.T) {
	p, state := site(t, map[string]string{"index.php": "1", "lib/a.php": "1", "uploads/x": "1", "flows.json": "1"})
	if _, err := Status(p, state); !errors.Is(err, ErrNoManifest) {
		t.Errorf("nothing accepted: got %v", err)
	}
	if err := Baseline(p, state); err != nil {
		t.Fatal(err)
	}
	if c, err := Status(p, state); err != nil || !c.Empty() {
		t.Errorf("just accepted: got %v, %v", c, err)
	}
	write(t, state, "uploads/y", "2")
	write(t, state, "flows.json", "2")
	if c, err := Status(p, state); err != nil || !c.Empty() {
		t.Errorf("uploads and data are no difference: got %v, %v", c, err)
	}
	write(t, state, "lib/a.php", "2")
	write(t, state, "shell.php", "2")
	os.Remove(filepath.Join(state, "files/index.php"))
	if err := Baseline(p, state); err != nil {
		t.Fatal(err)
	}
	c, err := Status(p, state)
	if err != nil || !slices.Equal(c.Paths(), []string{"index.php", "lib/a.php", "shell.php"}) {
		t.Errorf("got %v, %v", c, err)
	}
	if perimeter.CanTakeDown {
		perimeter.SetDown([]string{ctlIntegrity})
		if c, err := Status(p, state); err != nil || !c.Empty() {
			t.Errorf("wall down: got %v, %v", c, err)
		}
		perimeter.SetDown(nil)
	}
	if got, err := Accept(p, state); err != nil || !slices.Equal(got.Paths(), c.Paths()) {
		t.Errorf("accepted %v, %v, want %v", got, err, c)
	}
	if c, err := Status(p, state); err != nil || !c.Empty() {
		t.Errorf("after accepting: got %v, %v", c, err)
	}
	os.WriteFile(filepath.Join(state, "manifest.json"), []byte("{"), 0o600)
	if c, err := Status(p, state); err == nil {
		t.Errorf("a damaged manifest: got %v and no error", c)
	}
	if err := Baseline(p, state); err == nil {
		t.Error("a damaged manifest was replaced without asking")
	}
	if _, err := Accept(p, state); err != nil {
		t.Error(err)
	}
}

func TestSecrets(t *testing.T) {
	key := "-----BEGIN RSA " + "PRIVATE KEY-----\n"
	p, state := site(t, map[string]string{
		"wp-config.php":        "<?php\n\ndefine( 'DB_PASSWORD', 'hunter22' );",
		"wp-config-sample.php": "define( 'DB_PASSWORD', 'password_here' );",
		"env.php":              "define('DB_PASSWORD', getenv('X')); define('DB_PASSWORD', '');",
		"a/key.pem":            key, "a/doc.md": "a key starts with " + key,
		"b.js":      "k = '" + "AKIA" + "2345672345ABCDEF'; d = '" + "AKIA" + "IOSFODNN7EXAMPLE'",
		"c.js":      "t = '" + "ghp_" + strings.Repeat("a1", 18) + "'",
		"d.yml":     "a: postgres://u:" + "s3cr3tpw@db/x\nb: postgres://u:${PW}@db/x\nc: mysql://root:password@localhost/x",
		"uploads/k": key, "e.png": key, "bin": "\x00" + key,
	})
	found, err := Secrets(p, filepath.Join(state, "files"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, fmt.Sprintf("%s %s:%d", f.Rule, f.Path, f.Line))
		if strings.Contains(fmt.Sprintf("%+v", f), "hunter22") {
			t.Errorf("a finding holds the secret: %+v", f)
		}
	}
	slices.Sort(got)
	want := []string{"aws-key b.js:1", "github-token c.js:1", "private-key a/key.pem:1", "url-password d.yml:1", "wordpress-password wp-config.php:3"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if perimeter.CanTakeDown {
		perimeter.SetDown([]string{ctlSecrets})
		if found, _ := Secrets(p, filepath.Join(state, "files")); len(found) > 0 {
			t.Errorf("wall down: got %v", found)
		}
		perimeter.SetDown(nil)
	}
}

// WordPress as it is packaged holds no secrets.
func TestWordPress(t *testing.T) {
	const dir = "/usr/share/wordpress"
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("NOT RUN: %v; install wordpress", err)
	}
	found, err := Secrets(&plan.Plan{}, dir)
	if err != nil || len(found) > 0 {
		t.Errorf("got %v, %v, want none", found, err)
	}
	all, err := Components(&plan.Plan{}, dir)
	if err != nil || !slices.ContainsFunc(all, func(c Component) bool { return c.Kind == "wordpress" && c.Version != "" }) {
		t.Errorf("got %v, %v, want WordPress", all, err)
	}
}

func TestComponents(t *testing.T) {
	p, state := site(t, map[string]string{
		"composer.lock":                  `{"packages":[{"name":"a/b","version":"v1.2.3"}],"packages-dev":[{"name":"c/d","version":"1"}]}`,
		"package-lock.json":              `{"lockfileVersion":3,"packages":{"":{"version":"0.1.0"},"node_modules/x":{"version":"2.0.0"},"node_modules/x/node_modules/@y/z":{"version":"3.0.0"},"node_modules/dev":{"version":"1.0.0","dev":true}}}`,
		"go.mod":                         "module m\n\nrequire one.example/a v1.0.0\nrequire (\n\ttwo.example/b v2.0.0 // indirect\n)\n",
		"wp-includes/version.php":        "<?php\n$wp_version = '6.1.9';",
		"wp-content/plugins/seo/seo.php": "<?php\n/**\n * Plugin Name: Seo\n * Version: 4.5\n */",
		"wp-content/plugins/seo/x.php":   "<?php",
		"wp-content/themes/t/style.css":  "/*\nTheme Name: T\nVersion: 1.1\n*/",
	})
	all, err := Components(p, filepath.Join(state, "files"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range all {
		got = append(got, c.Kind+" "+c.Name+" "+c.Version)
	}
	want := []string{"composer a/b 1.2.3", "go one.example/a 1.0.0", "go two.example/b 2.0.0", "npm @y/z 3.0.0", "npm x 2.0.0", "wordpress WordPress 6.1.9", "wordpress-plugin Seo 4.5", "wordpress-theme T 1.1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	write(t, state, "composer.lock", "{")
	if _, err := Components(p, filepath.Join(state, "files")); err == nil || !strings.Contains(err.Error(), "composer.lock") {
		t.Errorf("a damaged lock file: got %v", err)
	}
}

func TestSupport(t *testing.T) {
	for _, tt := range []struct{ runtime, version, want string }{
		{"php", "7.4.33", "2022-11-28"}, {"php", "8.2", "2026-12-31"}, {"node", "v22.11.0", "2027-04-30"}, {"php", "9.0", ""}, {"cobol", "1", ""}, {"mariadb", "10.11.14", "2028-02-16"},
	} {
		until, known := Support(tt.runtime, tt.version)
		if got := until.Format("2006-01-02"); known != (tt.want != "") || known && got != tt.want {
			t.Errorf("%s %s: got %s, %v, want %q", tt.runtime, tt.version, got, known, tt.want)
		}
	}
}

func FuzzReaders(f *testing.F) {
	f.Add("composer.lock", []byte(`{"packages":[{"name":"a","version":"1"}]}`))
	f.Add("package-lock.json", []byte(`{"packages":{"node_modules/x":{"version":"1"}}}`))
	f.Add("go.mod", []byte("require (\n a v1\n)"))
	f.Add("plugins/a/b.php", []byte("Plugin Name: x"))
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		secretsIn(name, b)
		if read := reader(name); read != nil {
			read(b)
		}
	})
}
