//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A load is a set of kept connections to one server on loopback, which send
// written-out requests as fast as they are answered.
type load struct {
	addr  string
	tls   *tls.Config // nil for plain HTTP
	conns []*loadConn
	next  atomic.Int64

	mu    sync.Mutex
	times *[]time.Duration // of each answer, if they are wanted
}

type loadConn struct {
	l *load
	c net.Conn
	r *bufio.Reader
}

// A tally is what came of a number of requests.
type tally struct {
	done  int64
	other int64 // answers with a status other than 2xx
	wall  time.Duration
}

// openLoad connects n times and sends one request on each connection, so that
// handshakes are not measured.
func openLoad(addr string, n int, warm []byte) (*load, error) {
	t := clientTLS()
	t.NextProtos = []string{"http/1.1"}
	return openLoadOver(t, addr, n, warm)
}

// openPlain is openLoad without TLS.
func openPlain(addr string, n int, warm []byte) (*load, error) {
	return openLoadOver(nil, addr, n, warm)
}

func openLoadOver(t *tls.Config, addr string, n int, warm []byte) (*load, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("putting load on %s: want a loopback address", addr)
	}
	l := &load{addr: addr, tls: t}
	for range n {
		c := &loadConn{l: l}
		l.conns = append(l.conns, c)
		if _, err := c.do(warm); err != nil {
			l.close()
			return nil, fmt.Errorf("asking %s for the first time: %w", addr, err)
		}
	}
	return l, nil
}

func (l *load) close() {
	for _, c := range l.conns {
		c.drop()
	}
}

func (c *loadConn) drop() {
	if c.c != nil {
		_ = c.c.Close()
		c.c = nil
	}
}

// do sends one request and reads its answer.
func (c *loadConn) do(req []byte) (status int, err error) {
	if c.c == nil {
		raw, err := net.DialTimeout("tcp", c.l.addr, 5*time.Second)
		if err != nil {
			return 0, err
		}
		if c.c = raw; c.l.tls != nil {
			c.c = tls.Client(raw, c.l.tls)
		}
		c.r = bufio.NewReaderSize(c.c, 32<<10)
	}
	_ = c.c.SetDeadline(time.Now().Add(time.Minute))
	if _, err = c.c.Write(req); err != nil {
		c.drop()
		return 0, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.drop()
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err != nil || resp.Close {
		c.drop()
	}
	return resp.StatusCode, err
}

// run sends requests in turn until n are answered (0: no bound) or the context
// ends. pace is the least time between two requests of one connection.
func (l *load) run(ctx context.Context, requests [][]byte, n int64, pace time.Duration) (t tally, err error) {
	began := time.Now()
	var left, done, other atomic.Int64
	left.Store(n)
	var wg sync.WaitGroup
	errs := make(chan error, len(l.conns))
	for _, c := range l.conns {
		wg.Go(func() {
			var times []time.Duration
			defer func() {
				if l.times != nil {
					l.mu.Lock()
					defer l.mu.Unlock()
					*l.times = append(*l.times, times...)
				}
			}()
			for ctx.Err() == nil && (n == 0 || left.Add(-1) >= 0) {
				start := time.Now()
				req := requests[int(l.next.Add(1))%len(requests)]
				status, err := c.do(req)
				if err != nil {
					errs <- err
					return
				}
				done.Add(1)
				if l.times != nil {
					times = append(times, time.Since(start))
				}
				if status < 200 || status > 299 {
					other.Add(1)
				}
				if d := pace - time.Since(start); d > 0 {
					time.Sleep(d)
				}
			}
		})
	}
	wg.Wait()
	select {
	case err = <-errs:
	default:
	}
	return tally{done.Load(), other.Load(), time.Since(began)}, err
}
