package files

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

func site(kind plan.Kind, source string) *plan.Plan {
	return &plan.Plan{Kind: kind, Tiers: []plan.Tier{{Name: plan.Admin, Write: true}, {Name: plan.Fleet}},
		Files: plan.Files{Source: source, Mount: "/srv/site", Uploads: []string{"wp-content/uploads"}}}
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestAllow(t *testing.T) {
	state := t.TempDir()
	if _, err := Install(site(plan.PHP, ""), state, Options{UID: os.Getuid()}); err != nil {
		t.Fatal(err)
	}
	tree := Tree(state)
	up := filepath.Join(tree, "wp-content/uploads")
	for _, tt := range []struct {
		kind plan.Kind
		tier string
		down []string
		want []sandbox.Mount
		meta bool
	}{
		{plan.PHP, plan.Admin, nil, []sandbox.Mount{{Source: tree, Target: "/srv/site", Write: true}}, true},
		{plan.PHP, plan.Fleet, nil, []sandbox.Mount{{Source: tree, Target: "/srv/site"}}, false},
		{plan.Command, plan.Admin, nil, []sandbox.Mount{{Source: tree, Target: "/srv/site", Write: true, Exec: true}, {Source: up, Target: "/srv/site/wp-content/uploads", Write: true}}, true},
		{plan.Command, plan.Fleet, nil, []sandbox.Mount{{Source: tree, Target: "/srv/site", Exec: true}, {Source: up, Target: "/srv/site/wp-content/uploads"}}, false},
		{plan.PHP, plan.Fleet, []string{ctlReadOnly}, []sandbox.Mount{{Source: tree, Target: "/srv/site", Write: true}}, true},
		{plan.Command, plan.Fleet, []string{ctlNoExec}, []sandbox.Mount{{Source: tree, Target: "/srv/site", Exec: true}}, false},
		{plan.Static, plan.Fleet, []string{ctlNoExec}, []sandbox.Mount{{Source: tree, Target: "/srv/site", Exec: true}}, false},
	} {
		if tt.down != nil && !perimeter.CanTakeDown {
			continue
		}
		perimeter.SetDown(tt.down)
		var spec sandbox.Spec
		err := Allow(site(tt.kind, ""), tt.tier, tree, &spec)
		perimeter.SetDown(nil)
		if err != nil || !slices.Equal(spec.Mounts, tt.want) || spec.Calls.Meta != tt.meta {
			t.Errorf("%s %s without %q: got %+v, meta %v, %v; want %+v", tt.kind, tt.tier, tt.down, spec.Mounts, spec.Calls.Meta, err, tt.want)
		}
	}
}

// An uploads directory that is missing, or that leads elsewhere, would make
// uploads executable.
func TestAllowRefuses(t *testing.T) {
	for _, tt := range []struct{ name, want string }{{"missing", "got nothing"}, {"link", "got a symbolic link"}, {"file", "got a file"}} {
		tree := t.TempDir()
		up := filepath.Join(tree, "wp-content/uploads")
		os.Mkdir(filepath.Dir(up), 0o755)
		switch tt.name {
		case "link":
			os.Symlink("/tmp", up)
		case "file":
			write(t, up, "", 0o644)
		}
		if err := Allow(site(plan.Command, ""), plan.Fleet, tree, &sandbox.Spec{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	if err := Allow(site(plan.PHP, ""), "nobody", t.TempDir(), &sandbox.Spec{}); err == nil {
		t.Error("an unknown tier: got no error")
	}
}

func TestInstall(t *testing.T) {
	dir := t.TempDir()
	source, state := filepath.Join(dir, "site"), filepath.Join(dir, "site", ".ringwall", "wp-dev")
	outside := filepath.Join(dir, "outside")
	write(t, filepath.Join(source, "index.php"), "<?php", 0o600)
	write(t, filepath.Join(source, "bin/tool"), "#!", 0o4750)
	write(t, filepath.Join(state, "secrets/key"), "secret", 0o600)
	write(t, filepath.Join(state, ".files-killed/x"), "", 0o600)
	write(t, filepath.Join(outside, "lib/a.php"), "outside", 0o644)
	os.Symlink(filepath.Join(outside, "lib"), filepath.Join(source, "lib"))
	os.Symlink("/etc/passwd", filepath.Join(source, "passwd"))
	os.Symlink("nowhere", filepath.Join(source, "broken"))
	p := site(plan.PHP, source)

	made, err := Install(p, state, Options{UID: os.Getuid(), Follow: []string{outside}})
	if err != nil || !made {
		t.Fatal(made, err)
	}
	tree := Tree(state)
	for name, want := range map[string]os.FileMode{"index.php": 0o644, "bin/tool": 0o755, "bin": os.ModeDir | 0o755, "wp-content/uploads": os.ModeDir | 0o755,
		"passwd": os.ModeSymlink | 0o777, "broken": os.ModeSymlink | 0o777, "lib/a.php": 0o644, ".": os.ModeDir | 0o755} {
		if st, err := os.Lstat(filepath.Join(tree, name)); err != nil || st.Mode() != want {
			t.Errorf("%s: got %v, %v, want mode %v", name, st, err, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(tree, ".ringwall")); err == nil {
		t.Error("the state, with its secrets, was copied into the tree")
	}
	if left, _ := filepath.Glob(filepath.Join(state, ".files-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}

	// The second up keeps what admin changed.
	write(t, filepath.Join(tree, "index.php"), "changed", 0o644)
	os.RemoveAll(filepath.Join(tree, "wp-content"))
	if made, err = Install(p, state, Options{UID: os.Getuid()}); err != nil || made {
		t.Fatal(made, err)
	}
	if b, _ := os.ReadFile(filepath.Join(tree, "index.php")); string(b) != "changed" {
		t.Errorf("got %q", b)
	}
	if _, err := os.Stat(filepath.Join(tree, "wp-content/uploads")); err != nil {
		t.Error(err)
	}
}

func TestInstallRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(source string)
		want string
	}{
		{"pipe", func(s string) { syscall.Mkfifo(filepath.Join(s, "a"), 0o600) }, "named pipe"},
		{"missing", func(s string) { os.RemoveAll(s) }, "check files.source"},
		{"file", func(s string) { os.RemoveAll(s); os.WriteFile(s, nil, 0o600) }, "not a directory"},
		{"uploads are a link", func(s string) { os.Mkdir(s+"/wp-content", 0o755); os.Symlink("/etc", s+"/wp-content/uploads") }, "got a symbolic link"},
		{"loop", func(s string) { os.Mkdir(s+"/a", 0o755); os.Symlink("..", s+"/a/b") }, "link to a directory above"},
	} {
		source, state := filepath.Join(t.TempDir(), "s"), t.TempDir()
		os.Mkdir(source, 0o755)
		tt.make(source)
		real, _ := filepath.EvalSymlinks(source)
		_, err := Install(site(plan.PHP, source), state, Options{UID: os.Getuid(), Follow: []string{real}})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		if left, _ := os.ReadDir(state); len(left) > 0 {
			t.Errorf("%s: left behind %v", tt.name, left)
		}
	}
}
