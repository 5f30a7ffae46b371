//go:build !linux

package host

import (
	"context"
	"errors"

	"github.com/ringwall/ringwall/perimeter"
)

// Only Linux has these walls, and only there can they be tried; of a site on AWS
// its own instances say what the app may do.
var controls = onAWS([]*perimeter.Control{
	{ID: "host/seccomp", Doc: docSeccomp, Why: whySeccomp, Vantage: perimeter.InFleet, Probe: untried},
	{ID: "host/no-new-privs", Doc: docNewPrivs, Why: whyNewPrivs, Vantage: perimeter.InFleet, Probe: untried},
	{ID: "host/no-capabilities", Doc: docCapabilities, Why: whyCapabilities, Vantage: perimeter.InFleet, Probe: untried},
	{ID: "host/admin-no-capabilities", Doc: docAdminCapabilities, Why: whyCapabilities, Vantage: perimeter.InAdmin, Probe: untried},
})

func untried(context.Context, *perimeter.Target) error {
	return errors.New("only Linux has this wall")
}
