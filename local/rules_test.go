//go:build linux

package local_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/perimeter/edge"
)

var requestIDs = regexp.MustCompile(`request ([0-9a-f]{24})`)

// From a good request that is refused to rules that let it pass, while others ask:
// explain, tune, patch, check, reload, report and test on a running site.
func TestTuneAndReload(t *testing.T) {
	s := boardWith(t, "", "\nnetwork:\n  rate: {perMinute: 1000000, burst: 100000}\n")
	s.Env = append(s.Env, "RINGWALL_WAF_RECORD=50")
	conf := filepath.Join(s.Dir, "ringwall.yaml")
	s.Up()
	c := s.Client()
	const sqli = "1%27%20OR%20%271%27=%271"
	status := func(path string) int {
		t.Helper()
		code, _, err := s.Get(c, s.Visitor+path)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	change := func(old, new string) {
		t.Helper()
		b, err := os.ReadFile(conf)
		if err != nil || !strings.Contains(string(b), old) {
			t.Fatalf("the configuration: %v: want %q in it", err, old)
		}
		write("ringwall.yaml", strings.Replace(string(b), old, new, 1))
	}

	status("/?page=2&token=hunter2")
	code, page, err := s.Get(c, s.Visitor+"/?note="+sqli)
	ids := requestIDs.FindStringSubmatch(page)
	if err != nil || code != 403 || len(ids) < 2 {
		t.Fatalf("an attack: got %d %s, %v", code, page, err)
	}
	id := ids[1]
	eventually(t, "the refusal is in the log", func() bool { return s.Run("waf", "explain", id).Code == 0 })
	if out := s.OK("waf", "explain", id); !strings.Contains(out, "rule 942100") || !strings.Contains(out, "The scores add up to 5; from 5 on") || out != s.OK("explain", id) {
		t.Errorf("explain: got %s", out)
	}
	patch := s.OK("waf", "tune", id)
	if !strings.Contains(patch, "refused without the exclusion, passed with it") || !strings.Contains(patch, "ARGS:note:") || !strings.Contains(patch, `+      target: "ARGS:note"`) {
		t.Errorf("tune: got %s", patch)
	}
	_, lines, _ := strings.Cut(patch, "@@ ")
	_, lines, _ = strings.Cut(lines, "\n")
	var added strings.Builder
	for l := range strings.Lines(lines) {
		if a, ok := strings.CutPrefix(l, "+"); ok {
			added.WriteString(a)
		}
	}
	change("waf:\n", "waf:\n"+added.String())
	if out := s.OK("waf", "check"); !strings.Contains(out, "none changes its verdict") {
		t.Errorf("check: got %s", out)
	}

	var stop atomic.Bool
	done := make(chan int)
	go func() {
		n := 0
		other := s.Client()
		for !stop.Load() {
			code, _, err := s.Get(other, s.Visitor+"/?q=hello")
			bad, _, err2 := s.Get(other, s.Visitor+"/?q="+sqli)
			if err != nil || err2 != nil || code != 200 || bad != 403 {
				t.Errorf("during the reload: got %d and %d, %v, %v, want 200 and 403", code, bad, err, err2)
			}
			n++
		}
		done <- n
	}()
	s.OK("waf", "reload")
	stop.Store(true)
	if n := <-done; n == 0 {
		t.Error("nobody asked during the reload")
	}
	if got := status("/?note=" + sqli); got != 200 {
		t.Errorf("the excluded request after the reload: got %d, want 200", got)
	}
	if out := s.OK("waf", "reload"); !strings.Contains(out, "are those that run") {
		t.Errorf("the same rules again: got %s", out)
	}
	if out := s.OK("status"); strings.Contains(out, "says something else") {
		t.Errorf("status after the reload: got %s", out)
	}

	// A virtual patch is tested before it goes live; what is wrong in it stops it.
	write("own.conf", "SecRule ARGS:coupon \"@rx (\" \"id:7,phase:2,deny\"\n")
	change("waf:\n", "waf:\n  rules: [own.conf]\n")
	for _, args := range [][]string{{"waf", "reload"}, {"waf", "test", "tests"}, {"validate"}} {
		if err := os.MkdirAll(filepath.Join(s.Dir, "tests"), 0o755); err != nil {
			t.Fatal(err)
		}
		write("tests/7.yaml", "rule_id: 7\ntests:\n- test_id: 1\n  desc: an odd coupon\n  stages:\n  - input: {uri: '/?coupon=%3C', headers: {Host: x, User-Agent: x, Accept: '*/*'}}\n    output: {status: 403, log: {expect_ids: [7]}}\n")
		if r := s.Run(args...); r.Code != 2 || !strings.Contains(r.Stderr, "own.conf:1") {
			t.Errorf("%v with a broken rule: got %d, %s, want 2 and its line", args, r.Code, r.Stderr)
		}
	}
	write("own.conf", "SecRule ARGS:coupon \"@rx [^A-Z]\" \"id:7,phase:2,deny,status:403,log,msg:'odd coupon'\"\n")
	s.OK("waf", "test", "tests")
	if r := s.Run("waf", "test", "tests", "--running"); r.Code != 3 || !strings.Contains(r.Stdout, "WRONG") {
		t.Errorf("a test that the running rules fail: got %d %s", r.Code, r.Stdout)
	}
	s.OK("waf", "reload")
	s.OK("waf", "test", "tests", "--running")

	// Weaker rules need a word; with it they hold for the next front too.
	change("waf:\n", "waf:\n  detectOnly: yes\n")
	if r := s.Run("waf", "check"); r.Code != 3 {
		t.Errorf("check of rules that only log: got %d %s%s, want 3", r.Code, r.Stdout, r.Stderr)
	}
	if r := s.Run("waf", "reload"); r.Code != 4 || status("/?q="+sqli) != 403 {
		t.Errorf("reload of rules that only log: got %d %s, want 4 and nothing changed", r.Code, r.Stderr)
	}
	s.OK("waf", "reload", "--yes")
	if got := status("/?logged=" + sqli); got != 200 {
		t.Errorf("where the rules only log: got %d, want 200", got)
	}
	var rows []struct {
		Rule       int
		Path, Part string
		Requests   int
	}
	eventually(t, "the logged request is in the report", func() bool { return strings.Contains(s.OK("waf", "report"), "ARGS:logged") })
	if err := json.Unmarshal([]byte(s.OK("waf", "report", "-o", "json")), &rows); err != nil || len(rows) != 1 || rows[0].Rule != 942100 || rows[0].Part != "ARGS:logged" || rows[0].Requests != 1 {
		t.Errorf("report: got %+v, %v, want one row for the logged request", rows, err)
	}

	// What was recorded is the owner's alone, without secrets, and goes with the setting.
	file := filepath.Join(s.Dir, ".ringwall", s.Name, "logs", "recorded.jsonl")
	b, err := os.ReadFile(file)
	if st, serr := os.Stat(file); err != nil || serr != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("the recorded requests: %v %v %v", err, serr, st)
	}
	var first edge.Recorded
	line, _, _ := strings.Cut(string(b), "\n")
	if err := json.Unmarshal([]byte(line), &first); err != nil || strings.Contains(string(b), "hunter2") || !strings.Contains(string(b), "token=masked") {
		t.Errorf("recorded: got %s, %v", b, err)
	}
	s.Env = append(s.Env, "RINGWALL_WAF_RECORD=0")
	s.OK("waf", "reload", "--yes")
	if b, err := os.ReadFile(file); err != nil || len(b) > 0 {
		t.Errorf("recorded after it was switched off: got %d bytes, %v, want none", len(b), err)
	}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(testLimit); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waiting until %s: it did not happen in %v", what, testLimit)
		}
	}
}
