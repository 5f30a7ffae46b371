package transform

import "bytes"

// normalisePath is filepath.Clean of Unix, with the last slash kept and nothing
// for ".".
func normalisePath(dst, src []byte) ([]byte, bool) {
	if index(src, Slash|Dot) < 0 {
		return src, false
	}
	dst = clean(dst, src)
	if len(dst) == 0 {
		return dst, true
	}
	if src[len(src)-1] == '/' {
		dst = append(dst, '/')
	}
	if bytes.Equal(dst, src) {
		return src, false
	}
	return dst, true
}

// clean writes the shortest equal path over dst; "." is nothing.
func clean(dst, src []byte) []byte {
	dst = dst[:0]
	rooted := src[0] == '/'
	floor := 0 // .. goes no further back than this
	if rooted {
		dst, floor = append(dst, '/'), 1
	}
	for i := 0; i < len(src); {
		if src[i] == '/' {
			i++
			continue
		}
		n := bytes.IndexByte(src[i:], '/')
		if n < 0 {
			n = len(src) - i
		}
		part := src[i : i+n]
		i += n
		switch {
		case len(part) == 1 && part[0] == '.':
		case len(part) == 2 && part[0] == '.' && part[1] == '.':
			switch {
			case len(dst) > floor:
				k := bytes.LastIndexByte(dst[floor:], '/')
				dst = dst[:floor+max(k, 0)]
			case !rooted:
				if len(dst) > 0 {
					dst = append(dst, '/')
				}
				dst = append(dst, '.', '.')
				floor = len(dst)
			}
		default:
			if len(dst) > 0 && dst[len(dst)-1] != '/' {
				dst = append(dst, '/')
			}
			dst = append(dst, part...)
		}
	}
	return dst
}

// normalisePathWin is normalisePath of a path with either slash, without what
// Windows ignores: the stream of the last component, and dots and spaces at the
// end of each.
func normalisePathWin(dst, src []byte) ([]byte, bool) {
	if index(src, Slash|Dot|Backslash|Blank|Colon) < 0 {
		return src, false
	}
	in := src
	if bytes.IndexByte(src, '\\') >= 0 {
		// The second half of dst is room for the path with its slashes turned.
		if cap(dst) < 2*len(src)+2 {
			dst = make([]byte, 0, 2*len(src)+2)
		}
		in = dst[len(src)+2 : 2*len(src)+2]
		for i, c := range src {
			if c == '\\' {
				c = '/'
			}
			in[i] = c
		}
		dst = dst[: 0 : len(src)+2]
	}
	if len(in) > 0 {
		dst = clean(dst, in)
		if len(dst) > 0 && in[len(in)-1] == '/' {
			dst = append(dst, '/')
		}
	}
	dst = trimComponents(cutStream(dst))
	if bytes.Equal(dst, src) {
		return src, false
	}
	return dst, true
}

// cutStream drops the name of an NTFS stream in place: in the last component,
// but for a drive's letter, everything from a colon on.
func cutStream(s []byte) []byte {
	body := s
	if len(s) >= 2 && s[1] == ':' && classes[s[0]]&(Upper|Lower) != 0 {
		body = s[2:]
	}
	slash := len(body) > 0 && body[len(body)-1] == '/'
	if slash {
		body = body[:len(body)-1]
	}
	last := bytes.LastIndexByte(body, '/') + 1
	colon := bytes.IndexByte(body[last:], ':')
	if colon < 0 {
		return s
	}
	s = s[:len(s)-len(body[last+colon:])]
	if slash {
		s[len(s)-1] = '/'
	}
	return s
}

// trimComponents drops in place dots and spaces at the end of components that
// are not dots alone, and components of which nothing is left.
func trimComponents(s []byte) []byte {
	if !anyTrimmed(s) {
		return s
	}
	out, wrote := s[:0], false
	for i := 0; i <= len(s); {
		n := bytes.IndexByte(s[i:], '/')
		if n < 0 {
			n = len(s) - i
		}
		part := s[i : i+n]
		i += n + 1
		if !allDots(part) {
			if part = bytes.TrimRight(part, ". "); len(part) == 0 {
				continue
			}
		}
		if wrote {
			out = append(out, '/')
		}
		out, wrote = append(out, part...), true
	}
	return out
}

func anyTrimmed(s []byte) bool {
	for i := 0; i <= len(s); {
		n := bytes.IndexByte(s[i:], '/')
		if n < 0 {
			n = len(s) - i
		}
		part := s[i : i+n]
		if n > 0 && (part[n-1] == '.' || part[n-1] == ' ') && !allDots(part) {
			return true
		}
		i += n + 1
	}
	return false
}

func allDots(s []byte) bool {
	for _, c := range s {
		if c != '.' {
			return false
		}
	}
	return true
}
