package fastcgi

import (
	"bufio"
	"context"
	"io"
	"net"
	"syscall"
	"time"
)

type conn struct {
	net.Conn
	r      *bufio.Reader
	w      []byte
	since  time.Time // idle
	reused bool
}

// get returns an idle connection that is still open, or a new one.
func (c *Client) get(ctx context.Context) (*conn, error) {
	for {
		c.mu.Lock()
		n := len(c.idle)
		if n == 0 {
			c.mu.Unlock()
			break
		}
		cn := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		if time.Since(cn.since) < c.idleTimeout() && cn.quiet() {
			cn.reused = true
			return cn, nil
		}
		cn.Close()
	}
	nc, err := c.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: nc, r: bufio.NewReaderSize(nc, 16<<10)}, nil
}

func (c *Client) put(cn *conn) {
	if c.IdleTimeout < 0 {
		cn.Close()
		return
	}
	if cap(cn.w) > 64<<10 {
		cn.w = nil
	}
	now := time.Now()
	cn.since = now
	c.mu.Lock()
	defer c.mu.Unlock()
	// Connections that nobody has needed for a while hold a worker each.
	for len(c.idle) > 0 && now.Sub(c.idle[0].since) >= c.idleTimeout() {
		c.idle[0].Close()
		c.idle = c.idle[1:]
	}
	c.idle = append(c.idle, cn)
}

func (c *Client) idleTimeout() time.Duration {
	if c.IdleTimeout == 0 {
		return 10 * time.Second
	}
	return c.IdleTimeout
}

// quiet says whether an idle connection is open and nothing came on it: a
// responder has nothing to say between two requests.
func (cn *conn) quiet() bool {
	sc, ok := cn.Conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	open := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, e := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		open = e == syscall.EAGAIN || e == syscall.EINTR
		return true
	})
	return err == nil && open
}

// sendBody sends exactly length bytes of body as records, and the end record.
func sendBody(w io.Writer, body io.Reader, length int64) error {
	size := min(length+headerLen, 32<<10)
	buf := make([]byte, max(size, 2*headerLen))
	for length > 0 {
		n, err := body.Read(buf[headerLen:min(int64(len(buf)), headerLen+length)])
		if n > 0 {
			putHeader(buf, typeStdin, n)
			if _, err := w.Write(buf[:headerLen+n]); err != nil {
				return err
			}
			length -= int64(n)
		}
		if err != nil && length > 0 {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return &bodyError{err}
		}
	}
	putHeader(buf, typeStdin, 0)
	_, err := w.Write(buf[:headerLen])
	return err
}
