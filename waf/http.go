package waf

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Wrap has the rules judge what a handler is asked and what it answers. A request
// that they refuse does not reach the handler; of an answer that they refuse, or
// whose body they want to see, nothing is sent before they have decided.
func (e *Engine) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tx := e.NewTransaction()
		defer func() {
			tx.ProcessLogging()
			_ = tx.Close()
		}()
		if tx.IsRuleEngineOff() {
			next.ServeHTTP(w, r)
			return
		}
		it, err := tx.ProcessRequest(r)
		switch {
		case it != nil:
			reply(w, it)
			return
		case err != nil:
			http.Error(w, http.StatusText(http.StatusBadRequest), http.StatusBadRequest)
			return
		}
		ww := &writer{ResponseWriter: w, tx: tx, proto: r.Proto}
		next.ServeHTTP(ww, r)
		ww.finish()
	})
}

// ProcessRequest runs phases 1 and 2 on a request. Its body is read as far as the
// rules want it, and put back. An error is one of reading the body.
func (tx *Transaction) ProcessRequest(r *http.Request) (*Interruption, error) {
	host, port, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	tx.ProcessConnection(host, atoi(port), "", 0)
	uri := r.RequestURI
	if uri == "" {
		uri = r.URL.String()
	}
	tx.ProcessURI(uri, r.Method, r.Proto)
	tx.SetServerName(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			tx.AddRequestHeader(name, v)
		}
	}
	// Package http keeps these apart.
	if r.Host != "" {
		tx.AddRequestHeader("Host", r.Host)
	}
	for _, v := range r.TransferEncoding {
		tx.AddRequestHeader("Transfer-Encoding", v)
	}
	if it := tx.ProcessRequestHeaders(); it != nil {
		return it, nil
	}
	if tx.reqAccess && r.Body != nil && r.Body != http.NoBody {
		if it, err := tx.readBody(r); it != nil || err != nil {
			return it, err
		}
	}
	return tx.ProcessRequestBody()
}

// A body's first buffer has room for what its length says, up to bodyRoom bytes.
const bodyRoom = 64 << 10

func (tx *Transaction) readBody(r *http.Request) (*Interruption, error) {
	// What is kept is read by others after this transaction has ended, and so is
	// not the transaction's own copy.
	kept := make([]byte, 0, min(max(r.ContentLength, 0), bodyRoom)+bytes.MinRead)
	for {
		if len(kept) == cap(kept) {
			more := len(kept)
			if left := r.ContentLength - int64(len(kept)); left >= 0 {
				more = int(min(int64(more), left)) + bytes.MinRead
			}
			kept = slices.Grow(kept, more)
		}
		n, err := r.Body.Read(kept[len(kept):cap(kept)])
		part := kept[len(kept) : len(kept)+n]
		kept = kept[:len(kept)+n]
		it, took, werr := tx.WriteRequestBody(part)
		if it != nil || werr != nil {
			return it, werr
		}
		switch {
		case err == io.EOF:
			r.Body = &rejoined{bytes.NewReader(kept), r.Body}
			return nil, nil
		case err != nil:
			return nil, err
		case took < n:
			r.Body = &rejoined{io.MultiReader(bytes.NewReader(kept), r.Body), r.Body}
			return nil, nil
		}
	}
}

// rejoined is a body of which a part has been read.
type rejoined struct {
	io.Reader
	io.Closer
}

// reply sends what an interruption asks for.
func reply(w http.ResponseWriter, it *Interruption) {
	h := w.Header()
	status := it.Status
	switch it.Action {
	case "drop":
		panic(http.ErrAbortHandler)
	case "redirect":
		h.Set("Location", strings.Map(func(c rune) rune {
			if c < ' ' || c == 0x7f {
				return -1
			}
			return c
		}, it.Data))
	default:
		if status == 0 {
			status = http.StatusForbidden
		}
	}
	h.Set("Content-Length", "0")
	w.WriteHeader(status)
}

// A writer judges an answer on its way.
type writer struct {
	http.ResponseWriter
	tx     *Transaction
	proto  string
	status int
	held   []byte // of the body, while the rules want to see it
	holds  bool
	ended  bool // the rules refused the answer; the rest of it is dropped
	taken  bool // the handler has the connection
}

// errRefused is what a handler gets whose answer the rules refused.
var errRefused = errors.New("writing the answer: the rules refused it")

func (w *writer) WriteHeader(status int) {
	if w.status != 0 || w.ended {
		return
	}
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.status = status
	for name, values := range w.Header() {
		for _, v := range values {
			w.tx.AddResponseHeader(name, v)
		}
	}
	if it := w.tx.ProcessResponseHeaders(status, w.proto); it != nil {
		w.end(it)
		return
	}
	w.holds = w.tx.respAccess && w.tx.IsResponseBodyProcessable()
	if !w.holds {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *writer) Write(b []byte) (int, error) {
	if w.status == 0 {
		if w.Header().Get("Content-Type") == "" {
			w.Header().Set("Content-Type", http.DetectContentType(b))
		}
		w.WriteHeader(http.StatusOK)
	}
	if w.ended {
		return 0, errRefused
	}
	if !w.holds {
		return w.ResponseWriter.Write(b)
	}
	it, took, err := w.tx.WriteResponseBody(b)
	switch {
	case it != nil:
		w.end(it)
		return 0, errRefused
	case err != nil:
		return 0, err
	}
	w.held = append(w.held, b...)
	if took < len(b) { // the rest is more than the rules judge
		if err := w.release(); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// release sends what was held.
func (w *writer) release() error {
	w.holds = false
	w.ResponseWriter.WriteHeader(w.status)
	_, err := w.ResponseWriter.Write(w.held)
	w.held = nil
	return err
}

func (w *writer) end(it *Interruption) {
	w.ended, w.holds, w.held = true, false, nil
	clear(w.Header())
	reply(w.ResponseWriter, it)
}

// finish runs phase 4 when the handler has written all it has to.
func (w *writer) finish() {
	if w.taken {
		return
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.ended {
		return
	}
	held := w.holds
	it, err := w.tx.ProcessResponseBody()
	if !held {
		return // too late to refuse it
	}
	switch {
	case it != nil:
		w.end(it)
	case err != nil:
		w.end(&Interruption{Action: "deny", Status: http.StatusInternalServerError})
	default:
		// A length would take the place of what a trailer needs.
		if h := w.Header(); len(w.held) > 0 && h.Get("Content-Length") == "" && h.Get("Trailer") == "" {
			w.Header().Set("Content-Length", strconv.Itoa(len(w.held)))
		}
		_ = w.release() // the client is gone
	}
}

// Flush sends what is not held.
func (w *writer) Flush() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if f, ok := w.ResponseWriter.(http.Flusher); ok && !w.holds && !w.ended {
		f.Flush()
	}
}

// ReadFrom lets the server copy from a file what no rule wants to see.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	if w.status == 0 && w.Header().Get("Content-Type") != "" {
		w.WriteHeader(http.StatusOK)
	}
	if w.status == 0 || w.holds || w.ended {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	return io.Copy(w.ResponseWriter, r)
}

// Hijack gives the handler the connection, as for a WebSocket. What it says on it
// the rules do not see.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.taken = w.taken || err == nil
	return c, rw, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
