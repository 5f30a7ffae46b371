package plan

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestErrors holds the words of every message: what users meet first. A case is a
// file under testdata/errors; its golden file has the message beneath the input.
func TestErrors(t *testing.T) {
	cases, err := filepath.Glob("testdata/errors/*.in")
	if err != nil || len(cases) == 0 {
		t.Fatalf("reading the cases: %v, %v", cases, err)
	}
	for _, file := range cases {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := FileYAML
		if strings.HasPrefix(filepath.Base(file), "prop-") {
			name = FileProperties
		}
		dir := dirWith(t, name, string(data))
		_, err = Load(Options{Dir: dir, Getenv: noEnv})
		if err == nil {
			t.Errorf("%s: got no error, want one", file)
			continue
		}
		msg := strings.ReplaceAll(err.Error(), dir, "DIR") + "\n"
		golden(t, strings.TrimSuffix(file, ".in")+".out", []byte(msg))
	}
}

func TestUnreadableFiles(t *testing.T) {
	deep := "app: a\nfiles: " + strings.Repeat("[", 9000) + "\n"
	for name, c := range map[string]struct{ text, want string }{
		"huge":        {strings.Repeat("# comment\n", 200_000), "want at most 1048576"},
		"utf-16":      {"\xff\xfea\x00p\x00", "ringwall.yaml:1:1: reading the file: got UTF-16, want UTF-8"},
		"latin-1":     {"app: caf\xe9\n", "ringwall.yaml:1:9: reading the file: got the byte 0xe9"},
		"zero byte":   {"app: a\nkind: \x00\n", "ringwall.yaml:2:7: reading the file: got the control character U+0000"},
		"deep flow":   {deep, "ringwall.yaml:"},
		"deep blocks": {strings.Repeat("- ", 3000) + "x\n", "ringwall.yaml:1:"},
		"empty":       {"", "got an empty file"},
		"comment":     {"# nothing\n", "got an empty file"},
		"list":        {"- app\n", "ringwall.yaml:1:1: reading the file: got a list, want keys"},
		"bom":         {"\xef\xbb\xbfapp: a\nkindd: static\n", `ringwall.yaml:2:1: reading the file: got the unknown key "kindd"`},
		"crlf":        {"app: a\r\nkindd: static\r\n", `ringwall.yaml:2:1: reading the file: got the unknown key "kindd"`},
	} {
		_, err := Load(Options{Dir: dirWith(t, FileYAML, c.text), Getenv: noEnv})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %.300v, want %q", name, err, c.want)
		}
	}
	dir := t.TempDir()
	if _, err := Load(Options{File: dir}); err == nil || !strings.Contains(err.Error(), "want a file") {
		t.Errorf("a directory: got %v", err)
	}
}

func TestErrorsOfFlagsAndEnvironment(t *testing.T) {
	dir := dirWith(t, FileYAML, small)
	for _, c := range []struct {
		flags map[string]string
		env   map[string]string
		want  string
	}{
		{flags: map[string]string{"tiers.flet.max": "3"}, want: `--set tiers.flet.max: got an unknown key, want a key of ringwall.yaml; did you mean "tiers.fleet.max"?`},
		{flags: map[string]string{"tiers.fleet.max": "many"}, want: `--set tiers.fleet.max: got "many", want a whole number from 1 to 50`},
		{env: map[string]string{"RINGWALL_CACHE_MAXTTL": "soon"}, want: `RINGWALL_CACHE_MAXTTL: got "soon", want a duration such as 500ms, 5s or 2h`},
		{flags: map[string]string{"routes.admin": `["/a/*"`}, want: `--set routes.admin: got JSON that does not parse`},
		{flags: map[string]string{"tiers.fleet.env.PORT": `1`}, want: `got "PORT", want a variable that Ringwall does not set itself`},
	} {
		_, err := Load(Options{Dir: dir, Overrides: c.flags, Getenv: func(s string) string { return c.env[s] }})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// TestErrorsShowNoSecrets: a line that may hold a password is not repeated.
func TestErrorsShowNoSecrets(t *testing.T) {
	_, err := Load(Options{Dir: dirWith(t, FileYAML, "app: a\ndb_password: hunter2\nkind: static\n"), Getenv: noEnv})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want an error without the value", err)
	}
	p := loadText(t, small+"tiers: {fleet: {env: {API_TOKEN: hunter2}}}\n")
	var out bytes.Buffer
	if err := ShowYAML(&out, p, true); err != nil || strings.Contains(out.String(), "hunter2") {
		t.Errorf("got %v and\n%s", err, &out)
	}
	if !strings.Contains(fmt.Sprint(p.Notes), "API_TOKEN looks like a secret") {
		t.Errorf("got the notes %v", p.Notes)
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{"fleat": "fleet", "adminn": "admins", "ALLOWED": "allowed", "xyzzy": "", "kidn": "kind", "": ""} {
		if got := nearest(word, []string{"fleet", "admins", "allowed", "kind"}); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

// TestHostileFiles holds that the largest files that are read are read in no time
// that a user would notice; the test's own time limit is the judge.
func TestHostileFiles(t *testing.T) {
	var envs, keys, stanzas, addrs strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&keys, "k%dx: 1\n", i)
		fmt.Fprintf(&stanzas, "[a-b%d]\n", i)
	}
	for i := range 20_000 {
		fmt.Fprintf(&envs, "  e%d: {inherits: e%d, zzz: {}}\n", i, i+1)
		fmt.Fprintf(&addrs, "10.%d.%d.0/24,", i/256, i%256)
	}
	for name, c := range map[string]struct{ file, text, want string }{
		"environments": {FileYAML, "app: a\nenvironments:\n" + envs.String(), "at most 1000"},
		"keys":         {FileYAML, keys.String(), "at most 1000"},
		"stanzas":      {FileProperties, stanzas.String(), "at most 1000"},
		"properties":   {FileProperties, "[a-b]\n" + keys.String(), "and 980 more"},
		"addresses":    {FileProperties, "[a-b]\nallowedIps=" + addrs.String() + "\n", "got 20000 entries, want at most 1000"},
		"a long line":  {FileProperties, "[a-b]\nadminIps=" + strings.Repeat("1", 1_000_000) + "\n", "adminIps: got"},
	} {
		_, err := Load(Options{Dir: dirWith(t, c.file, c.text), Getenv: noEnv})
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 100_000 {
			t.Errorf("%s: got %.2000v, want %q", name, err, c.want)
		}
	}
}
