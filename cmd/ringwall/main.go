// Command ringwall puts a web app behind eleven walls and proves that each one holds.
package main

import (
	"os"

	"github.com/ringwall/ringwall/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
