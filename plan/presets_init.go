package plan

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Answers are what `ringwall init` asks for.
type Answers struct {
	App    string
	Preset string
	Admins []string // addresses and blocks; empty: the default
}

// Starter writes a ringwall.yaml from three answers. Every answer is judged as if
// it stood in the file.
func Starter(a Answers) ([]byte, error) {
	if d := isName(a.App); d != nil {
		return nil, fmt.Errorf("naming the app: got %q, want %s", a.App, d.want)
	}
	body, ok := starters[a.Preset]
	if !ok {
		return nil, Problem{Doing: "choosing the preset", Got: quote(a.Preset), Want: oneOf(presetNames), Hint: didYouMean(a.Preset, presetNames)}
	}
	var admins []string
	for _, s := range a.Admins {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		p, err := parseBlock(s)
		if err != nil || p.Bits() == 0 {
			return nil, fmt.Errorf("reading the administrators' address: got %q, want an address such as 192.0.2.1 or a block such as 192.0.2.0/24", s)
		}
		if !usable(p.Addr()) {
			return nil, fmt.Errorf("reading the administrators' address: got %q, want the address that their requests come from; on this machine a door of its own stands for it, so any real one will do", s)
		}
		admins = append(admins, `"`+s+`"`)
	}
	if len(admins) == 0 {
		admins = []string{`"192.0.2.1"`}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, starterHead, a.App, a.Preset, strings.Join(admins, ", "))
	b.WriteString(body)
	b.WriteString(starterTail)
	return b.Bytes(), nil
}

const starterHead = `# A site of Ringwall. ringwall config show prints every key with its value,
# ringwall config schema prints the schema for your editor.
app: %s
preset: %s

# Who administers: addresses and blocks. Everybody else is a visitor.
admins: [%s]

# Who may ask at all; "*" is everybody.
allowed: ["*"]

`

var starters = map[string]string{
	PresetGeneric: `# The app's files. Admin may write them, fleet sees them read-only.
files:
  source: ./site
  uploads: [uploads] # what users bring: never executed

# The program; it serves HTTP on $PORT. For files alone write kind: static instead.
command: ["{files}/app"]

# Refused on fleet.
routes:
  admin: [/admin/*]

# The app finds its database's address and password in the file $DATABASE_SECRET.
database:
  config: "" # instance makes a private PostgreSQL
`,
	PresetWordPress: `# WordPress comes from this system's package, its database is MariaDB. To start
# from a tree and a dump of your own:
# files: {source: ./wordpress}
# database: {snapshot: ./dump.sql}
`,
	PresetNodeRED: `# The user directory with flows.json and settings.js.
files:
  source: ./node-red

# Where node-red and node lie, beside the system's own directories.
# host: {programs: [/opt/node-red]}
`,
}

const starterTail = `
tiers:
  fleet: {min: 2, max: 4}

# Each environment is a site, named <app>-<environment>.
default: dev
environments:
  dev: {}
  prod:
    inherits: dev
`

// WriteStarter writes the file, and makes the directory that it names as the app's
// files when there is none. A file that exists is left alone unless force is set.
func WriteStarter(path string, a Answers, force bool) error {
	data, err := Starter(a)
	if err != nil {
		return err
	}
	flag := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flag = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, flag, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("writing %s: got a file that exists, want none; --force replaces it", path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	dir := map[string]string{PresetGeneric: "site", PresetNodeRED: "node-red"}[a.Preset]
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(filepath.Dir(path), dir), 0o755); err != nil {
		return fmt.Errorf("making the directory of the app's files: %w", err)
	}
	return nil
}
