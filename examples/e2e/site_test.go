//go:build linux

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/local/localtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	localtest.Clean()
	os.Exit(code)
}

// A site is a running site with two people before its doors.
type site struct {
	*localtest.Site
	visitor, office *Client
}

// up starts a site whose configuration is an example's, or a text, and returns
// when it answers.
func up(t *testing.T, name, yaml string, files map[string]string, args ...string) (*site, *localtest.Running) {
	t.Helper()
	if strings.HasPrefix(yaml, "../") {
		b, err := os.ReadFile(yaml)
		must(t, err)
		yaml = string(b)
	}
	if files == nil {
		files = map[string]string{}
	}
	s := &site{Site: localtest.New(t, localtest.Build(t, "cmd/ringwall", ""), name, yaml, files)}
	return s, s.start(t, args...)
}

func (s *site) start(t *testing.T, args ...string) *localtest.Running {
	t.Helper()
	r := s.Up(args...)
	s.visitor, s.office = s.person(t, s.Visitor), s.person(t, s.Office)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s\n%s", r.Out, s.Logs())
		}
	})
	return r
}

// person is somebody with a browser of their own.
func (s *site) person(t *testing.T, door string) *Client {
	c := New(door, s.Roots(), nil)
	t.Cleanup(c.Close)
	return c
}

// login is the administrator's, as the end of `up` names it.
func (s *site) login(t *testing.T) Credentials {
	t.Helper()
	c, err := ReadCredentials(filepath.Join(s.State(), "secrets", "admin.json"))
	must(t, err)
	return c
}

// refused wants 403 from the walls, with a page that names the request.
func refused(t *testing.T, c *Client, method, path string) {
	t.Helper()
	a, err := c.Do(t.Context(), method, path, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, nil)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
		return
	}
	if err := a.Want(http.StatusForbidden); err != nil {
		t.Error(err)
	} else if !strings.Contains(a.Body, "request ") {
		t.Errorf("%s %s: the refusal does not name the request: %q", method, path, first(a.Body, 200))
	}
}

// rolled waits until the supervisor has replaced fleet since it printed n bytes.
func rolled(t *testing.T, r *localtest.Running, n int) {
	t.Helper()
	localtest.Eventually(t, 30*time.Second, "fleet is replaced", func() bool { return strings.Contains(r.Out.String()[n:], "replaced by fleet/") })
}

// wantSession sees that the cache's probe logs in as the administrator.
func (s *site) wantSession(t *testing.T) {
	t.Helper()
	if r := s.Run("probe", "--only", "edge/cache-privilege", "-v"); r.Code != 0 || !strings.Contains(r.Stdout, "an administrator who is logged in") {
		t.Errorf("the probe of the cache: got %d, want one that logs in\n%s", r.Code, r.Stdout)
	}
}

// status is what `status` prints, once no roll is under way.
func (s *site) status(t *testing.T) (out string) {
	t.Helper()
	localtest.Eventually(t, 30*time.Second, "every instance is healthy", func() bool {
		r := s.Run("status")
		out = r.Stdout
		return r.Code == 0
	})
	return out
}

// An entry is what this test wants of a line of the access log.
type entry struct {
	URL    string `json:"url"`
	Tier   string `json:"tier"`
	Cache  string `json:"cache"`
	Status int    `json:"elb_status_code"`
}

// access reads the access log for the latest entry of a URL.
func (s *site) access(t *testing.T, url string) (last entry) {
	t.Helper()
	f, err := os.Open(filepath.Join(s.State(), "logs", "access.jsonl"))
	must(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e entry
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.URL == url {
			last = e
		}
	}
	return last
}

// within runs f again until it succeeds.
func within(t *testing.T, limit time.Duration, f func(context.Context) error) {
	t.Helper()
	var err error
	end := time.Now().Add(limit)
	for {
		if err = f(t.Context()); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %v", limit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// wantExec runs a shell line inside an instance and wants a text of it.
func (s *site) wantExec(t *testing.T, instance, line, want string) {
	t.Helper()
	if out := s.OK("exec", instance, "--", "sh", "-c", line); !strings.Contains(out, want) {
		t.Errorf("exec %s: %s: got %q, want %q", instance, line, out, want)
	}
}
