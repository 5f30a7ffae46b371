package network

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
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

	mu   sync.Mutex
	done bool // the body or the handler has ended
}

func slowBody(w http.ResponseWriter, body io.ReadCloser, window time.Duration, rate int64) *timedBody {
	return &timedBody{ReadCloser: body, rc: http.NewResponseController(w), window: window,
		need: max(1, int64(float64(rate)*window.Seconds()))}
}

func (b *timedBody) Read(p []byte) (int, error) {
	start := time.Now()
	b.deadline(start.Add(b.window - b.waited))
	n, err := b.ReadCloser.Read(p)
	b.waited += time.Since(start)
	b.n += int64(n)
	if b.n >= b.need {
		b.n, b.waited = 0, 0
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) && (err != nil || b.waited < b.window) {
		b.deadline(time.Time{})
	} else {
		b.deadline(start) // and the server reads no more of it either
		err = &proxy.Refusal{Status: http.StatusRequestTimeout, Control: "network/slow-body", Reason: "the request's body came too slowly"}
	}
	if err != nil {
		b.mu.Lock()
		b.done = true
		b.mu.Unlock()
	}
	return n, err
}

func (b *timedBody) deadline(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.done {
		_ = b.rc.SetReadDeadline(t)
	}
}

// end is called when the handler has ended: it bounds how long the server waits
// for the rest of a body that nobody read, and leaves the connection alone after.
func (b *timedBody) end() {
	b.deadline(time.Now().Add(b.window))
	b.mu.Lock()
	b.done = true
	b.mu.Unlock()
}
