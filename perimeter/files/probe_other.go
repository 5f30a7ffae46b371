//go:build !linux

package files

import (
	"context"
	"errors"

	"github.com/ringwall/ringwall/perimeter"
)

// Only Linux has these walls, and only there can they be tried; a site on AWS is
// tried by its own instances.
func untried(context.Context, *perimeter.Target) error {
	return errors.New("only Linux has this wall")
}

var noOverwrite, noCreate, noRename, noAttributes, noRemount, uploadsNoExec, adminWrites = untried, untried, untried, untried, untried, untried, untried
