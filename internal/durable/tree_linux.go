package durable

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// SyncTree makes everything below a directory durable, with one call for its file
// system in place of one for each of thousands of files.
func SyncTree(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("bringing %s to the disk: %w", dir, err)
	}
	return nil
}
