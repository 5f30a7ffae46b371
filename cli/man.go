package cli

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man <directory>",
		Short: "Write the manual pages",
		RunE: func(c *cobra.Command, args []string) error {
			if err := want(args, 1, 1, "the directory to write to"); err != nil {
				return err
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("writing the manual pages: %w", err)
			}
			date := time.Unix(0, 0)
			root := c.Root()
			root.DisableAutoGenTag = true
			return doc.GenManTree(root, &doc.GenManHeader{Title: "RINGWALL", Section: "1", Source: "ringwall", Manual: "Ringwall", Date: &date}, args[0])
		},
	}
}
