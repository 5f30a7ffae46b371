package cli

import (
	"fmt"
	"os"
	"os/user"

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
ProtectKernelLogs=yes
LockPersonality=yes
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
			if os.Getuid() == 0 {
				home = "read-only"
			}
			fmt.Fprintf(c.OutOrStdout(), unitText, p.Site(), u.Username, p.Dir(), self, p.File, "yes", home)
			return nil
		},
	}
	flags.add(c)
	return c
}
