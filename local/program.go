//go:build linux

package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/plan"
)

// systemPrograms are where an app's programs lie, as PATH inside has them.
var systemPrograms = []string{"/usr/local/bin", "/usr/bin", "/bin"}

// checkPrograms says which program is missing before anything else is started.
func (h *hub) checkPrograms() error {
	switch h.Plan.Kind {
	case plan.PHP:
		_, err := findPHP()
		return err
	case plan.Command:
		for i := range h.Plan.Tiers {
			if _, err := command(h.Plan, &h.Plan.Tiers[i], h.State.Tree(), appPort); err != nil {
				return err
			}
		}
	}
	return nil
}

// command is a tier's program and its arguments as they are inside. A name without
// a directory is looked for among what the site's tree brings, in host.programs,
// and among the system's programs. port is where it is told to listen.
func command(p *plan.Plan, t *plan.Tier, tree string, port uint16) ([]string, error) {
	if len(t.Command) == 0 {
		return nil, fmt.Errorf("the configuration names no program for %s; set tiers.%s.command, such as [\"{files}/app\"]", t.Name, t.Name)
	}
	fill := strings.NewReplacer("{port}", strconv.Itoa(int(port)), "{tier}", t.Name, "{files}", p.Files.Mount)
	args := make([]string, len(t.Command))
	for i, a := range t.Command {
		args[i] = fill.Replace(a)
	}
	name := args[0]
	if filepath.IsAbs(name) {
		if within, ok := strings.CutPrefix(name, p.Files.Mount+"/"); ok && !executable(filepath.Join(tree, within)) {
			return nil, fmt.Errorf("the program %s of %s is not in the site's files as something to execute: %s; put it into files.source before the first up, or into that place now", within, t.Name, filepath.Join(tree, within))
		}
		return args, nil
	}
	if strings.Contains(name, "/") {
		return nil, fmt.Errorf("the program of %s: got %q, want a name, an absolute path, or {files}/%s", t.Name, name, name)
	}
	if executable(filepath.Join(tree, "node_modules/.bin", name)) {
		args[0] = filepath.Join(p.Files.Mount, "node_modules/.bin", name)
		return args, nil
	}
	var dirs []string
	for _, d := range p.Host.Programs {
		dirs = append(dirs, d, filepath.Join(d, "bin"), filepath.Join(d, ".bin"))
	}
	for _, d := range append(dirs, systemPrograms...) {
		if executable(filepath.Join(d, name)) {
			args[0] = filepath.Join(d, name)
			return args, nil
		}
	}
	how := "install it"
	if name == "node-red" {
		how = "install it with: npm install -g node-red"
	}
	return nil, fmt.Errorf("the program %q of %s is neither in the site's files nor in %s; %s, or name the directory that has it in host.programs (or RINGWALL_HOST_PROGRAMS)",
		name, t.Name, strings.Join(append(p.Host.Programs, systemPrograms...), ", "), how)
}

func executable(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}
