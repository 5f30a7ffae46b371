package sandbox

import "golang.org/x/sys/unix"

// A filter is a seccomp program under construction. Offsets of jumps are kept
// within one rule, so that no rule can reach into another.
type filter []unix.SockFilter

const (
	opLoad = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opEq   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opGe   = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opSet  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	opAnd  = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opRet  = unix.BPF_RET | unix.BPF_K

	offNumber = 0
	offArch   = 4

	retAllow = unix.SECCOMP_RET_ALLOW
	retKill  = unix.SECCOMP_RET_KILL_PROCESS
)

func deny(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) }

// offArg is the offset of the low half of an argument, on the little-endian
// machines that Ringwall runs on.
func offArg(i int) uint32 { return uint32(16 + 8*i) }

func (f *filter) op(code uint16, jt, jf uint8, k uint32) {
	*f = append(*f, unix.SockFilter{Code: code, Jt: jt, Jf: jf, K: k})
}

func (f *filter) load(off uint32) { f.op(opLoad, 0, 0, off) }
func (f *filter) ret(v uint32)    { f.op(opRet, 0, 0, v) }

// eq returns v when the loaded word is k.
func (f *filter) eq(k, v uint32) {
	f.op(opEq, 0, 1, k)
	f.ret(v)
}

// notEq returns v unless the loaded word is k.
func (f *filter) notEq(k, v uint32) {
	f.op(opEq, 1, 0, k)
	f.ret(v)
}

// atLeast returns v when the loaded word is k or more.
func (f *filter) atLeast(k, v uint32) {
	f.op(opGe, 0, 1, k)
	f.ret(v)
}

// anyBit returns v when the loaded word has a bit of k.
func (f *filter) anyBit(k, v uint32) {
	f.op(opSet, 0, 1, k)
	f.ret(v)
}

// noBit returns v when the loaded word has no bit of k.
func (f *filter) noBit(k, v uint32) {
	f.op(opSet, 1, 0, k)
	f.ret(v)
}

func (f *filter) and(k uint32) { f.op(opAnd, 0, 0, k) }

// call adds a body for one system call. The body must return in the end.
func (f *filter) call(nr uint32, body func(*filter)) {
	var b filter
	body(&b)
	if len(b) > 255 {
		panic("sandbox: a filter rule is too long")
	}
	f.op(opEq, 0, uint8(len(b)), nr)
	*f = append(*f, b...)
}
