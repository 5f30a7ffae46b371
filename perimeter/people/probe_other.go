//go:build !linux

package people

import "github.com/ringwall/ringwall/perimeter"

// Only Linux has these walls, and only there can they be tried.
var controls []*perimeter.Control
