package body

import "strings"

// eachParam calls f with each name=value of a header like Content-Disposition,
// until it returns false. A semicolon within quotes does not end one.
func eachParam(s string, f func(string) bool) {
	quoted, start := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			if !f(s[start:i]) {
				return
			}
			start = i + 1
		}
	}
	f(s[start:])
}

// param finds a parameter and gives its value as it is written.
func param(s, name string) (value string, ok bool) {
	eachParam(s, func(p string) bool {
		k, v, found := strings.Cut(p, "=")
		if found && strings.EqualFold(strings.TrimSpace(k), name) {
			value, ok = strings.TrimSpace(v), true
		}
		return !ok
	})
	return value, ok
}

// hasPieces says whether there are numbered pieces of a filename: filename*0,
// filename*1* and so on.
func hasPieces(s string) (found bool) {
	eachParam(s, func(p string) bool {
		k, _, ok := strings.Cut(p, "=")
		if !ok {
			return true
		}
		digits, ok := strings.CutPrefix(strings.ToLower(strings.TrimSuffix(strings.TrimSpace(k), "*")), "filename*")
		found = ok && digits != "" && strings.Trim(digits, "0123456789") == ""
		return !found
	})
	return found
}

// repeatsParam says whether a parameter is given twice.
func repeatsParam(s string) (found bool) {
	seen := map[string]bool{}
	eachParam(s, func(p string) bool {
		if k, _, ok := strings.Cut(p, "="); ok {
			k = strings.ToLower(strings.TrimSpace(k))
			found = seen[k]
			seen[k] = true
		}
		return !found
	})
	return found
}

func unquoted(s string) string {
	s, _ = unquote(s)
	return s
}

// unquote takes the quotes off a quoted string and says whether there were any.
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s, false
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s, true
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out = append(out, s[i])
	}
	return string(out), true
}

// percentDecode decodes %XX and leaves what is no escape, of which it tells.
func percentDecode(s string) (out string, bad bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, false
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 < len(s) && digit[s[i+1]] >= 0 && digit[s[i+2]] >= 0 {
				c = byte(digit[s[i+1]])<<4 | byte(digit[s[i+2]])
				i += 2
			} else {
				bad = true
			}
		}
		b = append(b, c)
	}
	return string(b), bad
}
