package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/verify"
)

var update = flag.Bool("update", false, "write the golden files")

// sample is a run with every kind of record in it.
func sample() *Report {
	names := []string{"people", "network", "edge", "vpc", "balancer", "instance", "host", "files", "webserver", "database", "application"}
	controls := map[int][]string{
		0: {"control-socket", "secret-files"}, 1: {"host", "flood", "slow"},
		2: {"waf-xss", "waf-sqli", "cache-privilege", "origin-secret", "tls-old", "smuggling", "allow-list"},
		3: {"flows", "no-route", "host-loopback"}, 4: {"origin-secret", "admin-addresses", "no-rule"},
		5: {"other-tiers", "metadata", "dns", "udp", "mptcp"}, 6: {"ptrace", "proc", "fork-bomb", "namespaces", "capabilities", "raw-sockets"},
		7: {"write", "create", "rename", "exec-upload"}, 8: {"admin-routes", "encodings"}, 9: {"write-tables", "password-hashes", "dial-out"},
	}
	var ps []*perimeter.Perimeter
	var results []perimeter.Result
	for i, name := range names {
		p := &perimeter.Perimeter{Number: i, Name: name, Doc: "What " + name + " keeps out, in a sentence.\nOn this machine: something.\nOn AWS: something else."}
		for _, c := range controls[i] {
			id := name + "/" + c
			p.Controls = append(p.Controls, &perimeter.Control{ID: id, Vantage: perimeter.Internet,
				Doc: "The promise of " + id + ", said in plain words.", Why: "An attacker would gain what " + id + " protects."})
			results = append(results, perimeter.Result{ID: id, Verdict: perimeter.Held, Millis: 12,
				Tried: []string{"GET /?q=<script>alert(1)</script> as a visitor"}, Evidence: []string{"403, refused by " + id}})
		}
		ps = append(ps, p)
	}
	set := func(id string, f func(*perimeter.Result)) {
		for i := range results {
			if results[i].ID == id {
				f(&results[i])
			}
		}
	}
	set("edge/cache-privilege", func(r *perimeter.Result) {
		r.Verdict = perimeter.Broken
		r.Tried = []string{"logged in at /admin as an administrator and fetched /", "fetched / as a visitor without a cookie"}
		r.Evidence = []string{"200 with X-Cache: hit and the text \x1b[31m\"Signed in as admin\"</style><b>"}
	})
	set("host/fork-bomb", func(r *perimeter.Result) {
		r.Verdict, r.Tried, r.Evidence, r.Error = perimeter.Unknown, nil, nil, "the machine has no cgroup that this user may write"
	})
	set("balancer/origin-secret", func(r *perimeter.Result) { r.InProcess = true })
	head := Report{Tool: "ringwall v0.1.0", Site: "board-dev", Enforcement: "full", Millis: 8412,
		Started: time.Date(2026, 11, 22, 3, 4, 5, 0, time.UTC), Notes: []string{"Edge and balancer share a process; the flow between them is in-process."}}
	return Build(head, ps, verify.Jobs(ps), results)
}

func write(t *testing.T, r *Report, o Options, specs ...string) string {
	t.Helper()
	var b bytes.Buffer
	s, err := Open(specs, &b, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for _, c := range []struct {
		file string
		o    Options
		spec string
	}{
		{"text.txt", Options{Width: 80}, "text"},
		{"verbose.txt", Options{Verbose: true, Width: 80}, "text"},
		{"color.txt", Options{Color: true}, "text"},
		{"report.json", Options{}, "json"},
		{"report.sarif", Options{}, "sarif"},
		{"report.html", Options{}, "html"},
	} {
		got := write(t, sample(), c.o, c.spec)
		name := filepath.Join("testdata", c.file)
		if *update {
			if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s differs; go test ./report -update writes it, then read the difference\n%s", name, got)
		}
	}
}

func TestJSONIsReadBack(t *testing.T) {
	want := sample()
	text := write(t, want, Options{}, "json")
	got, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if again := write(t, got, Options{}, "json"); again != text {
		t.Errorf("got %s, want %s", again, text)
	}
	var raw struct {
		Controls []map[string]any `json:"controls"`
	}
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	for _, c := range raw.Controls {
		for _, key := range []string{"id", "perimeter", "vantage", "verdict", "tried", "evidence"} {
			if c[key] == nil {
				t.Errorf("record %v has no %s", c["id"], key)
			}
		}
	}
	for _, bad := range []string{"", "{}", `{"version":2}`, text + "{}", `{"version":1,"verdict":"fine"}`} {
		if _, err := Read(strings.NewReader(bad)); err == nil {
			t.Errorf("Read(%.30q): no error", bad)
		}
	}
}

func FuzzRead(f *testing.F) {
	b, err := encode(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, spec := range Formats {
			s, err := Open([]string{spec}, &bytes.Buffer{}, Options{Verbose: true, Width: 40})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Write(r); err != nil {
				t.Errorf("%s: %v", spec, err)
			}
		}
	})
}

func TestHTMLNeedsNothingFromOutside(t *testing.T) {
	got := write(t, sample(), Options{}, "html")
	if bad := regexp.MustCompile(`(?i)<script|<link|<img|@import|url\(|(src|href)="[^#]`).FindString(got); bad != "" {
		t.Errorf("the page has %q", bad)
	}
	if strings.Contains(got, "</style><b>") {
		t.Error("evidence is not escaped")
	}
	if n := strings.Count(got, `<circle class="track"`); n != 11 {
		t.Errorf("got %d rings, want 11", n)
	}
	for _, c := range sample().Controls {
		if !strings.Contains(got, `<details id="`+strings.ReplaceAll(c.ID, "/", "-")+`"`) {
			t.Errorf("control %s is not listed", c.ID)
		}
	}
}

func TestTextKeepsControlCharactersFromTheTerminal(t *testing.T) {
	for _, o := range []Options{{}, {Width: 80}, {Verbose: true}} {
		if got := write(t, sample(), o, "text"); strings.ContainsAny(got, "\x1b\r\x07") {
			t.Errorf("%+v: an escape sequence of the app came through: %q", o, got)
		}
	}
}

func TestOpen(t *testing.T) {
	for _, c := range []struct{ specs, err string }{
		{"", ""}, {"text json=a.json html=b.html sarif=c.sarif", ""}, {"json=-", ""},
		{"txt", `did you mean "text"?`}, {"pdf", "want text, json, html, sarif"}, {"json=", "no file"},
		{"text json", "both go to stdout"}, {"text html=-", "both go to stdout"}, {"json=x html=./x", "both go to"},
	} {
		_, err := Open(strings.Fields(c.specs), &bytes.Buffer{}, Options{})
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("Open(%q): %v, want %q", c.specs, err, c.err)
		}
	}
}

func TestSeveralAtOnceAndAtomic(t *testing.T) {
	dir := t.TempDir()
	in := func(n string) string { return filepath.Join(dir, n) }
	if err := os.WriteFile(in("old.json"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("old.json", in("link.json")); err != nil {
		t.Fatal(err)
	}
	out := write(t, sample(), Options{Color: true}, "text", "json="+in("link.json"), "html="+in("r.html"), "text=/dev/null", "sarif="+in("r.sarif"))
	if !strings.Contains(out, "board-dev") {
		t.Errorf("stdout: %q", out)
	}
	if st, err := os.Lstat(in("link.json")); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v %v", st, err)
	}
	f, err := os.Open(in("old.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := Read(f); err != nil {
		t.Error(err)
	}
	// One that fails leaves the others written, and nothing half-written.
	s, err := Open([]string{"json=" + in("no/such/dir.json"), "html=" + dir, "sarif=" + in("s.sarif")}, &bytes.Buffer{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Write(sample())
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("got %v, want both failures", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	if got, want := strings.Join(names, " "), "link.json old.json r.html r.sarif s.sarif"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestVerdictIsTheSameInEveryFormat(t *testing.T) {
	for _, v := range []perimeter.Verdict{perimeter.Held, perimeter.Broken, perimeter.Unknown} {
		r := sample()
		r.Verdict = v
		if got := write(t, r, Options{}, "html"); !strings.Contains(got, `class="verdict `+v.String()+`"`) {
			t.Errorf("html: no verdict %s", v)
		}
		if got := write(t, r, Options{}, "json"); !strings.Contains(got, `"verdict": "`+v.String()+`"`) {
			t.Errorf("json: no verdict %s", v)
		}
	}
}
