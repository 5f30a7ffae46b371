package edge

import (
	"net/http"
	"strings"

	"github.com/ringwall/ringwall/perimeter"
)

// forwardCookies drops a visitor's cookies that the plan does not forward, so
// that the app's answer cannot depend on them and may be cached.
func (e *Edge) forwardCookies(r *http.Request) {
	lines := r.Header["Cookie"]
	if len(lines) == 0 || perimeter.Down("edge/cache-cookies") {
		return
	}
	for _, p := range e.cookies {
		if p == "*" {
			return
		}
	}
	var keep []string
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			part = strings.TrimSpace(part)
			name, _, _ := strings.Cut(part, "=")
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			for _, p := range e.cookies {
				if wildcard(p, name) {
					keep = append(keep, part)
					break
				}
			}
		}
	}
	if len(keep) == 0 {
		delete(r.Header, "Cookie")
		return
	}
	r.Header["Cookie"] = []string{strings.Join(keep, "; ")}
}

// isUncached says whether a pattern of the plan keeps a request out of the cache.
// A pattern is tried on the request URI as it was sent and on the decoded and
// cleaned path, so that another spelling of a path does not enter the cache.
func (e *Edge) isUncached(r *http.Request, plain string) bool {
	if len(e.uncached) == 0 {
		return false
	}
	uri := r.URL.RequestURI()
	clean := plain
	if strings.HasSuffix(r.URL.Path, "/") && clean != "/" {
		clean += "/"
	}
	query := ""
	if r.URL.RawQuery != "" {
		query = "?" + r.URL.RawQuery
	}
	for _, p := range e.uncached {
		if wildcard(p, uri) || wildcard(p, clean) || query != "" && wildcard(p, clean+query) || !strings.Contains(p, "?") && wildcard(p, r.URL.Path) {
			return true
		}
	}
	return false
}

// wildcard matches a whole string against a pattern in which * stands for any
// number of characters and ? for itself.
func wildcard(pattern, s string) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, mark = i, j
			i++
		case i < len(pattern) && pattern[i] == s[j]:
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(pattern) && pattern[i] == '*' {
		i++
	}
	return i == len(pattern)
}
