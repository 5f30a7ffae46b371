package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// RequestID is the header that carries the request id to the app and back to
// the visitor. A visitor's own is dropped.
const RequestID = "X-Request-Id"

// A Failure is why a request that was let through got no answer from the app.
type Failure struct {
	Status int    // 502, 503 or 504
	Class  string // in words a visitor may read
	Err    error  // for the owner's log
}

func (f *Failure) Error() string {
	if f.Err == nil {
		return f.Class
	}
	return f.Class + ": " + f.Err.Error()
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Reply serves requests with h, turns the errors it returns into plain answers,
// and logs one Event for each request when it has ended. The event is only valid
// during the call of log.
func Reply(h Handler, log func(*Event)) http.Handler {
	return ReplyAt(h, log, time.Now)
}

// ReplyAt is Reply with a clock.
func ReplyAt(h Handler, log func(*Event), now func() time.Time) http.Handler {
	return reply(h, log, now, NewID)
}

// ReplyInner is Reply for a server that only another Reply's requests reach: it
// goes on with that one's request id.
func ReplyInner(h Handler, log func(*Event)) http.Handler {
	return reply(h, log, time.Now, nil)
}

func reply(h Handler, log func(*Event), now func() time.Time, newID func() string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rec := &Record{Start: now(), Now: now}
		rec.begin(r)
		if newID != nil {
			rec.ID = newID()
		} else {
			rec.ID = clip(r.Header.Get(RequestID), 64)
		}
		rec.Action = "forward"
		w := &writer{ResponseWriter: rw, rec: rec}
		r = r.WithContext(NewContext(r.Context(), rec))
		id := []string{rec.ID}
		r.Header[RequestID] = id
		rw.Header()[RequestID] = id
		var body *counter
		if r.ContentLength == 0 { // HTTP/2 gives an empty body an object of its own
			r.Body = http.NoBody
		}
		if r.Body != nil && r.Body != http.NoBody {
			body = &counter{ReadCloser: r.Body}
			r.Body = body
		}
		defer func() {
			p := recover()
			if p != nil && p != http.ErrAbortHandler {
				rec.Detail = fmt.Sprintf("panic: %v", p)
			}
			if p != nil {
				rec.Action = "fail"
				if !w.wrote && p != http.ErrAbortHandler {
					fail(w, r, rec, &Failure{Status: http.StatusInternalServerError, Class: "internal error"})
					p = nil
				}
			}
			if body != nil {
				rec.Received = body.n.Load()
			}
			rec.finish(now())
			if log != nil {
				log(&rec.Event)
			}
			if p != nil {
				panic(http.ErrAbortHandler)
			}
		}()
		err := h.ServeHTTP(w, r)
		switch {
		case err == nil:
			if !w.wrote {
				w.WriteHeader(http.StatusOK)
			}
		case w.wrote:
			rec.Action, rec.Detail = "fail", clip(err.Error(), 512)
			panic(http.ErrAbortHandler)
		default:
			fail(w, r, rec, err)
		}
	})
}

// fail answers a request that a wall refused or that failed behind the walls.
func fail(w *writer, r *http.Request, rec *Record, err error) {
	status, class := classify(err)
	rec.Class = class
	if ref, ok := errors.AsType[*Refusal](err); ok {
		rec.Action = "refuse"
		rec.Refusal = &Refused{Control: ref.Control, Reason: ref.Reason, Detail: clip(ref.Detail, 512), Rules: ref.Rules, Score: ref.Score, Threshold: ref.Threshold}
		if ref.Retry > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(ref.Retry))
		}
	} else {
		rec.Action = "fail"
		rec.Detail = clip(err.Error(), 512)
	}
	writePage(w, r, rec.ID, status, class)
}

// classify gives every error its status and the words a visitor may read.
func classify(err error) (int, string) {
	if ref, ok := errors.AsType[*Refusal](err); ok {
		status := ref.Status
		if status < 400 || status > 599 {
			status = http.StatusForbidden
		}
		return status, ref.Reason
	}
	if f, ok := errors.AsType[*Failure](err); ok {
		status := f.Status
		if status < 500 || status > 599 {
			status = http.StatusBadGateway
		}
		return status, f.Class
	}
	if ne, ok := errors.AsType[net.Error](err); (ok && ne.Timeout()) || errors.Is(err, context.DeadlineExceeded) {
		return http.StatusGatewayTimeout, "the app took too long to answer"
	}
	return http.StatusBadGateway, "the app did not answer"
}

// page is read at the first refusal, and not at every start.
var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Status}} {{.Text}}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;color:#222}code{user-select:all}@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}}</style>
</head><body><h1>{{.Status}} {{.Text}}</h1><p>{{.Class}}</p><p>Request <code>{{.ID}}</code></p></body></html>
`))
})

// Page writes the plain answer of a refusal. It is for the few places that
// refuse before a request has come to Reply.
func Page(w http.ResponseWriter, r *http.Request, id string, status int, class string) {
	writePage(w, r, id, status, class)
}

func writePage(w http.ResponseWriter, r *http.Request, id string, status int, class string) {
	h := w.Header()
	// Nothing that a wall's answer was going to carry may leak into a refusal.
	for k := range h {
		switch k {
		case RequestID, "Retry-After", "Connection":
		default:
			delete(h, k)
		}
	}
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Security-Policy"] = []string{"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
	var body []byte
	text := http.StatusText(status)
	switch accepts(r.Header.Get("Accept")) {
	case "json":
		h["Content-Type"] = []string{"application/json"}
		body, _ = json.Marshal(map[string]any{"status": status, "class": class, "request_id": id})
		body = append(body, '\n')
	case "html":
		h["Content-Type"] = []string{"text/html; charset=utf-8"}
		var b strings.Builder
		_ = page().Execute(&b, map[string]any{"Status": status, "Text": text, "Class": class, "ID": id})
		body = []byte(b.String())
	default:
		h["Content-Type"] = []string{"text/plain; charset=utf-8"}
		body = fmt.Appendf(nil, "%d %s\n%s\nrequest %s\n", status, text, class, id)
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// accepts picks the form of an answer: the first of HTML and JSON that the
// Accept header names, plain text otherwise.
func accepts(accept string) string {
	for part := range strings.SplitSeq(accept, ",") {
		mime, _, _ := strings.Cut(part, ";")
		switch mime = strings.ToLower(strings.TrimSpace(mime)); {
		case mime == "text/html" || mime == "application/xhtml+xml":
			return "html"
		case mime == "application/json" || strings.HasSuffix(mime, "+json"):
			return "json"
		}
	}
	return "text"
}
