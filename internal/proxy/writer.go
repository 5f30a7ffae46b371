package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// writer counts what is sent and lets the record change the final header. It
// keeps streaming and upgrades working through Unwrap, Flush and Hijack.
type writer struct {
	http.ResponseWriter
	rec   *Record
	wrote bool
}

func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(status int) {
	if w.wrote {
		return
	}
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.wrote = true
		w.rec.Status = status
		if w.rec.OnHeader != nil {
			w.rec.OnHeader(status, w.Header())
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(b)
	w.rec.SentBytes += int64(n)
	return n, err
}

// ReadFrom keeps the server's own copying where it has one.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	n, err := io.Copy(w.ResponseWriter, r)
	w.rec.SentBytes += n
	return n, err
}

func (w *writer) Flush() {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.wrote = true
		w.rec.Status = http.StatusSwitchingProtocols
	}
	return c, rw, err
}

// counter counts the bytes of a request body as they are read, which may go on
// in another goroutine when the answer is already there.
type counter struct {
	io.ReadCloser
	n atomic.Int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.n.Add(int64(n))
	return n, err
}
