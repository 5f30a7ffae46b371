package network

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
)

// timedBody cuts a request body that comes too slowly: in every window of time
// that is spent waiting for it, rate bytes a second must have come. Only waiting
// counts, so that a slow app is not the client's fault.
type timedBody struct {
	io.ReadCloser
	rc     *http.ResponseController
	window time.Duration
	need   int64 // bytes in each window
	waited time.Duration
	n      int64 // bytes in the current window
	done   bool
}

func slowBody(w http.ResponseWriter, body io.ReadCloser, window time.Duration, rate int64) *timedBody {
	return &timedBody{ReadCloser: body, rc: http.NewResponseController(w), window: window,
		need: max(1, int64(float64(rate)*window.Seconds()))}
}

func (b *timedBody) Read(p []byte) (int, error) {
	if b.done {
		return b.ReadCloser.Read(p)
	}
	start := time.Now()
	_ = b.rc.SetReadDeadline(start.Add(b.window - b.waited))
	n, err := b.ReadCloser.Read(p)
	_ = b.rc.SetReadDeadline(time.Time{})
	b.waited += time.Since(start)
	b.n += int64(n)
	if b.n >= b.need {
		b.n, b.waited = 0, 0
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) || err == nil && b.waited >= b.window:
		b.done = true
		err = &proxy.Refusal{Status: http.StatusRequestTimeout, Control: "network/slow-body", Reason: "the request's body came too slowly"}
	case err != nil:
		b.done = true
	}
	return n, err
}

// end bounds how long the server waits for the rest of a body that nobody read.
func (b *timedBody) end() {
	if !b.done {
		_ = b.rc.SetReadDeadline(time.Now().Add(b.window))
	}
}
