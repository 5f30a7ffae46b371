package sandbox

import "debug/elf"

// Loader returns the dynamic loader that a program names; a static one names none.
func Loader(name string) string {
	f, err := elf.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			b := make([]byte, min(p.Filesz, 4096))
			if n, err := p.ReadAt(b, 0); n > 1 && (err == nil || n == len(b)) {
				return string(b[:n-1])
			}
		}
	}
	return ""
}
