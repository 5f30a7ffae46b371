package cli

import "syscall"

// newSession parts a process from this terminal.
func newSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
