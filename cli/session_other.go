//go:build !linux

package cli

import "syscall"

func newSession() *syscall.SysProcAttr { return nil }
