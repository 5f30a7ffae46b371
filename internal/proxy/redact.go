package proxy

import (
	"net/url"
	"strings"
)

// Mask stands in a log where a secret was.
const Mask = "[masked]"

// Secret says whether a parameter, header or variable of this name holds what a
// log must not: passwords, tokens, keys, sessions, cookies.
func Secret(name string) bool {
	n := strings.ToLower(name)
	for _, s := range [...]string{"pass", "pwd", "token", "secret", "key", "auth", "cookie", "session", "nonce", "credential", "signature", "otp"} {
		if strings.Contains(n, s) {
			return true
		}
	}
	switch n {
	case "sig", "code", "pin", "sid", "phpsessid", "jwt":
		return true
	}
	return false
}

// RedactURI masks the values of a request URI's secret parameters and shortens it.
func RedactURI(uri string) string {
	if i := strings.Index(uri, "://"); i >= 0 && !strings.HasPrefix(uri, "/") {
		if j := strings.IndexByte(uri[i+3:], '@'); j >= 0 && !strings.ContainsAny(uri[i+3:i+3+j], "/?") {
			uri = uri[:i+3] + Mask + uri[i+3+j:]
		}
	}
	path, query, ok := strings.Cut(uri, "?")
	if !ok {
		return clip(uri, 2048)
	}
	return clip(path+"?"+redactQuery(query), 2048)
}

func redactQuery(query string) string {
	var b strings.Builder
	for query != "" {
		pair := query
		end := strings.IndexAny(query, "&;")
		if end >= 0 {
			pair = query[:end]
		}
		name, value, has := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		switch {
		case has && value != "" && (err != nil || Secret(plain)):
			b.WriteString(name + "=" + Mask)
		default:
			b.WriteString(pair)
		}
		if end < 0 {
			break
		}
		b.WriteByte(query[end])
		query = query[end+1:]
	}
	return b.String()
}
