//go:build !linux

package durable

import (
	"io/fs"
	"os"
	"path/filepath"
)

// SyncTree makes everything below a directory durable.
func SyncTree(dir string) error {
	return filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !(e.IsDir() || e.Type().IsRegular()) {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	})
}
