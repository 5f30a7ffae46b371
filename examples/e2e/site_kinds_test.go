//go:build linux

package e2e

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/local/localtest"
)

// The three kinds of app, with the least that each needs.
func TestSiteKinds(t *testing.T) {
	t.Run("static", func(t *testing.T) {
		s, r := up(t, "plain-dev", "app: plain\npreset: generic\nkind: static\nfiles: {source: site, uploads: [uploads]}\nroutes: {admin: [/admin/*]}\nenvironments:\n  dev: {}\n",
			map[string]string{"site/index.html": "<h1>Plain</h1>", "site/admin/index.html": "secret", "site/.git/config": "secret", "site/x.php": "<?php echo 6*7; ?>"})
		ctx := t.Context()
		_, err := s.visitor.See(ctx, "/", "Plain")
		must(t, err)
		_, err = s.office.See(ctx, "/admin/index.html", "secret")
		must(t, err)
		refused(t, s.visitor, http.MethodGet, "/admin/index.html")
		for _, p := range []string{"/.git/config", "/%2egit/config", "/x.php"} {
			a, err := s.visitor.Get(ctx, p)
			must(t, err)
			if a.Status < 400 {
				t.Errorf("%s: got %d %q, want a refusal", p, a.Status, a.Body)
			}
		}
		// There is no app, so a shell has only what the app would have had.
		printed := len(r.Out.String())
		must(t, os.WriteFile(filepath.Join(s.State(), "files/index.html"), []byte("<h1>Other</h1>"), 0o644))
		rolled(t, r, printed)
		within(t, 15*time.Second, func(ctx context.Context) error { _, err := s.visitor.See(ctx, "/", "Other"); return err })
	})

	t.Run("command on a socket", func(t *testing.T) {
		if _, err := os.Stat("/usr/bin/node"); err != nil {
			t.Fatal("NOT RUN: /usr/bin/node is not installed")
		}
		s, _ := up(t, "sock-dev", "app: sock\npreset: generic\ncommand: [node, \"{files}/app.js\"]\nfiles: {source: site}\nroutes: {docroot: \"-\", admin: [/admin/*]}\nenvironments:\n  dev: {}\n",
			map[string]string{"site/app.js": `const http = require("http");
process.umask(0);
http.createServer((q, r) => r.end("tier " + process.env.RINGWALL_TIER + " at " + q.url + " for " + q.headers["x-forwarded-for"])).listen("/run/app/app.sock");
process.on("SIGTERM", () => process.exit(0));
`})
		_, err := s.visitor.See(t.Context(), "/x?y=1", "tier fleet at /x?y=1")
		must(t, err)
		_, err = s.office.See(t.Context(), "/admin/", "tier admin at /admin/")
		must(t, err)
	})

	t.Run("php", func(t *testing.T) {
		s, r := up(t, "tiny-dev", "app: tiny\npreset: generic\nkind: php\nfiles: {source: site, uploads: [uploads]}\nroutes: {docroot: \"\", front: index.php, admin: [/admin/*]}\nenvironments:\n  dev: {}\n",
			map[string]string{"site/index.php": `<?php echo "tier ", getenv("RINGWALL_TIER"), " at ", $_SERVER["REQUEST_URI"], " = ", 6 * 7;`,
				"site/admin/index.php": `<?php echo "administration";`, "site/uploads/x.php": `<?php echo 6*7;`})
		ctx := t.Context()
		_, err := s.visitor.See(ctx, "/", "tier fleet at / = 42")
		must(t, err)
		_, err = s.visitor.See(ctx, "/pretty/path", "tier fleet at /pretty/path")
		must(t, err)
		_, err = s.office.See(ctx, "/admin/", "administration")
		must(t, err)
		refused(t, s.visitor, http.MethodGet, "/admin/")
		for _, c := range []*Client{s.visitor, s.office} {
			a, err := c.Get(ctx, "/uploads/x.php")
			must(t, err)
			if strings.Contains(a.Body, "42") && a.Status == http.StatusOK && !strings.Contains(a.Body, "tier") {
				t.Errorf("an upload was executed: %q", a.Body)
			}
		}
		printed := len(r.Out.String())
		must(t, os.WriteFile(filepath.Join(s.State(), "files/index.php"), []byte(`<?php echo "changed";`), 0o644))
		rolled(t, r, printed)
		within(t, 15*time.Second, func(ctx context.Context) error { _, err := s.visitor.See(ctx, "/", "changed"); return err })
	})
}

// A site that knows only IPv6 addresses: its doors stand for addresses of it.
func TestSiteIPv6(t *testing.T) {
	s, _ := up(t, "six-dev", `app: six
preset: generic
kind: static
files: {source: site}
routes: {admin: [/admin/*]}
allowed: ["2001:db8:1::/48"]
admins: ["2001:db8:1:2::/64"]
environments:
  dev: {}
`, map[string]string{"site/index.html": "six", "site/admin/index.html": "administration"})
	ctx := t.Context()
	_, err := s.visitor.See(ctx, "/", "six")
	must(t, err)
	_, err = s.office.See(ctx, "/admin/index.html", "administration")
	must(t, err)
	refused(t, s.visitor, http.MethodGet, "/admin/index.html")
	within(t, 2*time.Second, func(context.Context) error {
		return wantLog(filepath.Join(s.State(), "logs", "access.jsonl"), `"viewer":"[2001:db8:1`)
	})
	if r := s.Run("probe", "--only", "edge"); r.Code != 0 {
		t.Errorf("the edge's probes from IPv6 addresses: got exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// The sample project's parameters.properties, unchanged.
func TestSiteSample(t *testing.T) {
	sample := "../../plan/testdata/template.properties"
	if _, err := os.Stat(sample); err != nil {
		t.Fatalf("NOT RUN: %v", err)
	}
	for name, want := range map[string]string{"wp-dev": "<title>wp-dev", "nodered-dev": "Cannot GET /"} {
		t.Run(name, func(t *testing.T) {
			s := &site{Site: localtest.New(t, localtest.Build(t, "cmd/ringwall", ""), name, "", map[string]string{"parameters.properties": read(t, sample)})}
			if name == "nodered-dev" {
				s.Env = append(s.Env, "RINGWALL_HOST_PROGRAMS="+nodeModules(t))
			}
			r := s.start(t, name, "-c", "parameters.properties")
			if !strings.Contains(r.Out.String(), "kept for AWS: awsRegion") {
				t.Errorf("up does not say what is kept for AWS:\n%s", r.Out)
			}
			a, err := s.visitor.Get(t.Context(), "/")
			must(t, err)
			if !strings.Contains(a.Body, want) {
				t.Errorf("GET /: got %d %.200q, want %q", a.Status, a.Body, want)
			}
			refused(t, s.visitor, http.MethodGet, map[string]string{"wp-dev": "/wp-admin/", "nodered-dev": "/admin/"}[name])
			if name == "nodered-dev" {
				n := &NodeRED{Client: s.office}
				must(t, n.Login(t.Context(), s.login(t)))
			}
		})
	}
}

func wantLog(file, text string) error {
	b, err := os.ReadFile(file)
	if err == nil && !strings.Contains(string(b), text) {
		err = os.ErrNotExist
	}
	return err
}
