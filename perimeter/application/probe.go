package application

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

var controls = []*perimeter.Control{
	{
		ID:      ctlIntegrity,
		Doc:     "The code that runs is the code that was accepted, and a change to it does not go unseen.",
		Why:     "A back door that is added to the code survives every restart.",
		Vantage: perimeter.Machine,
		AWS:     perimeter.NotOnAWS("nothing on AWS records what the code should be: its packages are installed by signature or checksum, and a change that the admin tier makes later is not seen"),
		Probe:   integrity,
	},
	{
		ID:      "application/no-code-in-uploads",
		Doc:     "Nothing that was uploaded is a program or a script.",
		Why:     "It waits there for the one setting that lets it run.",
		Vantage: perimeter.Machine,
		AWS:     uploadsOnAWS,
		Applies: func(p *plan.Plan) bool { return len(p.Files.Uploads) > 0 },
		Probe:   noCodeInUploads,
	},
	{
		ID:      ctlSecrets,
		Doc:     "The code holds no password, token or private key.",
		Why:     "Code is copied, shared and served by accident; what it holds is known to all who had it.",
		Vantage: perimeter.Machine,
		AWS:     perimeter.NotOnAWS("the code is not read on AWS: probe it on this machine before it is shipped"),
		Probe:   noSecrets,
	},
}

// endings are those of scripts, as alternatives of a regular expression.
func endings() string {
	var list []string
	for e := range scripts {
		list = append(list, strings.TrimPrefix(e, "."))
	}
	slices.Sort(list)
	return strings.Join(list, "|")
}

// uploadsOnAWS looks for names that some server runs, in the tree that the instances
// share.
var uploadsOnAWS = &perimeter.AWS{Try: func(p *plan.Plan, _ *perimeter.Cloud, s *perimeter.Script) {
	s.Add("M=%s", perimeter.Word(p.Files.Mount))
	s.Works("find the tree mounted", `mountpoint -q "$M"`)
	for _, u := range p.Files.Uploads {
		dir := "\"$M\"/" + perimeter.Word(path.Clean(u))
		s.Add("[ -d %s ] && seen=there || seen='not there yet'", dir)
		s.Add("say note %s \"$seen\"", perimeter.Word(u))
		s.Nothing("look for programs and scripts in "+u, "sh -c "+perimeter.Word(`! [ -d "$0" ] || timeout 60 find "$0" -type f -regextype posix-extended -iregex ".*\.(`+endings()+`)(\..*)?" -print -quit`)+" "+dir)
	}
}}

func state(t *perimeter.Target) (string, error) {
	if t.Site == nil || t.Site.State == "" {
		return "", errors.New("this probe looks at the site's files and must run on its machine")
	}
	return t.Site.State, nil
}

// scratch makes a small site beside the real one, on which a detector can be
// seen to detect.
func scratch(files map[string]string) (dir string, done func(), err error) {
	dir, err = os.MkdirTemp("", "ringwall-probe-")
	if err != nil {
		return "", nil, fmt.Errorf("making a site to try the detector on: %w", err)
	}
	done = func() { os.RemoveAll(dir) }
	err = os.Mkdir(tree(dir), 0o700)
	for name, text := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(tree(dir), name), []byte(text), 0o600))
	}
	if err != nil {
		done()
		return "", nil, fmt.Errorf("making a site to try the detector on: %w", err)
	}
	return dir, done, nil
}

func integrity(_ context.Context, t *perimeter.Target) error {
	dir, err := state(t)
	if err != nil {
		return err
	}
	t.Tried("compare the code with what was accepted")
	now, change, err := compare(t.Plan, dir)
	if err != nil {
		return err
	}
	if paths := change.Paths(); len(paths) > 0 {
		t.Broken("%d files of the code differ, the first is %s; see them with: ringwall status", len(paths), paths[0])
	} else {
		t.Saw("%d files of code are what was accepted", len(now.Files))
	}
	p := &plan.Plan{}
	trial, done, err := scratch(map[string]string{"a": "1", "b": "1", "c": "1"})
	if err != nil {
		return err
	}
	defer done()
	if _, err := Accept(p, trial); err != nil {
		return err
	}
	for what, change := range map[string]func() error{
		"a change":   func() error { return os.WriteFile(filepath.Join(tree(trial), "a"), []byte("2"), 0o600) },
		"a new file": func() error { return os.WriteFile(filepath.Join(tree(trial), "d"), []byte("1"), 0o600) },
		"a deletion": func() error { return os.Remove(filepath.Join(tree(trial), "b")) },
		"a new mode": func() error { return os.Chmod(filepath.Join(tree(trial), "c"), 0o700) },
	} {
		t.Tried("make %s to accepted code elsewhere", what)
		before, _ := Status(p, trial)
		if err := change(); err != nil {
			return fmt.Errorf("making %s: %w", what, err)
		}
		after, err := Status(p, trial)
		if err != nil {
			return err
		}
		if len(after.Paths()) != len(before.Paths())+1 {
			t.Broken("%s to the code goes unseen", what)
		} else {
			t.Saw("%s was seen", what)
		}
	}
	return nil
}

// scripts are the endings that some server would execute.
var scripts = map[string]bool{".php": true, ".php3": true, ".php4": true, ".php5": true, ".php7": true, ".phps": true, ".phtml": true, ".pht": true, ".phar": true,
	".cgi": true, ".pl": true, ".py": true, ".rb": true, ".sh": true, ".jsp": true, ".jspx": true, ".asp": true, ".aspx": true, ".htaccess": true, ".so": true, ".exe": true}

func noCodeInUploads(ctx context.Context, t *perimeter.Target) error {
	dir, err := state(t)
	if err != nil {
		return err
	}
	for _, u := range t.Plan.Files.Uploads {
		t.Tried("look through the uploads in %s", u)
		root, err := os.OpenRoot(filepath.Join(tree(dir), u))
		if err != nil {
			return fmt.Errorf("looking through the uploads: %w", err)
		}
		n := 0
		err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			n++
			what, err := code(root, name)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // deleted meanwhile
			}
			if what != "" {
				t.Broken("%s is %s", path.Join(u, name), what)
			}
			return err
		})
		root.Close()
		if err != nil {
			return fmt.Errorf("looking through the uploads in %s: %w", u, err)
		}
		t.Saw("%d files in %s", n, u)
	}
	return nil
}

// code says what kind of program a file is; empty: none.
func code(root *os.Root, name string) (string, error) {
	base := strings.ToLower(path.Base(name))
	for i, c := range base { // also an ending in the middle: a.php.jpg
		if c == '.' {
			ending, _, _ := strings.Cut(base[i+1:], ".")
			if scripts["."+ending] {
				return "a script by its name", nil
			}
		}
	}
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, 512)
	n, err := io.ReadFull(f, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return "", err
	}
	b = b[:n]
	switch {
	case bytes.HasPrefix(b, []byte("#!")), bytes.HasPrefix(b, []byte("\x7fELF")):
		return "a program by its content", nil
	case bytes.Contains(b, []byte("<?php")), bytes.Contains(b, []byte("<?=")):
		return "a PHP script by its content", nil
	}
	return "", nil
}

func noSecrets(_ context.Context, t *perimeter.Target) error {
	dir, err := state(t)
	if err != nil {
		return err
	}
	t.Tried("look for secrets in the code")
	found, err := Secrets(t.Plan, tree(dir))
	if err != nil {
		return err
	}
	for _, f := range found {
		t.Broken("%s", f)
	}
	t.Tried("look for a secret that lies in code elsewhere")
	trial, done, err := scratch(map[string]string{"config": "key = " + "AKIA" + strings.Repeat("Z", 16) + "\n"})
	if err != nil {
		return err
	}
	defer done()
	planted, err := Secrets(&plan.Plan{}, tree(trial))
	switch {
	case err != nil:
		return err
	case len(planted) != 1:
		t.Broken("an access key that lies in the code is not found")
	default:
		t.Saw("a planted key was found, and %d others", len(found))
	}
	return nil
}
