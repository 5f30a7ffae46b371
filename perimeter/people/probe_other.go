//go:build !linux

package people

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

var controlSocket, stateDirectory, secretFiles, noSecretsInLogs = untried, untried, untried, untried

func processes(ctx context.Context, t *perimeter.Target, _ string) error { return untried(ctx, t) }
