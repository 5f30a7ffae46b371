package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	sysMknod  = 0 // this architecture has mknodat alone
)

var (
	archNever = []uint32{unix.SYS_KEXEC_FILE_LOAD}
	archMeta  []uint32
	archFork  []uint32
)

func archGuard(*filter) {}
