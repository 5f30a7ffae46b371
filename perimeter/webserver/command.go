package webserver

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
)

// A dialError is a failure to reach the app at all.
type dialError struct{ err error }

func (e *dialError) Error() string { return "connecting to the app: " + e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// An answer carries a question to the reverse proxy and its error back.
type answer struct {
	http.ResponseWriter
	err error
}

// Unwrap lets http.ResponseController flush and hijack.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

type questionKey struct{}

func newCommand(_ *server, app App) func(http.ResponseWriter, *http.Request, *question) error {
	tr := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := app.Dial(ctx)
			if err != nil {
				return nil, &dialError{err}
			}
			return c, nil
		},
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       60 * time.Second,
		DisableCompression:    true,
		ExpectContinueTimeout: time.Second,
		WriteBufferSize:       16 << 10,
		ReadBufferSize:        16 << 10,
	}
	rp := &httputil.ReverseProxy{
		Transport:  tr,
		BufferPool: pool{},
		ErrorLog:   log.New(io.Discard, "", 0),
		Rewrite: func(pr *httputil.ProxyRequest) {
			q := pr.In.Context().Value(questionKey{}).(*question)
			u := pr.Out.URL
			u.Scheme, u.Host = "http", "app"
			u.Path, u.RawPath = q.path, ""
			pr.Out.Host = pr.In.Host
			pr.Out.Trailer = nil
			h := pr.Out.Header
			h["X-Forwarded-For"] = []string{q.viewer}
			h["X-Forwarded-Proto"] = []string{"https"}
			h["X-Forwarded-Host"] = []string{pr.In.Host}
			h["X-Real-Ip"] = h["X-Forwarded-For"]
			if _, ok := h["User-Agent"]; !ok {
				h["User-Agent"] = nil // the client has none; the transport must not add its own
			}
		},
		ModifyResponse: func(resp *http.Response) error {
			for k := range resp.Header {
				if strings.HasPrefix(k, "X-Ringwall-") {
					delete(resp.Header, k)
				}
			}
			if q := resp.Request.Context().Value(questionKey{}).(*question); q.upload {
				guardUpload(resp.Header)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) { w.(*answer).err = err },
	}
	return func(w http.ResponseWriter, r *http.Request, q *question) error {
		// Behind any other upgrade (h2c) lies a connection on which requests would
		// reach the app past the route table.
		if up := r.Header["Upgrade"]; len(up) > 0 && (len(up) > 1 || !strings.EqualFold(up[0], "websocket") || r.Method != http.MethodGet) {
			delete(r.Header, "Upgrade")
			delete(r.Header, "Http2-Settings")
		}
		a := &answer{ResponseWriter: w}
		rp.ServeHTTP(a, r.WithContext(context.WithValue(r.Context(), questionKey{}, q)))
		switch {
		case a.err == nil:
			return nil
		case r.Context().Err() != nil:
			return &proxy.Refusal{Status: http.StatusServiceUnavailable, Control: ctlApp, Reason: "the request was given up", Detail: a.err.Error()}
		}
		if _, ok := errors.AsType[*dialError](a.err); ok {
			return unreached(w, a.err)
		}
		return failed(a.err)
	}
}

// pool lends the buffers that answers are copied through.
type pool struct{}

func (pool) Get() []byte  { return *buffers.Get().(*[]byte) }
func (pool) Put(b []byte) { buffers.Put(&b) }
