package difftest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
)

// A generator makes requests, the same for the same seed: what browsers and
// programs send, and attacks of the rule set's own tests, changed and put in
// other places.
type generator struct {
	writer
	payloads []string
}

func newGenerator(seed uint64, from []request) *generator {
	g := &generator{writer: writer{rand.New(rand.NewPCG(seed, 1))}}
	seen := map[string]bool{}
	add := func(s string) {
		if len(s) > 2 && len(s) < 2000 && !seen[s] {
			seen[s] = true
			g.payloads = append(g.payloads, s)
		}
	}
	for i := range from {
		r := &from[i]
		_, query, _ := strings.Cut(r.URI, "?")
		for _, form := range []string{query, string(r.Body)} {
			if q, err := url.ParseQuery(form); err == nil && form != "" {
				for k, vs := range q {
					add(k)
					for _, v := range vs {
						add(v)
					}
				}
			}
		}
		add(string(r.Body))
		for _, h := range r.Headers {
			add(h.Value)
		}
	}
	// A map has no order, and the same seed must make the same requests.
	slices.Sort(g.payloads)
	return g
}

func (g *generator) pick(list ...string) string { return list[g.IntN(len(list))] }
func (g *generator) one(in int) bool            { return g.IntN(in) == 0 }

// value is a harmless value or an attack.
func (g *generator) value() string {
	switch g.IntN(10) {
	case 0:
		return fmt.Sprint(g.IntN(1e6))
	case 1:
		return g.word()
	case 2:
		return g.sentence(g.IntN(200))
	case 3:
		return g.pick("", "0", "true", "null", "a@b.example", "https://www.example.com/a?b=c#d", "2026-11-22T06:00:00Z", "it's", "100%", "<b>bold</b>", "a/b/../c", "Zürich", "日本語", "\u00a0", "C:\\x", "#1", "(a)", "1;2", "{}", "[1]", "--", "x=y&z")
	}
	return g.attackFrom()
}

// attackFrom changes one of the rule set's payloads.
func (g *generator) attackFrom() string {
	s := g.payloads[g.IntN(len(g.payloads))]
	for range g.IntN(3) {
		s = g.mutate(s)
	}
	return s
}

func (g *generator) mutate(s string) string {
	if s == "" {
		return g.word()
	}
	at := g.IntN(len(s))
	switch g.IntN(16) {
	case 0:
		return strings.ToUpper(s)
	case 1:
		return strings.Map(func(r rune) rune {
			if g.one(3) && 'a' <= r && r <= 'z' {
				return r - 'a' + 'A'
			}
			return r
		}, s)
	case 2:
		return strings.ReplaceAll(s, " ", g.pick("/**/", "\t", "+", "\n", "  ", "%0a", "\u00a0", "/*!*/"))
	case 3:
		return url.QueryEscape(s)
	case 4:
		return html.EscapeString(s)
	case 5:
		return base64.StdEncoding.EncodeToString([]byte(s))
	case 6:
		return s[:at] + g.pick("\x00", "\\", "'", "\"", "%00", "^", "`", "\xff", "é", "<!--", "*/", "\u202e", ";", "|", "$(", "..//") + s[at:]
	case 7:
		return s[at:]
	case 8:
		return s[:at]
	case 9:
		return s + g.payloads[g.IntN(len(g.payloads))]
	case 10:
		var b strings.Builder
		for i := range len(s) {
			if g.one(4) {
				fmt.Fprintf(&b, "%%u%04x", s[i])
			} else {
				b.WriteByte(s[i])
			}
		}
		return b.String()
	case 11:
		var b strings.Builder
		for i := range len(s) {
			if g.one(4) {
				fmt.Fprintf(&b, `\x%02x`, s[i])
			} else {
				b.WriteByte(s[i])
			}
		}
		return b.String()
	case 12:
		return g.sentence(30) + s + g.sentence(30)
	case 13:
		b := []byte(s)
		b[at] = byte(g.IntN(256))
		return string(b)
	case 14:
		return fmt.Sprintf("&#%d;", s[at]) + s
	}
	return s + s
}

func (g *generator) query() string {
	var b strings.Builder
	for i := range g.IntN(5) {
		if i > 0 {
			b.WriteByte('&')
		}
		k, v := g.name(), g.value()
		switch g.IntN(6) {
		case 0:
			b.WriteString(k + "=" + strings.Map(func(r rune) rune {
				if r <= ' ' || r == '#' {
					return -1
				}
				return r
			}, v))
		case 1:
			b.WriteString(url.QueryEscape(k))
		default:
			b.WriteString(url.QueryEscape(k) + "=" + url.QueryEscape(v))
		}
	}
	return b.String()
}

func (g *generator) name() string {
	if g.one(12) {
		return g.value()
	}
	return g.pick("q", "id", "page", "text", "user", "pass", "file", "url", "cmd", "tags[]", "a.b", "A", "x", g.word())
}

// tree is a JSON value.
func (g *generator) tree(depth int) any {
	switch n := g.IntN(8); {
	case n == 0 && depth > 0:
		m := map[string]any{}
		for range g.IntN(5) {
			m[g.name()] = g.tree(depth - 1)
		}
		return m
	case n == 1 && depth > 0:
		l := []any{}
		for range g.IntN(6) {
			l = append(l, g.tree(depth-1))
		}
		return l
	case n == 2:
		return g.IntN(1e6)
	case n == 3:
		return g.pick("", "a") == ""
	case n == 4:
		return nil
	}
	return g.value()
}

func (g *generator) multipart(boundary string) []byte {
	var b bytes.Buffer
	quote := func(s string) string { return strings.NewReplacer("\r", "", "\n", "", `"`, `\"`).Replace(s) }
	for range 1 + g.IntN(4) {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"%s\"", boundary, quote(g.name()))
		switch g.IntN(5) {
		case 0:
			fmt.Fprintf(&b, "; filename=\"%s\"\r\nContent-Type: %s", quote(g.pick("a.png", "shell.php", "x.jsp\x00.png", "..\\a.asp", g.value())), g.pick("image/png", "text/plain; charset=utf-7", "application/x-php"))
		case 1:
			fmt.Fprintf(&b, "; filename*=%s", g.pick("utf-8''a%20b.php", "iso-8859-1'en'%e9.txt", "nonsense", "\"utf-8''q.php\""))
		case 2:
			fmt.Fprintf(&b, "\r\nContent-Transfer-Encoding: %s", g.pick("8bit", "quoted-printable", "base64"))
		}
		fmt.Fprintf(&b, "\r\n\r\n%s\r\n", g.value())
	}
	if !g.one(8) {
		fmt.Fprintf(&b, "--%s--\r\n", boundary)
	}
	return b.Bytes()
}

func (g *generator) xml() string {
	var b strings.Builder
	b.WriteString(g.pick("", `<?xml version="1.0"?>`, `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>`))
	b.WriteString("<a>")
	for range g.IntN(4) {
		v := html.EscapeString(g.value())
		fmt.Fprintf(&b, `<b c="%s">%s</b>`, html.EscapeString(g.value()), v)
	}
	if !g.one(8) {
		b.WriteString("</a>")
	}
	return b.String()
}

// next makes a request.
func (g *generator) next() request {
	uri := g.pick("/", "/page", "/wp-login.php", "/api/items/12", "/a%20b/c", "/.git/config", "/index.php/x", "/a/../b", "/%2e%2e/etc/passwd", "/~user/"+g.word(), "/"+g.word()+g.pick(".html", ".bak", ".php", ".js", ""))
	if q := g.query(); q != "" {
		uri += "?" + q
	}
	r := g.request("GET", uri, "", "")
	r.Headers = r.Headers[:2+g.IntN(len(r.Headers)-1)]
	switch g.IntN(12) {
	case 0, 1:
		body := g.query()
		g.post(&r, "application/x-www-form-urlencoded"+g.pick("", "", "", "; charset=utf-8", "; charset=utf-7"), []byte(body))
	case 2, 3, 4:
		b, err := json.Marshal(g.tree(3))
		if err != nil {
			b = []byte("{")
		}
		g.post(&r, g.pick("application/json", "application/json; charset=utf-8", "application/problem+json"), b)
	case 5, 6:
		boundary := g.pick("xx", "----WebKitFormBoundary7MA4YWxkTrZu0gW", "a b", "=")
		g.post(&r, "multipart/form-data; boundary="+g.pick(boundary, `"`+boundary+`"`), g.multipart(boundary))
	case 7:
		g.post(&r, g.pick("text/xml", "application/xml", "application/soap+xml"), []byte(g.xml()))
	case 8:
		g.post(&r, g.pick("text/plain", "application/octet-stream", "", "application/x-www-form-urlencoded, text/xml", g.value()), []byte(g.value()))
	}
	if r.Body != nil && g.one(15) {
		r.Body = r.Body[:g.IntN(len(r.Body)+1)]
	}
	for range g.IntN(3) {
		g.disturb(&r)
	}
	return r
}

func (g *generator) post(r *request, contentType string, body []byte) {
	r.Method = g.pick("POST", "POST", "POST", "PUT", "PATCH")
	r.Body = body
	r.Headers = append(r.Headers, header("Content-Type", contentType), header("Content-Length", fmt.Sprint(len(body))))
}

// disturb changes something about a request that few clients would send.
func (g *generator) disturb(r *request) {
	clean := func(s string) string { return strings.NewReplacer("\r", "", "\n", "").Replace(s) }
	switch g.IntN(14) {
	case 0:
		r.Method = g.pick("HEAD", "OPTIONS", "DELETE", "TRACE", "CONNECT", "PROPFIND", "get", "X")
	case 1:
		r.Proto = g.pick("HTTP/1.0", "HTTP/2", "HTTP/0.9", "HTTP/3.0", "JUNK/1.0")
	case 2:
		r.Headers = append(r.Headers, header("Cookie", g.word()+"="+clean(g.value())+"; "+clean(g.name())+"="+g.word()))
	case 3:
		r.Headers = append(r.Headers, header("User-Agent", clean(g.attackFrom())))
	case 4:
		r.Headers = append(r.Headers, header("Referer", clean(g.attackFrom())))
	case 5:
		r.Headers = append(r.Headers, header(g.pick("X-Forwarded-For", "X-File-Name", "Range", "Accept", "Accept-Charset", "Content-Encoding", "X-Method-Override", "Expect", "Proxy", "Origin"), clean(g.value())))
	case 6:
		r.Headers = append(r.Headers, header("Range", g.pick("bytes=0-1", "bytes=0-1,2-3,4-5,6-7,8-9,10-11,12-13", "bytes=-", "bytes=9-1")))
	case 7:
		r.Headers = append(r.Headers, header("Content-Length", g.pick("0", "-1", "5", "a")))
	case 8:
		r.Headers = append(r.Headers, header("Transfer-Encoding", g.pick("chunked", "gzip, chunked")))
	case 9:
		if i := g.IntN(len(r.Headers)); true {
			r.Headers = append(r.Headers[:i:i], r.Headers[i+1:]...)
		}
	case 10:
		i := g.IntN(len(r.Headers))
		r.Headers[i].Value = clean(g.mutate(r.Headers[i].Value))
	case 11:
		r.Headers[0].Value = g.pick("127.0.0.1", "www.example.com:8080", "", "[::1]", "a b", "example.com/..")
	case 12:
		r.URI = g.pick("*", "http://www.example.com/", "//a", "/%", "/%zz", "/a?b?c", "/?", "/\\x", "/a;b=c") + g.query()
	case 13:
		r.Answer.Body = g.sentence(50) + g.attackFrom()
		r.Answer.Status = 200 + 100*g.IntN(4)
	}
}
