package balancer

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
)

var discard = log.New(io.Discard, "", 0)

// An attempt is one request's way to an instance: the RoundTripper of its own
// proxy, which tries instances in turn.
type attempt struct {
	b    *Balancer
	rec  *proxy.Record
	tier string
	body *keptBody // nil: none
	on   *backend  // whom it counts against
	err  error
}

func (a *attempt) release() {
	if a.on != nil {
		a.on.leave()
		a.on = nil
	}
}

// end is called when the handler returns.
func (a *attempt) end() {
	if a.body != nil {
		a.body.done.Store(true)
	}
	a.release()
}

// errGone is why a request was cut: its instance was drained and ran out of time.
var errGone = errors.New("the instance was taken away")

const (
	maxTries = 4
	maxLost  = 2 // of them, those that ended after the request was sent: it may be what kills the instance
)

// RoundTrip sends the request to the instance with the least to do. Another is
// asked when no connection was made, or when the connection broke before an
// answer and the request may safely be repeated.
func (a *attempt) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	deadline := time.Now().Add(a.b.o.Wait)
	var tried []*backend
	var last error
	lost := 0
	for len(tried) < maxTries {
		be, err := a.b.pick(ctx, a.tier, tried, deadline)
		if err != nil {
			if last != nil {
				return nil, a.fail(last)
			}
			return nil, err
		}
		a.release()
		a.on = be
		a.rec.Target, a.rec.Instance = be.target, be.Name
		start := a.rec.Now()
		a.rec.Sent = start
		if a.body != nil {
			req.Body = a.body // as it was before a failed try closed it
		}
		resp, err := be.transport.RoundTrip(req)
		if err == nil {
			a.rec.First = a.rec.Now()
			a.rec.TargetStatus = resp.StatusCode
			if resp.StatusCode != http.StatusSwitchingProtocols {
				a.b.windows[a.tier].add(a.rec.First, a.rec.First.Sub(start))
			}
			return resp, nil
		}
		if ctx.Err() != nil {
			return nil, a.fail(err)
		}
		last = err
		dial := dialFailed(err)
		if dial {
			a.b.takeOut(be)
		}
		if !dial {
			lost++
		}
		if lost >= maxLost || !a.again(req, dial) {
			return nil, a.fail(err)
		}
		tried = append(tried, be)
	}
	return nil, a.fail(last)
}

// again says whether a failed request may go to another instance.
func (a *attempt) again(req *http.Request, dial bool) bool {
	if a.body != nil {
		return dial && !a.body.read.Load()
	}
	if dial {
		return true
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return req.Header.Get("Upgrade") == ""
	}
	return false
}

// fail gives an error the class that the visitor reads.
func (a *attempt) fail(err error) error {
	if ref, ok := errors.AsType[*proxy.Refusal](err); ok {
		return ref // the edge's limits speak through the body
	}
	if a.body != nil {
		if e := a.body.err.Load(); e != nil {
			if ref, ok := errors.AsType[*proxy.Refusal](*e); ok {
				return ref
			}
		}
	}
	f := &proxy.Failure{Status: http.StatusBadGateway, Class: "the app did not answer", Err: err}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() && !dialFailed(err) {
		f.Status, f.Class = http.StatusGatewayTimeout, "the app took too long to answer"
	}
	if errors.Is(err, context.Canceled) {
		f.Class = "the visitor left"
	}
	return f
}

func dialFailed(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// keptBody is a request body that survives a failed attempt which did not read
// it. The transport may still be reading when the attempt is over.
type keptBody struct {
	io.ReadCloser
	read atomic.Bool
	done atomic.Bool // the handler has ended
	err  atomic.Pointer[error]
}

func (b *keptBody) Read(p []byte) (int, error) {
	if b.done.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	b.read.Store(true)
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.err.Store(&err)
	}
	return n, err
}

// Close leaves the body to the server, which closes it after the handler.
func (b *keptBody) Close() error { return nil }
