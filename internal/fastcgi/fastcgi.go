// Package fastcgi is a client of FastCGI 1.0 responders such as PHP-FPM. Bodies
// and answers are streamed, connections are kept where the responder allows it.
package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// A Client sends requests to one responder. It is safe for concurrent use; only
// Dial must be set.
type Client struct {
	Dial func(context.Context) (net.Conn, error)

	// MaxConns bounds the open connections, idle ones included; further requests
	// wait for one. A PHP-FPM worker serves a kept connection and nothing else,
	// so this must not exceed the number of workers. 0: 8.
	MaxConns int

	IdleTimeout time.Duration // after which an idle connection is not used again; 0: 10 s; negative: none is kept
	MaxHeader   int           // bytes of an answer's header; 0: 64 KiB

	once sync.Once
	sem  chan struct{}
	mu   sync.Mutex
	idle []*conn // the most recently used one last
}

// A Request is what a responder is asked.
type Request struct {
	Params Params
	Body   io.Reader // nil: none. CONTENT_LENGTH is the caller's duty
	Length int64     // bytes of Body that are sent; what is missing is an error
	Replay bool      // may be sent twice when a kept connection turns out to be closed: only without a Body

	Stderr func([]byte) // what the responder reports; the bytes are valid during the call only

	// Interrupt makes a blocked Read of Body return. It is called when the
	// responder ends before it has read all of Body.
	Interrupt func()
}

// A Response is a responder's answer. Body must be closed.
type Response struct {
	Status int
	Header http.Header
	Body   *Body
}

// ErrUnreached means that nothing of the request reached a responder: another
// one may be asked.
var ErrUnreached = errors.New("no responder was reached")

// ErrOverloaded means that the responder refused the request for want of room.
var ErrOverloaded = errors.New("the responder is overloaded")

// errSilent means that a kept connection was closed before a single byte came.
var errSilent = errors.New("the connection was closed before an answer")

func (c *Client) init() {
	c.once.Do(func() {
		n := c.MaxConns
		if n <= 0 {
			n = 8
		}
		c.sem = make(chan struct{}, n)
	})
}

// Do sends a request and returns when the header of the answer is there. When
// ctx ends, so does the request, also while Body is being read.
func (c *Client) Do(ctx context.Context, req *Request) (*Response, error) {
	c.init()
	select {
	case c.sem <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for a free connection: %w: %w", ErrUnreached, context.Cause(ctx))
	}
	for {
		cn, err := c.get(ctx)
		if err != nil {
			<-c.sem
			return nil, fmt.Errorf("connecting: %w: %w", ErrUnreached, err)
		}
		resp, err := c.roundTrip(ctx, cn, req)
		if err == nil {
			return resp, nil
		}
		if cn.reused && req.Replay && req.Body == nil && errors.Is(err, errSilent) && ctx.Err() == nil {
			continue
		}
		<-c.sem
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("%w: %w", err, cause)
		}
		return nil, err
	}
}

// CloseIdle closes the connections that no request uses.
func (c *Client) CloseIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cn := range c.idle {
		cn.Close()
	}
	c.idle = nil
}

func (c *Client) roundTrip(ctx context.Context, cn *conn, req *Request) (*Response, error) {
	b := &Body{client: c, conn: cn, stream: stream{r: cn.r, stderr: req.Stderr}}
	b.stop = context.AfterFunc(ctx, func() { cn.SetDeadline(time.Unix(1, 0)) })

	cn.w = appendBegin(cn.w[:0], c.IdleTimeout >= 0)
	cn.w = req.Params.appendRecords(cn.w)
	if req.Body == nil {
		cn.w = appendHeader(cn.w, typeStdin, 0)
	}
	if _, err := cn.Write(cn.w); err != nil {
		b.abandon()
		return nil, fmt.Errorf("sending the request: %w: %w", errSilent, err)
	}
	if req.Body != nil {
		b.sent = make(chan error, 1)
		b.interrupt = req.Interrupt
		go func() {
			err := sendBody(cn, req.Body, req.Length)
			b.sent <- err
			if err != nil {
				// Without the end record the responder does not take the part for the whole.
				cn.Close()
			}
		}()
	}
	limit := c.MaxHeader
	if limit <= 0 {
		limit = 64 << 10
	}
	resp, err := b.readHeader(limit)
	if err != nil {
		silent := b.stream.records == 0
		if e := b.abandon(); e != nil {
			return nil, e
		}
		if silent && !errors.Is(err, errMalformed) {
			err = fmt.Errorf("%w: %w", errSilent, err)
		}
		return nil, fmt.Errorf("reading the answer's header: %w", err)
	}
	return resp, nil
}

// A Body is the rest of an answer. Read returns what is there without waiting
// for more.
type Body struct {
	stream
	client    *Client
	conn      *conn
	first     []byte // read along with the header
	stop      func() bool
	sent      chan error
	interrupt func()
	closed    bool
}

// Read reads the answer. An answer that is cut off ends with an error other than io.EOF.
func (b *Body) Read(p []byte) (int, error) {
	if b.closed {
		return 0, errors.New("reading a closed answer")
	}
	if len(b.first) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	return b.stream.Read(p)
}

// Waiting says whether the next Read may have to wait for the responder.
func (b *Body) Waiting() bool {
	return len(b.first) == 0 && b.stream.r.Buffered() == 0 && !b.stream.ended
}

// Close gives the connection back, or closes it when the answer was not read to its end.
func (b *Body) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	defer func() { <-b.client.sem }()
	// The end record often is there already, although nobody has read up to it.
	if !b.ended && b.left == 0 && len(b.first) == 0 && b.stream.r.Buffered() >= headerLen {
		b.stream.next()
	}
	if !b.ended || b.stream.err != io.EOF {
		b.release(false)
		return nil
	}
	keep := b.stream.pad == 0 && b.stream.r.Buffered() == 0
	if b.sent != nil {
		select {
		case err := <-b.sent:
			keep = keep && err == nil
		case <-time.After(5 * time.Millisecond): // the sender may be about to return, or blocked
			b.release(false)
			return nil
		}
		b.sent = nil
	}
	b.release(keep)
	return nil
}

// abandon closes the connection of a request that failed and returns why the
// body could not be read, if that is the reason.
func (b *Body) abandon() error {
	b.closed = true
	return b.release(false)
}

func (b *Body) release(keep bool) (bodyErr error) {
	if !b.stop() {
		keep = false // the context ended and spoiled the deadline
	}
	if !keep {
		b.conn.Close()
		if b.sent != nil {
			select {
			case bodyErr = <-b.sent:
			default:
				if b.interrupt != nil {
					b.interrupt()
				}
				<-b.sent
			}
			var e *bodyError
			if !errors.As(bodyErr, &e) {
				bodyErr = nil
			}
		}
		return bodyErr
	}
	b.client.put(b.conn)
	return nil
}

// A bodyError is a failure to read the request's body, as opposed to sending it.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "reading the request's body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }
