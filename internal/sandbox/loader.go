package sandbox

import (
	"encoding/binary"
	"os"
)

// Loader returns the dynamic loader that a program names; a static one names
// none, and neither does what is no 64-bit little-endian ELF file. It reads the
// few fields itself: a set-up process has no time to initialise debug/elf.
func Loader(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	const fileHeader, programHeader, interpreter = 64, 56, 3
	head := make([]byte, 4096)
	n, _ := f.Read(head)
	le, head := binary.LittleEndian, head[:n]
	if len(head) < fileHeader || string(head[:6]) != "\x7fELF\x02\x01" || le.Uint16(head[54:]) != programHeader {
		return ""
	}
	at := le.Uint64(head[32:])
	for range le.Uint16(head[56:]) {
		if at > uint64(len(head)) || uint64(len(head))-at < programHeader {
			return ""
		}
		p := head[at:]
		if le.Uint32(p) == interpreter {
			b := make([]byte, min(le.Uint64(p[32:]), 4096))
			if n, err := f.ReadAt(b, int64(le.Uint64(p[8:]))); n > 1 && (err == nil || n == len(b)) {
				return string(b[:n-1])
			}
			return ""
		}
		at += programHeader
	}
	return ""
}
