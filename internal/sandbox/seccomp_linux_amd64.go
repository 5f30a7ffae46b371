package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_X86_64
	sysMknod  = unix.SYS_MKNOD
	x32Bit    = 0x40000000
)

var archNever = []uint32{
	unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_USELIB, unix.SYS_USTAT, unix.SYS_SYSFS,
	unix.SYS__SYSCTL, unix.SYS_CREATE_MODULE, unix.SYS_GET_KERNEL_SYMS, unix.SYS_QUERY_MODULE,
}

var archMeta = []uint32{unix.SYS_CHMOD, unix.SYS_CHOWN, unix.SYS_LCHOWN, unix.SYS_UTIME, unix.SYS_UTIMES, unix.SYS_FUTIMESAT}

var archFork = []uint32{unix.SYS_FORK, unix.SYS_VFORK}

// archGuard refuses the x32 calls, which share this architecture's mark and
// have numbers of their own.
func archGuard(f *filter) { f.atLeast(x32Bit, deny(unix.EPERM)) }
