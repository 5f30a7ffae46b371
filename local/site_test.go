//go:build linux

package local_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/local/localtest"
)

func TestMain(m *testing.M) {
	if what := os.Getenv(without); what != "" {
		lose(what)
	}
	code := m.Run()
	localtest.Clean()
	os.Exit(code)
}

// testLimit is how long a test waits for what takes milliseconds on a quiet machine.
const testLimit = 30 * time.Second

// board is the example site, with its program built.
func board(t *testing.T) *localtest.Site { t.Helper(); return boardWith(t, "", "") }

// boardWith is the example site with the program built under a build tag.
// and more configuration.
func boardWith(t *testing.T, tags, more string) *localtest.Site {
	t.Helper()
	conf, err := os.ReadFile("../examples/board/ringwall.yaml")
	if err != nil {
		t.Fatal(err)
	}
	prog, err := os.ReadFile(localtest.Build(t, "examples/board", ""))
	if err != nil {
		t.Fatal(err)
	}
	return localtest.New(t, localtest.Build(t, "cmd/ringwall", tags), "board-dev", string(conf)+more, map[string]string{"site/board": string(prog)})
}

// wordpressWith is WordPress from the system's packages.
func wordpressWith(t *testing.T, tags string) *localtest.Site {
	t.Helper()
	conf, err := os.ReadFile("../examples/wordpress/ringwall.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return localtest.New(t, localtest.Build(t, "cmd/ringwall", tags), "wp-dev", string(conf), map[string]string{})
}

// Without root and as root: the site comes up, and each tier shows its own face.
func TestTiers(t *testing.T) {
	for _, user := range []string{"nobody", ""} {
		t.Run("user="+user, func(t *testing.T) {
			s := board(t)
			s.User = user
			s.Up()
			c := s.Client()
			for _, x := range []struct {
				url    string
				status int
				text   string
			}{
				{s.Visitor + "/", 200, "Notice board"},
				{s.Visitor + "/admin/login", 403, "administrators only"},
				{s.Office + "/admin/login", 200, "Password"},
				{s.Visitor + "/?q=1%27%20OR%20%271%27=%271", 403, "SQL injection"},
			} {
				status, text, err := s.Get(c, x.url)
				if err != nil || status != x.status || !strings.Contains(text, x.text) {
					t.Errorf("GET %s: got %d %v %.200q, want %d and %q", x.url, status, err, text, x.status, x.text)
				}
			}
			if out := s.OK("exec", "fleet/1", "--", "sh", "-c", "touch /srv/site/x 2>&1; echo done"); !strings.Contains(out, "Read-only file system") {
				t.Errorf("writing in fleet: got %q", out)
			}
			if r := s.Run("probe", "--only", "host/limits-shared-memory,host/limits-memory"); r.Code != 0 {
				t.Errorf("memory, with control groups or without: got exit code %d and %s%s, want 0", r.Code, r.Stdout, r.Stderr)
			}
			s.OK("status")
			s.OK("down")
			if r := s.Run("status"); r.Code != 1 || !strings.Contains(r.Stderr, "not running") {
				t.Errorf("status after down: got %d %q", r.Code, r.Stderr)
			}
		})
	}
}

// A configuration that no longer says what runs is told, and the verdicts with it.
func TestChangedConfiguration(t *testing.T) {
	s := board(t)
	s.Up()
	if out := s.OK("status"); strings.Contains(out, "says something else") {
		t.Errorf("unchanged: got %s", out)
	}
	for _, args := range [][]string{{"status", "--set", "waf.disabled=true"}, {"probe", "--only", "people/control-socket", "--set", "waf.disabled=true"}} {
		if r := s.Run(args...); !strings.Contains(r.Stdout, "says something else") {
			t.Errorf("ringwall %s: got %s, want it to say that the site runs something else", strings.Join(args, " "), r.Stdout)
		}
	}
}
