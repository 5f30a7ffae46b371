// Package sqlwire speaks just enough of the PostgreSQL and MySQL protocols to
// log in with a password and to run one statement after another. It is for
// places where no client program may be executed; it has no encryption.
package sqlwire

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

// Options say where to log in, and as whom.
type Options struct {
	Address                  string // host:port
	User, Password, Database string
	Dial                     func(ctx context.Context, network, address string) (net.Conn, error)
}

// An Error is what the server answered.
type Error struct {
	Code    string // SQLSTATE of PostgreSQL, error number of MySQL
	Message string
	Login   bool // it came before there was a session
}

func (e *Error) Error() string { return fmt.Sprintf("the server said %s: %s", e.Code, e.Message) }

// A Conn is one session.
type Conn interface {
	// Query runs one statement and returns its rows; NULL is "NULL".
	Query(ctx context.Context, sql string) ([][]string, error)
	Close() error
}

// limits keep a server that lies from taking this process's memory.
const (
	maxMessage = 4 << 20
	maxRows    = 10000
)

type stream struct {
	net.Conn
	r *bufio.Reader
}

func open(ctx context.Context, o Options) (*stream, error) {
	c, err := o.Dial(ctx, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("reaching the database at %s: %w", o.Address, err)
	}
	s := &stream{c, bufio.NewReader(c)}
	s.deadline(ctx)
	return s, nil
}

func (s *stream) deadline(ctx context.Context) {
	d, ok := ctx.Deadline()
	if !ok {
		d = time.Now().Add(10 * time.Second)
	}
	s.SetDeadline(d)
}

func (s *stream) read(n int) ([]byte, error) {
	if n < 0 || n > maxMessage {
		return nil, fmt.Errorf("reading from the database: a message of %d bytes, want at most %d", n, maxMessage)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(s.r, b)
	if err != nil {
		return nil, fmt.Errorf("reading from the database: %w", err)
	}
	return b, nil
}
