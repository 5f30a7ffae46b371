package webserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ringwall/ringwall/internal/fastcgi"
	"github.com/ringwall/ringwall/internal/proxy"
)

// php asks PHP-FPM.
type php struct {
	server  *server
	client  *fastcgi.Client
	app     App
	docroot string // as PHP sees it
	front   string // URL path of the front script; empty: none
	maxBody int64
}

func newPHP(s *server, app App) func(http.ResponseWriter, *http.Request, *question) error {
	p := s.plan
	h := &php{server: s, app: app, docroot: path.Join("/", p.Files.Mount, p.Webserver.Docroot),
		client:  &fastcgi.Client{Dial: app.Dial, MaxConns: Children(p, s.tier)},
		maxBody: max(p.Edge.MaxBody, p.Edge.MaxUpload, 1<<20),
	}
	if p.Webserver.Front != "" {
		h.front = path.Clean("/" + p.Webserver.Front)
	}
	return h.serve
}

// serve runs the script that the question's path named, or else the front script.
func (h *php) serve(w http.ResponseWriter, r *http.Request, q *question) error {
	script := q.script
	if script == "" {
		if script = h.front; script == "" || !h.isScript(script) {
			return notFound(w)
		}
	}
	var body io.Reader
	length := r.ContentLength
	if length < 0 {
		b, n, err := fastcgi.Spool(r.Body, h.app.Temp, h.maxBody)
		if errors.Is(err, fastcgi.ErrTooLarge) {
			return &proxy.Refusal{Status: http.StatusRequestEntityTooLarge, Control: ctlApp, Reason: "the request is too large", Detail: err.Error()}
		}
		if err != nil {
			return &proxy.Refusal{Status: http.StatusBadRequest, Control: ctlApp, Reason: "the request's body could not be read", Detail: err.Error()}
		}
		defer b.Close()
		body, length = b, n
	} else if length > 0 {
		body = r.Body
	}
	if length == 0 {
		body = nil
	}
	req := &fastcgi.Request{
		Params: h.params(r, q, script, length), Body: body, Length: length,
		Replay:    r.Method == http.MethodGet || r.Method == http.MethodHead,
		Interrupt: func() { http.NewResponseController(w).SetReadDeadline(time.Now()) },
	}
	if h.app.Report != nil {
		req.Stderr = func(b []byte) { h.app.Report(strings.TrimRight(string(b), "\n")) }
	}
	resp, err := h.client.Do(r.Context(), req)
	switch {
	case errors.Is(err, fastcgi.ErrUnreached), errors.Is(err, fastcgi.ErrOverloaded):
		return unreached(w, err)
	case err != nil && r.Context().Err() != nil:
		return &proxy.Refusal{Status: http.StatusServiceUnavailable, Control: ctlApp, Reason: "the request was given up", Detail: context.Cause(r.Context()).Error()}
	case err != nil:
		return failed(err)
	}
	defer resp.Body.Close()
	copyAnswer(w, r, resp, q)
	return nil
}

func (h *php) isScript(p string) bool {
	if !strings.HasSuffix(p, ".php") {
		return false
	}
	st, err := h.server.root.Stat(p[1:])
	return err == nil && st.Mode().IsRegular()
}

func copyAnswer(w http.ResponseWriter, r *http.Request, resp *fastcgi.Response, q *question) {
	out := w.Header()
	for k, v := range resp.Header {
		if !strings.HasPrefix(k, "X-Ringwall-") {
			out[k] = v
		}
	}
	if q.upload {
		guardUpload(out)
	}
	w.WriteHeader(resp.Status)
	if r.Method == http.MethodHead || resp.Status == http.StatusNotModified || resp.Status == http.StatusNoContent {
		io.Copy(io.Discard, resp.Body)
		return
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	flush := http.NewResponseController(w)
	for {
		n, err := resp.Body.Read(*buf)
		if n > 0 {
			if _, werr := w.Write((*buf)[:n]); werr != nil {
				if errors.Is(werr, http.ErrContentLength) {
					panic(http.ErrAbortHandler)
				}
				return
			}
			if resp.Body.Waiting() {
				flush.Flush()
			}
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			// The visitor must not take the part for the whole.
			panic(http.ErrAbortHandler)
		}
	}
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// params are the CGI variables of a request.
func (h *php) params(r *http.Request, q *question, script string, length int64) fastcgi.Params {
	p := make(fastcgi.Params, 0, 24+len(r.Header))
	uri := (&url.URL{Path: q.path}).EscapedPath()
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		uri += "?" + r.URL.RawQuery
	}
	host, port := r.Host, "443"
	if n, pt, err := net.SplitHostPort(r.Host); err == nil {
		host, port = n, pt
	}
	p.Add("SCRIPT_FILENAME", path.Join(h.docroot, script))
	p.Add("SCRIPT_NAME", script)
	p.Add("DOCUMENT_URI", script)
	p.Add("DOCUMENT_ROOT", h.docroot)
	p.Add("REQUEST_URI", uri)
	p.Add("QUERY_STRING", r.URL.RawQuery)
	p.Add("REQUEST_METHOD", r.Method)
	p.Add("SERVER_PROTOCOL", r.Proto)
	p.Add("GATEWAY_INTERFACE", "CGI/1.1")
	p.Add("SERVER_SOFTWARE", "ringwall")
	p.Add("REMOTE_ADDR", q.viewer)
	p.Add("REMOTE_PORT", "0")
	p.Add("SERVER_ADDR", "127.0.0.1")
	p.Add("SERVER_NAME", host)
	p.Add("SERVER_PORT", port)
	p.Add("REQUEST_SCHEME", "https")
	p.Add("HTTPS", "on")
	p.Add("REDIRECT_STATUS", "200")
	p.Add("HTTP_HOST", r.Host)
	p.Add("HTTP_X_FORWARDED_FOR", q.viewer)
	p.Add("HTTP_X_FORWARDED_PROTO", "https")
	if t := r.Header.Get("Content-Type"); t != "" {
		p.Add("CONTENT_TYPE", t)
	}
	p.Add("CONTENT_LENGTH", strconv.FormatInt(length, 10))
	for k, v := range r.Header {
		switch k {
		case "Content-Type", "Content-Length", "Host", "Proxy", "Connection", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Keep-Alive", "Expect":
			continue
		}
		sep := ", "
		if k == "Cookie" {
			sep = "; "
		}
		if plainName(k) {
			p.Add(variable(k), strings.Join(v, sep))
		}
	}
	return p
}

func variable(k string) string {
	b := append(make([]byte, 0, len(k)+5), "HTTP_"...)
	for i := 0; i < len(k); i++ {
		switch c := k[i]; {
		case c == '-':
			b = append(b, '_')
		case 'a' <= c && c <= 'z':
			b = append(b, c-'a'+'A')
		default:
			b = append(b, c)
		}
	}
	return string(b)
}
