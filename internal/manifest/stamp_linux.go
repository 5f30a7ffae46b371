package manifest

import (
	"io/fs"
	"syscall"
)

func stampOf(st fs.FileInfo) stamp {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return stamp{}
	}
	return stamp{uint64(s.Dev), s.Ino, s.Size, times(s.Mtim), times(s.Ctim)}
}

func times(t syscall.Timespec) [2]int64 { return [2]int64{int64(t.Sec), int64(t.Nsec)} }
