package plan

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func noEnv(string) string { return "" }

// dirWith makes a directory with a configuration file and a site's files.
func dirWith(t *testing.T, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "site"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func loadText(t *testing.T, text string) *Plan {
	t.Helper()
	p, err := Load(Options{Dir: dirWith(t, FileYAML, text), Getenv: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const small = "app: board\nkind: static\nfiles: {source: ./site}\n"

func TestDefaults(t *testing.T) {
	p := loadText(t, small)
	got := []any{p.Site(), p.Network.Host, p.Network.Hosts, p.Network.Doors[0].URL(), p.Network.Doors[1].URL(),
		p.Network.Visitor.String(), p.Network.Office.String(), p.Network.Stranger.IsValid(), p.VPC.Edge.String(), p.VPC.Edge6.String(),
		p.Tiers[0].Min, p.Tiers[0].Max, p.Tiers[1].Min, p.Tiers[1].Max, p.Tiers[0].Write, p.Tiers[1].Write, p.Tiers[1].Limits, p.Files.Mount,
		p.Edge.Allowed.Any, p.Edge.Cache.MaxTTL, p.Database.Name, p.Database.Port}
	want := []any{"board-dev", "board-dev.ringwall.test", []string{"board-dev.ringwall.test", "localhost:8443", "127.0.0.2:8444"},
		"https://localhost:8443/", "https://127.0.0.2:8444/",
		"198.51.100.7", "192.0.2.1", false, "10.0.0.10", "fd72:696e:6777::a",
		1, 1, 2, 4, true, false, Limits{256, 512 << 20, 4096, 1 << 30, 100}, "/srv/site",
		true, 24 * time.Hour, "board", uint16(5432)}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("%d: got %v, want %v", i, got[i], want[i])
		}
	}
}

func TestPrecedence(t *testing.T) {
	text := small + "preset: generic\ntiers: {fleet: {max: 5}}\n"
	dir := dirWith(t, FileYAML, text)
	env := func(name string) string {
		return map[string]string{"RINGWALL_TIERS_FLEET_MAX": "6", "RINGWALL_TIERS_FLEET_MIN": "3"}[name]
	}
	for _, c := range []struct {
		name   string
		env    func(string) string
		flags  map[string]string
		max    int
		origin string
	}{
		{"file", noEnv, nil, 5, "ringwall.yaml:5:22"},
		{"environment", env, nil, 6, "environment"},
		{"flag", env, map[string]string{"tiers.fleet.max": "7"}, 7, "flag"},
	} {
		p, err := Load(Options{Dir: dir, Getenv: c.env, Overrides: c.flags})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Tier(Fleet).Max; got != c.max {
			t.Errorf("%s: got max %d, want %d", c.name, got, c.max)
		}
		if got := p.Origins["tiers.fleet.max"].String(); got != c.origin {
			t.Errorf("%s: got the origin %q, want %q", c.name, got, c.origin)
		}
	}
	p := loadText(t, text)
	if got := p.Origins["files.mount"].String(); got != "preset" {
		t.Errorf("files.mount: got the origin %q, want preset", got)
	}
	for _, k := range keys() {
		if v, set := k.read(&draft{Plan: *p}); set && p.Origins[k.name].Source == "" && !strings.HasPrefix(k.name, "network.doors") {
			t.Errorf("%s is %v and has no origin", k.name, v)
		}
	}
}

func TestEnvironmentsInherit(t *testing.T) {
	text := small + `
tiers: {fleet: {max: 3, env: {A: "1", B: "1"}}}
routes: {admin: [/secret/*]}
default: dev
environments:
  dev: {}
  stage:
    tiers: {fleet: {max: 4, env: {B: "2"}}}
    routes: {admin: [/stage/*]}
  prod:
    inherits: stage
    tiers: {fleet: {min: 4}}
`
	dir := dirWith(t, FileYAML, text)
	for site, want := range map[string]struct {
		min, max int
		b        string
		routes   []string
	}{
		"":            {2, 3, "1", []string{"/admin/*", "/secret/*"}},
		"board-stage": {2, 4, "2", []string{"/admin/*", "/secret/*", "/stage/*"}},
		"board-prod":  {4, 4, "2", []string{"/admin/*", "/secret/*", "/stage/*"}},
	} {
		p, err := Load(Options{Dir: dir, Site: site, Getenv: noEnv})
		if err != nil {
			t.Errorf("%s: %v", site, err)
			continue
		}
		f := p.Tier(Fleet)
		if f.Min != want.min || f.Max != want.max || f.Env["A"] != "1" || f.Env["B"] != want.b || !slices.Equal(p.Webserver.AdminRoutes, want.routes) {
			t.Errorf("%q: got %+v and %v, want %+v", site, f, p.Webserver.AdminRoutes, want)
		}
	}
	got, err := Sites(filepath.Join(dir, FileYAML))
	if err != nil || !slices.Equal(got, []string{"board-dev", "board-stage", "board-prod"}) {
		t.Errorf("got the sites %v, %v", got, err)
	}
}

func TestFindWalksUp(t *testing.T) {
	dir := dirWith(t, FileYAML, small)
	deep := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := Load(Options{Dir: deep, Getenv: noEnv})
	if err != nil || p.Dir() != dir || p.Files.Source != filepath.Join(dir, "site") {
		t.Fatalf("got %+v, %v", p, err)
	}
	if _, err := Load(Options{File: "nowhere.yaml", Dir: dir}); !errors.Is(err, ErrNoFile) {
		t.Errorf("got %v, want ErrNoFile", err)
	}
}

// TestPresets loads each preset with as little as a user can write.
func TestPresets(t *testing.T) {
	for name, text := range map[string]string{
		"generic":   small,
		"wordpress": "app: blog\npreset: wordpress\n",
		"node-red":  "app: flows\npreset: node-red\n",
	} {
		p := loadText(t, text)
		var got bytes.Buffer
		if err := ShowYAML(&got, p, true); err != nil {
			t.Fatal(err)
		}
		golden(t, "testdata/show-"+name+".yaml", bytes.ReplaceAll(got.Bytes(), []byte(p.Dir()), []byte("DIR")))
	}
}

// TestShowLoadsAgain holds that what config show prints is the same plan.
func TestShowLoadsAgain(t *testing.T) {
	for _, site := range []string{"nodered-dev", "nodered-test", "wp-dev"} {
		p, err := Load(Options{File: "testdata/template.properties", Site: site, Getenv: noEnv})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := ShowYAML(&out, p, false); err != nil {
			t.Fatal(err)
		}
		q, err := Load(Options{Dir: dirWith(t, FileYAML, out.String()), Getenv: noEnv})
		if err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
		for _, x := range []*Plan{p, q} {
			x.File, x.Origins, x.Notes = "", nil, nil
		}
		if !reflect.DeepEqual(p, q) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", site, q, p)
		}
	}
}

func TestOptionsOfAnApp(t *testing.T) {
	p := loadText(t, `
app: board
command: ["{files}/board", --port, "{port}"]
files: {source: site, uploads: [uploads]}
admins: ["2001:db8:1::/48", 203.0.113.9]
allowed: ["2001:db8::/32", 203.0.113.0/24]
tiers:
  admin: {command: [other]}
  fleet:
    limits: {memory: 64MiB, processes: 32, cpu: 0.5, fileSize: 10MB}
network: {subdomain: www, zone: Example.org, hosts: [example.org]}
database: {config: cluster, engine: postgres, major: 17, size: 3}
waf:
  exclusions:
    - {rule: 942100, path: /search*, target: "ARGS:q", reason: people search for SQL}
aws: {region: eu-central-1}
`)
	f := p.Tier(Fleet)
	for i, c := range []struct{ got, want any }{
		{f.Command, []string{"{files}/board", "--port", "{port}"}},
		{p.Tier(Admin).Command, []string{"other"}},
		{f.Limits, Limits{32, 64 << 20, 4096, 10e6, 50}},
		{p.Network.Hosts[0], "www.example.org"},
		{p.Network.Office.String(), "2001:db8:1::1"},
		{p.Network.Visitor.String(), "203.0.113.1"},
		{p.Network.Stranger.String(), "198.51.100.7"},
		{p.Edge.WAF.Exclusions, []Exclusion{{942100, "/search*", "ARGS:q", "people search for SQL"}}},
		{p.Webserver.Docroot, "-"},
		{p.Database.Major, "17"},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%d: got %v, want %v", i, c.got, c.want)
		}
	}
	notes := strings.Join(p.Notes, "\n")
	for _, want := range []string{"kept for AWS: aws.region", "one primary runs"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes %q, want %q among them", notes, want)
		}
	}
}

func TestPeople(t *testing.T) {
	for _, c := range []struct{ admins, allowed, vpc, office, visitor, stranger string }{
		{"192.0.2.1", "*", "10.0.0.0/16", "192.0.2.1", "198.51.100.7", "invalid IP"},
		{"198.51.100.7", "*", "10.0.0.0/16", "198.51.100.7", "203.0.113.1", "invalid IP"},
		{"192.0.2.1", "192.0.2.0/24", "10.0.0.0/16", "192.0.2.1", "192.0.2.2", "198.51.100.7"},
		{"192.0.2.1", "192.0.2.1", "10.0.0.0/16", "192.0.2.1", "invalid IP", "198.51.100.7"},
		{"10.0.0.0/8", "10.0.0.0/8,192.0.2.9", "10.0.0.0/16", "10.16.0.1", "192.0.2.9", "198.51.100.7"},
		{"10.0.0.0/8", "10.0.0.0/8,192.0.2.9", "172.31.0.0/16", "10.0.0.1", "192.0.2.9", "198.51.100.7"},
		{"::ffff:192.0.2.1", "192.0.2.0/30", "10.0.0.0/16", "192.0.2.1", "192.0.2.2", "198.51.100.7"},
		{"2001:db8::5", "2001:db8::/64", "10.0.0.0/16", "2001:db8::5", "2001:db8::1", "198.51.100.7"},
		{"192.0.2.1", "0.0.0.0/0", "10.0.0.0/16", "192.0.2.1", "198.51.100.7", "2001:db8::1"},
		{"192.0.2.1", "0.0.0.0/0,::/0", "10.0.0.0/16", "192.0.2.1", "198.51.100.7", "invalid IP"},
	} {
		p, err := Load(Options{Dir: dirWith(t, FileYAML, small), Getenv: noEnv, Overrides: map[string]string{"admins": c.admins, "allowed": c.allowed, "vpc.cidr": c.vpc}})
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		n := p.Network
		if n.Office.String() != c.office || n.Visitor.String() != c.visitor || n.Stranger.String() != c.stranger {
			t.Errorf("%+v: got %v, %v, %v", c, n.Office, n.Visitor, n.Stranger)
		}
	}
}

// TestExamples loads every example of the repository.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../examples/*/ringwall.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("finding the examples: %v, %v", files, err)
	}
	for _, file := range files {
		// An example's program may not be built yet.
		if _, err := Load(Options{File: file, Getenv: noEnv, Overrides: map[string]string{"files.source": t.TempDir()}}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
