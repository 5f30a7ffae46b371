//go:build linux

package local

import (
	"os"
	"os/exec"
	"path/filepath"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/people"
	"github.com/ringwall/ringwall/plan"
)

// spoil breaks the promises that no switch in a wall's own code can break, for
// the tests that want to see their probes notice, and returns what mends them.
// In a released binary it does nothing.
func (h *hub) spoil() (mend func()) {
	var undo []func()
	mend = func() {
		for _, f := range undo {
			f()
		}
	}
	if !perimeter.CanTakeDown {
		return mend
	}
	chmod := func(id, name string, mode, after os.FileMode) {
		if perimeter.Down(id) && os.Chmod(name, mode) == nil {
			undo = append(undo, func() { os.Chmod(name, after) })
		}
	}
	chmod("people/control-socket", h.State.Control(), 0o666, 0o600)
	chmod("people/state-directory", h.State.Dir, 0o755, 0o700)
	if files, _ := filepath.Glob(filepath.Join(h.State.Secrets(), "*.json")); len(files) > 0 {
		chmod("people/secret-files", files[0], 0o644, 0o600)
	}
	file := func(id, name, text string) {
		if perimeter.Down(id) && os.WriteFile(name, []byte(text), 0o600) == nil {
			undo = append(undo, func() { os.Remove(name) })
		}
	}
	secrets := people.Values(h.State.Secrets())
	if len(secrets) > 0 {
		file("people/no-secrets-in-logs", filepath.Join(h.State.Logs(), "spoiled.log"), secrets[0]+"\n")
		process := func(id string, args, env []string) {
			if !perimeter.Down(id) {
				return
			}
			c := exec.Command("/bin/sh", append([]string{"-c", "read x"}, args...)...)
			c.Env = env
			in, err := c.StdinPipe()
			if err != nil {
				return
			}
			if c.Start() == nil {
				undo = append(undo, func() { in.Close(); c.Wait() })
			}
		}
		process("people/no-secrets-in-argv", secrets[:1], []string{})
		process("people/no-secrets-in-environ", nil, []string{"SPOILED=" + secrets[0]})
	}
	for _, u := range h.Plan.Files.Uploads {
		file("application/no-code-in-uploads", filepath.Join(h.State.Tree(), u, "ringwall-spoiled.php"), "<?php\n")
	}
	for id, tier := range map[string]string{"vpc/no-host-loopback": plan.Fleet, "vpc/admin-no-host-loopback": plan.Admin} {
		i := h.anyInstance(tier)
		if i == nil || !perimeter.Down(id) || len(h.Plan.Network.Doors) == 0 {
			continue
		}
		if l, err := i.host.Listen(h.Plan.Network.Doors[0].Listen); err == nil {
			undo = append(undo, func() { l.Close() })
		}
	}
	return mend
}
