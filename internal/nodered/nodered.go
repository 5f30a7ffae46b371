// Package nodered prepares Node-RED's user directory: settings that tell the tiers
// apart by RINGWALL_TIER, and a node that says whether the flows run.
package nodered

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed settings.js nodes
var content embed.FS

// Fill writes what dir lacks of it. A file that exists is left as it is.
func Fill(dir string) error {
	return fs.WalkDir(content, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, name)
		if d.IsDir() {
			err = os.MkdirAll(to, 0o755)
		} else {
			err = write(to, name)
		}
		if err != nil {
			return fmt.Errorf("preparing Node-RED's user directory: %w", err)
		}
		return nil
	})
}

func write(to, name string) error {
	b, err := content.ReadFile(name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
