//go:build !linux

package local

import (
	"context"
	"errors"
	"runtime"

	"github.com/ringwall/ringwall/plan"
)

var errOther = errors.New("a site needs Linux with its namespaces, and this is " + runtime.GOOS + "; run it in a Linux machine (a virtual one will do); init, validate, config, explain and probe --url work here")

// Child has no role to run on this system.
func Child() (code int, ok bool) { return 0, false }

// Up refuses: nothing runs without its walls.
func Up(context.Context, *plan.Plan, Options) error { return errOther }

// Doctor says what this system lacks.
func Doctor(context.Context, *plan.Plan) []Check {
	return []Check{{Name: "Linux", Required: true, Detail: errOther.Error(), Fix: "use a Linux machine"}}
}
