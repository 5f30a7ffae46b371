package webserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter"
)

// A query refuses requests by what they ask a script for: ?key=value, or
// /path?key=value, with * in the value for any characters. PHP apps take the
// same keys from a form's body, so forms are judged too.
type query struct {
	path  *pattern // nil: every path
	key   string   // as PHP names it
	value string   // folded glob
}

func newQuery(s string) (query, error) {
	p, rest, _ := strings.Cut(s, "?")
	key, value, ok := strings.Cut(rest, "=")
	if key == "" || strings.ContainsAny(key, "*&") {
		return query{}, errors.New("want a key behind the question mark: ?key=value, ?key=prefix* or ?key")
	}
	q := query{key: phpName(fold(key)), value: fold(value)}
	if !ok {
		q.value = "*"
	}
	if p != "" {
		pat, err := newPattern(p, false)
		if err != nil {
			return query{}, err
		}
		q.path = &pat
	}
	return q, nil
}

// maxForm is the largest form that is judged; a larger one is refused where the
// table has queries to look for.
const maxForm = 1 << 20

// judgeQuery refuses a request whose query or form asks for an admin route. A
// form that was read is put back.
func (r *routes) judgeQuery(rd *reading, req *http.Request) error {
	if len(r.queries) == 0 || perimeter.Down(ctlAdmin) {
		return nil
	}
	if r.asks(rd, req.URL.RawQuery) {
		return refuse(ctlAdmin)
	}
	if req.Body == nil || req.Body == http.NoBody || req.ContentLength == 0 {
		return nil
	}
	media, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil {
		// PHP looks at the start of the header only.
		media, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(req.Header.Get("Content-Type"))), ";")
	}
	form, multi := strings.HasPrefix(media, "application/x-www-form-urlencoded"), strings.HasPrefix(media, "multipart/")
	if !form && !multi {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, maxForm+1))
	if err != nil {
		return &proxy.Refusal{Status: http.StatusBadRequest, Control: ctlAdmin, Reason: "the request's body could not be read", Detail: err.Error()}
	}
	if len(body) > maxForm {
		return &proxy.Refusal{Status: http.StatusRequestEntityTooLarge, Control: ctlAdmin, Reason: "this form is too large to be judged here",
			Detail: fmt.Sprintf("got a form of more than %d bytes on a tier with query routes", maxForm)}
	}
	if form && r.asks(rd, string(body)) || multi && r.names(rd, body) {
		return refuse(ctlAdmin)
	}
	req.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(body), req.Body}
	return nil
}

// asks judges an encoded query or form.
func (r *routes) asks(rd *reading, encoded string) bool {
	if encoded == "" {
		return false
	}
	for part := range strings.FieldsFuncSeq(encoded, func(c rune) bool { return c == '&' || c == ';' }) {
		key, value, _ := strings.Cut(part, "=")
		name := phpName(fold(decode(strings.ReplaceAll(key, "+", " "))))
		for i := range r.queries {
			q := &r.queries[i]
			if q.key == name && q.at(rd) && q.says(value) {
				return true
			}
		}
	}
	return false
}

// names judges a form in parts. Readers of such forms differ in too many ways to
// follow each; a field of that name is enough.
func (r *routes) names(rd *reading, body []byte) bool {
	low := bytes.ToLower(body)
	for i := range r.queries {
		q := &r.queries[i]
		if !q.at(rd) {
			continue
		}
		for rest := low; ; {
			_, after, ok := bytes.Cut(rest, []byte("name"))
			if !ok {
				break
			}
			rest = after
			name := strings.TrimLeft(string(after[:min(len(after), 256)]), " \t\r\n*")
			if name, ok = strings.CutPrefix(name, "="); !ok {
				continue
			}
			name = strings.TrimLeft(name, " \t\r\n\"'")
			if n := strings.IndexAny(name, "\"'\r\n;"); n >= 0 {
				name = name[:n]
			}
			if phpName(strings.TrimRight(name, " \t")) == q.key || phpName(decode(name)) == q.key || strings.Contains(phpName(strings.ReplaceAll(name, "\\", "")), q.key) {
				return true
			}
		}
	}
	return false
}

func (q *query) at(rd *reading) bool {
	if q.path == nil || q.path.covers(fold(rd.path)) {
		return true
	}
	for _, p := range rd.others {
		if q.path.covers(fold(p)) {
			return true
		}
	}
	return false
}

// says judges a value in every spelling that an app could take for a route.
func (q *query) says(value string) bool {
	if value == "" {
		return glob(q.value, "")
	}
	value = strings.ReplaceAll(value, "+", " ")
	if len(value) > maxPath {
		return true
	}
	all, complete := spellings(value)
	for _, v := range all {
		v = fold(strings.TrimSpace(v))
		if glob(q.value, v) || glob(q.value, path.Clean("/"+v)) || glob(q.value, strings.TrimRight(v, "/")) {
			return true
		}
	}
	return !complete
}

// phpName is the name under which PHP stores a variable.
func phpName(s string) string {
	s = strings.TrimLeft(s, " ")
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	if i := strings.IndexByte(s, '['); i > 0 {
		if strings.IndexByte(s[i:], ']') >= 0 {
			s = s[:i]
		} else {
			s = s[:i] + "_" + s[i+1:]
		}
	}
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '.' {
			return '_'
		}
		return r
	}, s)
}
