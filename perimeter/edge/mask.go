package edge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/internal/proxy"
)

// A masker takes what may be a secret out of one request.
type masker struct {
	names  []string // of all fields
	masked []string // parts that it changed, as rules call them
}

func (m *masker) mask(variable, name string) string {
	m.masked = append(m.masked, variable+":"+name)
	return Mask
}

// header is a header's value without what may identify or let in.
func (m *masker) header(name, v string) string {
	switch {
	case name == "Cookie":
		var out []string
		for pair := range strings.SplitSeq(v, ";") {
			cookie, _, named := strings.Cut(strings.TrimSpace(pair), "=")
			if named {
				cookie += "="
			} else {
				cookie = "" // to a browser it is a value without a name
			}
			out = append(out, cookie+m.mask("REQUEST_COOKIES", strings.TrimSuffix(cookie, "=")))
		}
		return strings.Join(out, "; ")
	case name == "Referer":
		before, query, ok := strings.Cut(v, "?")
		if !ok {
			return v
		}
		of := &masker{}
		if query = of.query(query); len(of.masked) > 0 {
			m.mask("REQUEST_HEADERS", name)
		}
		return before + "?" + query
	case proxy.Secret(name):
		return m.mask("REQUEST_HEADERS", name)
	}
	return v
}

// query masks the secret fields of a query or a form.
func (m *masker) query(query string) string {
	if query == "" {
		return ""
	}
	var pairs []string
	for pair := range strings.SplitSeq(query, "&") {
		name, v, has := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil {
			plain = name
		}
		m.names = append(m.names, plain)
		if has && v != "" && (err != nil || proxy.Secret(plain)) {
			pair = name + "=" + m.mask("ARGS", plain)
		}
		pairs = append(pairs, pair)
	}
	return strings.Join(pairs, "&")
}

// body masks what is secret in a request's body, of which seen is what was
// judged. why says why it cannot; empty: it could.
func (m *masker) body(r *http.Request, seen []byte, hasBody bool) (out []byte, why string) {
	switch {
	case r.Header.Get("Upgrade") != "":
		return nil, "it asks for another protocol"
	case hasBody && seen == nil:
		return nil, "its body is not inspected"
	case len(seen) > recordBody:
		return nil, fmt.Sprintf("its body is larger than %d bytes", recordBody)
	case len(seen) == 0:
		return nil, ""
	}
	contentType := r.Header.Get("Content-Type")
	if boundary := formBoundary(contentType); boundary != "" {
		if out, ok := m.parts(boundary, seen); ok {
			return out, ""
		}
		return nil, "its form could not be taken apart"
	}
	kind, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		return nil, "its body is of no kind that is known"
	case kind == "application/x-www-form-urlencoded":
		return []byte(m.query(string(seen))), ""
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		d := json.NewDecoder(bytes.NewReader(seen))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil || d.More() {
			return nil, "its JSON could not be read"
		}
		v = m.json(v, "json", "", false)
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false) // the rules are to see what the visitor wrote
		if enc.Encode(v) != nil {
			return nil, "its JSON could not be read"
		}
		return bytes.TrimSpace(b.Bytes()), ""
	}
	return nil, "secrets cannot be found in a body of the kind " + excerpt(kind, 64)
}

// json masks the secret values in v, which is at a path and, by its nearest key, of
// a name. What lies below a secret key is secret, whatever its own name.
func (m *masker) json(v any, path, name string, secret bool) any {
	secret = secret || proxy.Secret(name)
	switch x := v.(type) {
	case map[string]any:
		for k, item := range x {
			x[k] = m.json(item, path+"."+k, k, secret)
		}
		return x
	case []any:
		for i, item := range x {
			x[i] = m.json(item, path+"."+strconv.Itoa(i), name, secret)
		}
		return x
	}
	m.names = append(m.names, name)
	if secret && v != nil {
		return m.mask("ARGS", path)
	}
	return v
}

// parts masks secret fields and leaves the content of files out of a form in
// parts, whose form readForm has judged.
func (m *masker) parts(boundary string, seen []byte) (out []byte, ok bool) {
	var b bytes.Buffer
	delim := "--" + boundary
	for i, part := range strings.Split(string(seen), delim) {
		head, _, found := strings.Cut(part, "\r\n\r\n")
		if i == 0 || !found {
			if i > 0 && !strings.HasPrefix(part, "--") {
				return nil, false
			}
			b.WriteString(strings.Repeat(delim, min(i, 1)) + part)
			continue
		}
		_, params, err := mime.ParseMediaType(disposition(head))
		if err != nil {
			return nil, false
		}
		name := params["name"]
		m.names = append(m.names, name)
		variable := "ARGS"
		_, isFile := params["filename"]
		if isFile {
			variable = "FILES"
		}
		if isFile || proxy.Secret(name) {
			part = head + "\r\n\r\n" + m.mask(variable, name) + "\r\n"
		}
		b.WriteString(delim + part)
	}
	return b.Bytes(), true
}

func disposition(head string) string {
	for line := range strings.SplitSeq(head, "\r\n") {
		if name, v, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Content-Disposition") {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
