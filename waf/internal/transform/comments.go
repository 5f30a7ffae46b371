package transform

import "bytes"

func startsWith(s []byte, prefix string) bool {
	return len(s) >= len(prefix) && string(s[:len(prefix)]) == prefix
}

// removeComments drops comments of C and HTML, and everything from -- or # on.
// The character after a comment is kept whatever it is; at the end of the text
// that is a NUL.
func removeComments(dst, src []byte) ([]byte, bool) {
	if index(src, Slash|Comment) < 0 {
		return src, false
	}
	changed, inside := false, false
	dst = dst[:0]
	for i := 0; i < len(src); {
		s := src[i:]
		if inside {
			n := 0
			if startsWith(s, "*/") {
				n = 2
			} else if startsWith(s, "-->") {
				n = 3
			}
			if n == 0 {
				i++
				continue
			}
			inside = false
			if i += n; i < len(src) {
				dst = append(dst, src[i])
			} else {
				dst = append(dst, 0)
			}
			i++
			continue
		}
		switch {
		case startsWith(s, "/*"):
			inside, changed = true, true
			i += 2
		case startsWith(s, "<!--"):
			inside, changed = true, true
			i += 4
		case startsWith(s, "--") || s[0] == '#':
			return dst, true
		default:
			dst = append(dst, s[0])
			i++
		}
	}
	if inside {
		dst = append(dst, ' ')
	}
	if !changed {
		return src, false
	}
	return dst, true
}

// removeCommentsChar drops what begins or ends a comment.
func removeCommentsChar(dst, src []byte) ([]byte, bool) {
	if index(src, Slash|Comment) < 0 {
		return src, false
	}
	dst = dst[:0]
	for i := 0; i < len(src); {
		s := src[i:]
		switch {
		case startsWith(s, "/*") || startsWith(s, "*/"):
			i += 2
		case startsWith(s, "<!--"):
			i += 4
		case startsWith(s, "-->"):
			i += 3
		case startsWith(s, "--"):
			i += 2
		case s[0] == '#':
			i++
		default:
			dst = append(dst, s[0])
			i++
		}
	}
	if len(dst) == len(src) {
		return src, false
	}
	return dst, true
}

// replaceComments puts a space where a comment of C is.
func replaceComments(dst, src []byte) ([]byte, bool) {
	first := bytes.Index(src, []byte("/*"))
	if first < 0 {
		return src, false
	}
	dst = dst[:0]
	for rest := src; ; {
		i := bytes.Index(rest, []byte("/*"))
		if i < 0 {
			return append(dst, rest...), true
		}
		dst = append(append(dst, rest[:i]...), ' ')
		rest = rest[i+2:]
		end := bytes.Index(rest, []byte("*/"))
		if end < 0 {
			return dst, true
		}
		rest = rest[end+2:]
	}
}
