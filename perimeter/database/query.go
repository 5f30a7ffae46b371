package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ringwall/ringwall/plan"
)

// What a query may end in, beside an SQL error.
var (
	ErrDenied  = errors.New("the database refused it: this user lacks the right")
	ErrLogin   = errors.New("the database refused the login")
	ErrConnect = errors.New("no connection to the database")
)

// Query runs SQL, one statement or several, with a tier's credentials from where
// the caller stands, and returns the rows: cells split by tabs. It speaks to the
// server itself, since inside an app's walls no client program may be started. It
// is for probes: without TLS, and only with the ways to log in that our servers
// use. A refusal by the server is ErrDenied; no session at all is ErrLogin or
// ErrConnect, which keeps the system's error.
func Query(ctx context.Context, secret plan.Secret, sql string) (string, error) {
	var speak func(io.ReadWriter, plan.Secret, string) (string, error)
	switch secret.Engine {
	case plan.Postgres:
		speak = pgQuery
	case plan.MySQL:
		speak = myQuery
	default:
		return "", fmt.Errorf("preparing a query: engine %q, want mysql or postgres", secret.Engine)
	}
	c, err := dial(ctx, net.JoinHostPort(secret.Host, strconv.Itoa(int(secret.Port))))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrConnect, err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	out, err := speak(c, secret, sql)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	return out, err
}

// dial tries again while the firewall finds that the address has too many
// connections: those of queries before may still be closing.
func dial(ctx context.Context, address string) (c net.Conn, err error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	for range 4 {
		if c, err = d.DialContext(ctx, "tcp", address); !errors.Is(err, syscall.EHOSTUNREACH) {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
	}
	return c, err
}

const wireMax = 16 << 20 // bytes of one message, and of an answer

var errTooLong = errors.New("the database's answer is longer than 16 MiB")

// rows collects an answer.
type rows struct {
	b strings.Builder
	n int
}

func (r *rows) row(cells []string) error {
	line := strings.Join(cells, "\t")
	if r.b.Len()+len(line) > wireMax {
		return errTooLong
	}
	if r.n++; r.n > 1 {
		r.b.WriteByte('\n')
	}
	r.b.WriteString(line)
	return nil
}

// A reader takes values off a message; what is missing makes it bad.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// text takes a text that ends in a zero byte.
func (r *reader) text() string {
	for i, c := range r.b {
		if c == 0 {
			return string(r.take(i + 1)[:i])
		}
	}
	r.bad, r.b = true, nil
	return ""
}
