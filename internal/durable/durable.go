// Package durable writes files so that after a crash or a power cut each of them
// has its former content or its new one, whole.
package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// WriteFile replaces a file. What fails leaves the former one.
func WriteFile(name string, data []byte, mode os.FileMode) error {
	return WriteFileAs(name, data, mode, os.Geteuid(), os.Getegid())
}

// WriteFileAs is WriteFile for a file that another user is to own.
func WriteFileAs(name string, data []byte, mode os.FileMode, uid, gid int) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode)); err == nil && uid != os.Geteuid() {
		err = f.Chown(uid, gid)
	}
	if err == nil {
		err = Commit(f, name)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// Commit brings a finished temporary file to the disk under its name, which is in
// the same directory.
func Commit(f *os.File, name string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(name))
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
