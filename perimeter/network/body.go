package network

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
)

// slowBody cuts a request body that comes more slowly than rate bytes a second
// after a grace period. It moves the connection's read deadline forward as bytes
// come, so that a silent client is cut too.
func slowBody(w http.ResponseWriter, body io.ReadCloser, grace time.Duration, rate int64) io.ReadCloser {
	if grace <= 0 || rate <= 0 {
		return body
	}
	b := &timedBody{ReadCloser: body, rc: http.NewResponseController(w), grace: grace, rate: rate, start: time.Now()}
	b.arm()
	return b
}

type timedBody struct {
	io.ReadCloser
	rc    *http.ResponseController
	grace time.Duration
	rate  int64
	start time.Time
	set   time.Time // the deadline in force
	n     int64
	done  bool
}

// arm sets the deadline by which the bytes so far must have been followed by
// more. It is moved only when it has moved by a tenth of the grace period.
func (b *timedBody) arm() {
	d := b.start.Add(b.grace + time.Duration(float64(b.n)/float64(b.rate)*float64(time.Second)))
	if d.Sub(b.set) >= b.grace/10 {
		b.set = d
		_ = b.rc.SetReadDeadline(d)
	}
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	switch {
	case err == nil:
		b.arm()
	case errors.Is(err, io.EOF):
		b.clear()
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = &proxy.Refusal{Status: http.StatusRequestTimeout, Control: "network/slow-body", Reason: "the request's body came too slowly"}
	}
	return n, err
}

// clear takes the deadline away when the body has ended: the answer may take
// longer than the body did.
func (b *timedBody) clear() {
	if !b.done {
		b.done = true
		_ = b.rc.SetReadDeadline(time.Time{})
	}
}
