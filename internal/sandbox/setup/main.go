//go:build linux

// Command setup is what a sandboxed program's process runs until its walls stand.
// It does what any program that imports internal/sandbox can do; being small, it
// starts in a third of the time that Ringwall itself takes.
package main

import "github.com/ringwall/ringwall/internal/sandbox"

func main() { sandbox.Init() }
