// Command ringwall puts a web app behind eleven walls and proves that each one holds.
package main

import (
	"os"

	"github.com/ringwall/ringwall/cli"
	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/local"
)

func main() {
	sandbox.Init()
	if code, ok := local.Child(); ok {
		os.Exit(code)
	}
	os.Exit(cli.Main(os.Args[1:]))
}
