//go:build !smallsetup

package sandbox

// setup is empty: a sandbox is set up by this program itself.
var setup []byte
