//go:build smallsetup

package sandbox

import _ "embed"

// setup is the small program, which `make build` puts there.
//
//go:embed setup/setup
var setup []byte
