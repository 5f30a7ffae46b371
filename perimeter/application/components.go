package application

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/plan"
)

// A Component is a part of the app that somebody else wrote. Whether it has known
// holes is not said: that needs a database that changes every day.
type Component struct {
	Kind    string `json:"kind"` // composer, npm, go, wordpress, wordpress-plugin, wordpress-theme
	Name    string `json:"name"`
	Version string `json:"version"`
	Path    string `json:"path"` // the file that says so
}

const maxLockFile = 32 << 20

// Components lists what the lock files and headers in the code of a tree name,
// sorted. A file that cannot be read as what it should be is an error.
func Components(p *plan.Plan, dir string) ([]Component, error) {
	var all []Component
	err := walkCode(p, dir, func(root *os.Root, name string, st fs.FileInfo) error {
		read := reader(name)
		if read == nil {
			return nil
		}
		if st.Size() > maxLockFile {
			return fmt.Errorf("%s has %d bytes, want at most %d", name, st.Size(), maxLockFile)
		}
		b, err := root.ReadFile(name)
		if err != nil {
			return err
		}
		found, err := read(b)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, c := range found {
			c.Path = name
			all = append(all, c)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the app's components: %w", err)
	}
	slices.SortFunc(all, func(a, b Component) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Path, b.Path))
	})
	return all, nil
}

func reader(name string) func([]byte) ([]Component, error) {
	switch path.Base(name) {
	case "composer.lock":
		return composerLock
	case "package-lock.json":
		return packageLock
	case "go.mod":
		return goMod
	}
	dir := path.Dir(name)
	switch {
	case strings.HasSuffix(name, "wp-includes/version.php"):
		return wordpressVersion
	case path.Base(path.Dir(dir)) == "plugins" && path.Ext(name) == ".php", path.Base(dir) == "plugins" && path.Ext(name) == ".php":
		return header("wordpress-plugin", "Plugin Name")
	case path.Base(path.Dir(dir)) == "themes" && path.Base(name) == "style.css":
		return header("wordpress-theme", "Theme Name")
	}
	return nil
}

func composerLock(b []byte) ([]Component, error) {
	var d struct {
		Packages []struct{ Name, Version string }
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("reading a composer.lock: %w", err)
	}
	var out []Component
	for _, p := range d.Packages {
		out = append(out, Component{Kind: "composer", Name: p.Name, Version: strings.TrimPrefix(p.Version, "v")})
	}
	return out, nil
}

func packageLock(b []byte) ([]Component, error) {
	type entry struct {
		Version string
		Dev     bool
		Link    bool
	}
	var d struct {
		Packages     map[string]entry
		Dependencies map[string]entry // lock files of version 1
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("reading a package-lock.json: %w", err)
	}
	var out []Component
	add := func(name string, e entry) {
		if name != "" && e.Version != "" && !e.Dev && !e.Link {
			out = append(out, Component{Kind: "npm", Name: name, Version: e.Version})
		}
	}
	for at, e := range d.Packages {
		if i := strings.LastIndex(at, "node_modules/"); i >= 0 {
			add(at[i+len("node_modules/"):], e)
		}
	}
	if d.Packages == nil {
		for name, e := range d.Dependencies {
			add(name, e)
		}
	}
	return out, nil
}

func goMod(b []byte) ([]Component, error) {
	var out []Component
	block := false
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "//")
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "require" && f[1] == "(":
			block = true
			continue
		case len(f) == 1 && f[0] == ")":
			block = false
		case len(f) == 3 && f[0] == "require":
			f = f[1:]
			fallthrough
		case block && len(f) == 2:
			out = append(out, Component{Kind: "go", Name: f[0], Version: strings.TrimPrefix(f[1], "v")})
		}
	}
	return out, nil
}

var wpVersion = lazy.Regexp(`(?m)^\s*\$wp_version\s*=\s*['"]([0-9][0-9A-Za-z.-]*)['"]`)

func wordpressVersion(b []byte) ([]Component, error) {
	if m := wpVersion().FindSubmatch(b); m != nil {
		return []Component{{Kind: "wordpress", Name: "WordPress", Version: string(m[1])}}, nil
	}
	return nil, nil
}

// header reads the comment at the start of a plugin or theme, of which WordPress
// takes the first 8 KB.
func header(kind, nameKey string) func([]byte) ([]Component, error) {
	return func(b []byte) ([]Component, error) {
		c := Component{Kind: kind}
		sc := bufio.NewScanner(bytes.NewReader(b[:min(len(b), 8<<10)]))
		for sc.Scan() {
			key, value, ok := strings.Cut(strings.TrimLeft(sc.Text(), " \t/*#@"), ":")
			value = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "*/"))
			switch {
			case !ok:
			case strings.EqualFold(strings.TrimSpace(key), nameKey) && c.Name == "":
				c.Name = value
			case strings.EqualFold(strings.TrimSpace(key), "Version") && c.Version == "":
				c.Version = value
			}
		}
		if c.Name == "" {
			return nil, nil
		}
		return []Component{c}, nil
	}
}

// ends is when the makers stop to mend security holes in a run time.
var ends = map[string]map[string]string{
	"php":     {"7.4": "2022-11-28", "8.0": "2023-11-26", "8.1": "2025-12-31", "8.2": "2026-12-31", "8.3": "2027-12-31", "8.4": "2028-12-31"},
	"node":    {"16": "2023-09-11", "18": "2025-04-30", "20": "2026-04-30", "22": "2027-04-30", "24": "2028-04-30"},
	"python":  {"3.8": "2024-10-07", "3.9": "2025-10-31", "3.10": "2026-10-31", "3.11": "2027-10-31", "3.12": "2028-10-31", "3.13": "2029-10-31"},
	"mariadb": {"10.5": "2025-06-24", "10.6": "2026-07-06", "10.11": "2028-02-16", "11.4": "2029-05-29"},
}

// Support tells until when a version of a run time (php, node, python, mariadb)
// gets security fixes from its makers. It is not known for most; a distribution
// may mend holes for longer.
func Support(runtime, version string) (until time.Time, known bool) {
	versions := ends[runtime]
	for v := strings.TrimPrefix(version, "v"); v != ""; {
		if s, ok := versions[v]; ok {
			t, err := time.Parse(time.DateOnly, s)
			return t, err == nil
		}
		i := strings.LastIndexByte(v, '.')
		if i < 0 {
			break
		}
		v = v[:i]
	}
	return time.Time{}, false
}
