package local

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/term"
)

// An ExecRequest asks for a program inside an instance's walls.
type ExecRequest struct {
	Instance string
	Args     []string // empty: a shell
	TTY      bool
	Rows     uint16
	Cols     uint16
}

// Frames of an exec session, both ways: one byte kind, four bytes length, payload.
const (
	frameData   = 'd' // input one way, output the other
	frameError  = 'e' // standard error, where there is no terminal
	frameEOF    = 'z' // end of input
	frameResize = 'r' // rows and columns, two bytes each
	frameExit   = 'x' // the exit code, four bytes
)

type frames struct {
	mu sync.Mutex
	w  io.Writer
}

func (f *frames) write(kind byte, b []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(b)))
	_, err := f.w.Write(append(h, b...))
	return err
}

func readFrame(r io.Reader) (kind byte, b []byte, err error) {
	var h [5]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(h[1:])
	if n > 1<<20 {
		return 0, nil, fmt.Errorf("an exec session's frame has %d bytes, want at most 1 MiB", n)
	}
	b = make([]byte, n)
	_, err = io.ReadFull(r, b)
	return h[0], b, err
}

// Exec runs a program inside an instance's walls, connected to this process's
// standard streams, and returns its exit code.
func (c *Client) Exec(ctx context.Context, req ExecRequest) (int, error) {
	conn, err := dialUnix(c.state.Control())
	if err != nil {
		return 1, c.state.unanswered(err)
	}
	defer conn.Close()
	fd := int(os.Stdin.Fd())
	req.TTY = term.IsTerminal(fd) && term.IsTerminal(int(os.Stdout.Fd()))
	if req.TTY {
		cols, rows, _ := term.GetSize(fd)
		req.Rows, req.Cols = uint16(rows), uint16(cols)
	}
	b, err := json.Marshal(req)
	if err != nil {
		return 1, err
	}
	fmt.Fprintf(conn, "POST /exec HTTP/1.1\r\nHost: site\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(b), b)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return 1, fmt.Errorf("asking the site: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		var a answer
		json.NewDecoder(resp.Body).Decode(&a)
		return 1, errors.New(a.Error)
	}
	if req.TTY {
		old, err := term.MakeRaw(fd)
		if err != nil {
			return 1, err
		}
		defer term.Restore(fd, old)
	}
	return c.session(conn, in, req.TTY)
}

func (c *Client) session(conn net.Conn, in *bufio.Reader, tty bool) (int, error) {
	out := &frames{w: conn}
	go func() {
		b := make([]byte, 16<<10)
		for {
			n, err := os.Stdin.Read(b)
			if n > 0 && out.write(frameData, b[:n]) != nil {
				return
			}
			if err != nil {
				out.write(frameEOF, nil)
				return
			}
		}
	}()
	if tty {
		size := make(chan os.Signal, 1)
		signal.Notify(size, syscall.SIGWINCH)
		defer signal.Stop(size)
		go func() {
			for range size {
				cols, rows, _ := term.GetSize(int(os.Stdin.Fd()))
				out.write(frameResize, binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, uint16(rows)), uint16(cols)))
			}
		}()
	}
	for {
		kind, b, err := readFrame(in)
		if err != nil {
			return 1, fmt.Errorf("the session ended: %w", err)
		}
		switch kind {
		case frameData:
			_, err = os.Stdout.Write(b)
		case frameError:
			_, err = os.Stderr.Write(b)
		case frameExit:
			if len(b) == 4 {
				return int(binary.BigEndian.Uint32(b)), nil
			}
		}
		if err != nil { // nobody hears the program: it ends with this connection
			return 1, fmt.Errorf("passing on what the program printed: %w", err)
		}
	}
}
