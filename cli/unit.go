package cli

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

const unitText = `[Unit]
Description=Ringwall: %[1]s
After=network-online.target
Wants=network-online.target

[Service]
Type=simple
User=%[2]s
WorkingDirectory=%[3]s
ExecStart=%[4]s up %[1]s -c %[5]s
Restart=always
RestartSec=1
KillMode=mixed
TimeoutStopSec=60
# The site's own control groups, so that its limits are enforced by the kernel.
Delegate=yes
# Nothing below may forbid namespaces: they are the walls.
NoNewPrivileges=%[6]s
ProtectHome=%[7]s
ProtectClock=yes
ProtectKernelModules=yes
%[8]sLockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
`

func newUnit() *cobra.Command {
	var flags planFlags
	c := &cobra.Command{
		Use:     "unit [site]",
		Short:   "Print a systemd unit that keeps a site up",
		Example: "  ringwall unit wp-prod | sudo tee /etc/systemd/system/wp-prod.service",
		Args:    atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := flags.load(args)
			if err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			u, err := user.Current()
			if err != nil {
				return err
			}
			home := "no" // the site lies in it
			if os.Getuid() == 0 && !inHome(p.Dir()) {
				home = "read-only"
			}
			kernelLogs := "ProtectKernelLogs=yes\n"
			if os.Getuid() != 0 {
				// It covers a file of /proc, and the kernel then refuses a user's own
				// namespace a /proc of its own.
				kernelLogs = ""
			}
			fmt.Fprintf(c.OutOrStdout(), unitText, p.Site(), u.Username, unitPath(p.Dir()), unitWord(self), unitWord(p.File), "yes", home, kernelLogs)
			return nil
		},
	}
	flags.add(c)
	return c
}

// inHome says whether a directory is one of those that ProtectHome covers.
func inHome(dir string) bool {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	for _, home := range []string{"/home", "/root", "/run/user"} {
		if dir == home || strings.HasPrefix(dir, home+"/") {
			return true
		}
	}
	return false
}

// unitPath writes a path as a setting's whole value.
func unitPath(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// unitWord writes one word of a command line.
func unitWord(s string) string {
	s = unitPath(s)
	if !strings.ContainsAny(s, " \t\"'\\$;") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", "$$").Replace(s) + `"`
}
