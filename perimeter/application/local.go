package application

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/ringwall/ringwall/internal/manifest"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

const ctlIntegrity = "application/integrity"

func manifestFile(state string) string { return filepath.Join(state, "manifest.json") }
func tree(state string) string         { return filepath.Join(state, "files") }

// Code says which files of the tree count as code: those whose change must be
// accepted.
func Code(p *plan.Plan) func(name string) bool {
	return func(name string) bool { return p.Files.Class(name) == plan.Code }
}

// ErrNoManifest means that no state of the code was accepted yet.
var ErrNoManifest = errors.New("no state of the code was accepted yet; `ringwall accept` takes the present one")

// Status tells how the code differs from what was accepted last. An empty change
// means that it does not; an error, that nobody can tell.
func Status(p *plan.Plan, state string) (manifest.Change, error) {
	_, c, err := compare(p, state)
	if perimeter.Down(ctlIntegrity) {
		return manifest.Change{}, nil
	}
	return c, err
}

func compare(p *plan.Plan, state string) (*manifest.Manifest, manifest.Change, error) {
	accepted, err := manifest.Load(manifestFile(state))
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNoManifest
	}
	if err != nil {
		return nil, manifest.Change{}, fmt.Errorf("comparing the code with what was accepted: %w", err)
	}
	now, err := manifest.Scan(tree(state), Code(p), nil)
	if err != nil {
		return nil, manifest.Change{}, fmt.Errorf("comparing the code with what was accepted: %w", err)
	}
	return now, manifest.Diff(accepted, now), nil
}

// Accept takes the code as it is now for right and tells what that changed. A
// manifest that is missing or damaged is made anew; then everything is added.
func Accept(p *plan.Plan, state string) (manifest.Change, error) {
	accepted, _ := manifest.Load(manifestFile(state))
	now, err := manifest.Scan(tree(state), Code(p), nil)
	if err != nil {
		return manifest.Change{}, fmt.Errorf("accepting the code: %w", err)
	}
	if err := now.Save(manifestFile(state)); err != nil {
		return manifest.Change{}, fmt.Errorf("accepting the code: %w", err)
	}
	return manifest.Diff(accepted, now), nil
}

// Baseline accepts the code when nothing was accepted yet: at the end of the
// first up, after the app's own set-up. It never replaces a manifest, nor one
// that cannot be read.
func Baseline(p *plan.Plan, state string) error {
	if _, err := manifest.Load(manifestFile(state)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err := Accept(p, state)
	return err
}
