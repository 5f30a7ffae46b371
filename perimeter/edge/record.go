package edge

import (
	"bytes"
	"container/list"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/waf/ftw"
)

// A Recorded is a good request as it is kept: it passed the rules, and the app
// answered it with less than 400. Cookies, credentials and fields that sound like
// passwords say masked; everything else that the visitor typed is there.
type Recorded struct {
	Time    time.Time    `json:"time"`
	Profile string       `json:"profile"` // public or admin
	Shape   string       `json:"shape"`   // method, path, names of parameters
	Method  string       `json:"method"`
	URI     string       `json:"uri"`
	Proto   string       `json:"proto"`
	Headers []ftw.Header `json:"headers"`
	Body    []byte       `json:"body,omitempty"`
	Status  int          `json:"status"`
}

const (
	recordBody  = 16 << 10    // bytes; requests with a larger body are not kept
	recordPause = time.Minute // how long a shape's latest request stands before a newer one replaces it
	masked      = "masked"    // a plain word: what stands for a secret must not look like an attack
)

// A recorder remembers which shapes were kept last.
type recorder struct {
	keep func(*Recorded)

	mu     sync.Mutex
	shapes map[string]*list.Element // of *kept
	order  list.List                // the latest first
}

type kept struct {
	shape string
	at    time.Time
}

// OnGood has keep called for good requests, the latest of each shape, as long as
// the plan says to record any. It is called before the edge serves.
func (e *Edge) OnGood(keep func(*Recorded)) {
	e.recorder = &recorder{keep: keep, shapes: map[string]*list.Element{}}
}

// candidate copies a request that the rules let pass, if it is to be kept when
// the app's answer is good too; nil: it is not. seen is its body as it was judged.
func (rc *recorder) candidate(r *http.Request, rec *proxy.Record, most int, seen []byte, hasBody bool) *Recorded {
	if rc == nil || most <= 0 || rec.Refusal != nil || len(seen) > recordBody || hasBody && seen == nil || r.Header.Get("Upgrade") != "" {
		return nil
	}
	body, names, ok := maskBody(r.Header.Get("Content-Type"), seen)
	if !ok {
		return nil
	}
	query, more := maskQuery(r.URL.RawQuery)
	names = append(names, more...)
	slices.Sort(names)
	shape := rec.Profile + " " + r.Method + " " + r.URL.EscapedPath() + " " + strings.Join(slices.Compact(names), ",")
	if !rc.wants(shape, rec.Start, most) {
		return nil
	}
	out := &Recorded{Time: rec.Start, Profile: rec.Profile, Shape: shape, Method: r.Method, URI: r.URL.EscapedPath(), Proto: r.Proto,
		Headers: []ftw.Header{{Name: "Host", Value: r.Host}}, Body: body}
	if query != "" {
		out.URI += "?" + query
	}
	for name, values := range r.Header {
		if stripped(name) || name == plan.HeaderRequest {
			continue
		}
		for _, v := range values {
			out.Headers = append(out.Headers, ftw.Header{Name: name, Value: maskHeader(name, v)})
		}
	}
	slices.SortFunc(out.Headers, func(a, b ftw.Header) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// wants says whether a shape is new, or its latest request is old. Beyond the
// most shapes, the one that was not seen for longest is forgotten.
func (rc *recorder) wants(shape string, now time.Time, most int) bool {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if el := rc.shapes[shape]; el != nil {
		rc.order.MoveToFront(el)
		k := el.Value.(*kept)
		if now.Sub(k.at) < recordPause {
			return false
		}
		k.at = now
		return true
	}
	rc.shapes[shape] = rc.order.PushFront(&kept{shape, now})
	for rc.order.Len() > most {
		last := rc.order.Back()
		rc.order.Remove(last)
		delete(rc.shapes, last.Value.(*kept).shape)
	}
	return true
}

// good keeps a candidate whose answer was good.
func (rc *recorder) good(c *Recorded, status int) {
	if c == nil || status >= http.StatusBadRequest {
		return
	}
	c.Status = status
	rc.keep(c)
}

// maskHeader is a header's value without what may identify or let in.
func maskHeader(name, v string) string {
	switch {
	case name == "Cookie":
		var out []string
		for pair := range strings.SplitSeq(v, ";") {
			cookie, _, _ := strings.Cut(strings.TrimSpace(pair), "=")
			out = append(out, cookie+"="+masked)
		}
		return strings.Join(out, "; ")
	case name == "Referer":
		before, query, ok := strings.Cut(v, "?")
		if !ok {
			return v
		}
		query, _ = maskQuery(query)
		return before + "?" + query
	case proxy.Secret(name):
		return masked
	}
	return v
}

// maskQuery masks the secret fields of a query or a form and lists the names of
// all fields.
func maskQuery(query string) (out string, names []string) {
	if query == "" {
		return "", nil
	}
	var pairs []string
	for pair := range strings.SplitSeq(query, "&") {
		name, v, has := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil {
			plain = name
		}
		names = append(names, plain)
		if has && v != "" && (err != nil || proxy.Secret(plain)) {
			pair = name + "=" + masked
		}
		pairs = append(pairs, pair)
	}
	return strings.Join(pairs, "&"), names
}

// maskBody masks what is secret in a body that it can take apart, and lists the
// names of its fields. false: it cannot.
func maskBody(contentType string, seen []byte) (out []byte, names []string, ok bool) {
	if len(seen) == 0 {
		return nil, nil, true
	}
	if boundary := formBoundary(contentType); boundary != "" {
		return maskParts(boundary, seen)
	}
	kind, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		return nil, nil, false
	case kind == "application/x-www-form-urlencoded":
		text, names := maskQuery(string(seen))
		return []byte(text), names, true
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		d := json.NewDecoder(bytes.NewReader(seen))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil || d.More() {
			return nil, nil, false
		}
		names := []string{}
		v = maskJSON(v, "", &names)
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false) // the rules are to see what the visitor wrote
		if enc.Encode(v) != nil {
			return nil, nil, false
		}
		return bytes.TrimSpace(b.Bytes()), names, true
	}
	return nil, nil, false
}

func maskJSON(v any, name string, names *[]string) any {
	switch x := v.(type) {
	case map[string]any:
		for k, item := range x {
			x[k] = maskJSON(item, k, names)
		}
		return x
	case []any:
		for i, item := range x {
			x[i] = maskJSON(item, name, names)
		}
		return x
	}
	*names = append(*names, name)
	if proxy.Secret(name) && v != nil {
		return masked
	}
	return v
}

// maskParts masks secret fields and leaves the content of files out of a form in
// parts, whose form readForm has judged.
func maskParts(boundary string, seen []byte) (out []byte, names []string, ok bool) {
	var b bytes.Buffer
	delim := "--" + boundary
	for i, part := range strings.Split(string(seen), delim) {
		head, _, found := strings.Cut(part, "\r\n\r\n")
		if i == 0 || !found {
			if i > 0 && !strings.HasPrefix(part, "--") {
				return nil, nil, false
			}
			b.WriteString(strings.Repeat(delim, min(i, 1)) + part)
			continue
		}
		_, params, err := mime.ParseMediaType(disposition(head))
		if err != nil {
			return nil, nil, false
		}
		names = append(names, params["name"])
		if _, isFile := params["filename"]; isFile || proxy.Secret(params["name"]) {
			part = head + "\r\n\r\n" + masked + "\r\n"
		}
		b.WriteString(delim + part)
	}
	return b.Bytes(), names, true
}

func disposition(head string) string {
	for line := range strings.SplitSeq(head, "\r\n") {
		if name, v, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Content-Disposition") {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
