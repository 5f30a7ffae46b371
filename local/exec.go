//go:build linux

package local

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// serveExec runs a program under the same walls as an instance's app, in the
// instance's network, and writes the session to the audit directory.
func (h *hub) serveExec(w http.ResponseWriter, r *http.Request) {
	var req ExecRequest
	if err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&req); err != nil {
		reply(w, nil, fmt.Errorf("reading the exec request: %w", err))
		return
	}
	if err := h.mustBeUp(); err != nil {
		reply(w, nil, err)
		return
	}
	i := h.instanceNamed(req.Instance)
	if i == nil {
		reply(w, nil, fmt.Errorf("there is no instance %q; see: ringwall status", req.Instance))
		return
	}
	audit, err := h.audit(req)
	if err != nil {
		reply(w, nil, fmt.Errorf("the session cannot be audited, so it is refused: %w", err))
		return
	}
	defer audit.close()
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "ringwall-exec")
	w.WriteHeader(http.StatusSwitchingProtocols)
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Time{})
	out := &frames{w: conn}
	code, err := i.exec(req, rw.Reader, out, audit)
	if err != nil {
		out.write(frameError, []byte("ringwall: "+err.Error()+"\n"))
		code = 1
	}
	audit.line("ended", fmt.Sprintf("exit code %d", code))
	out.write(frameExit, binary.BigEndian.AppendUint32(nil, uint32(code)))
}

func (i *instance) exec(req ExecRequest, in *bufio.Reader, out *frames, audit *auditLog) (int, error) {
	s, err := i.spec()
	if err != nil {
		return 1, err
	}
	s.Name += "-exec"
	s.Args = req.Args
	if len(s.Args) == 0 {
		s.Args = []string{"/bin/sh"}
	}
	if !filepath.IsAbs(s.Args[0]) {
		s.Args = append([]string{"/usr/bin/env"}, s.Args...)
	}
	s.Calls.Spawn = true
	var stdin *os.File
	var outputs sync.WaitGroup
	copyOut := func(kind byte, f *os.File) {
		outputs.Go(func() {
			b := make([]byte, 16<<10)
			for {
				n, err := f.Read(b)
				if n > 0 {
					audit.line("output", string(b[:n]))
					out.write(kind, b[:n])
				}
				if err != nil {
					return
				}
			}
		})
	}
	var terminal *os.File
	var theirs []*os.File
	if req.TTY {
		own, tty, err := openTerminal()
		if err != nil {
			return 1, fmt.Errorf("making a terminal: %w", err)
		}
		defer own.Close()
		resize(own, req.Rows, req.Cols)
		if id := int(i.hub.uid(i.tier.Name)); i.hub.Root {
			tty.Chown(id, id)
		}
		s.Stdin, s.Stdout, s.Stderr, s.TTY = tty, tty, tty, true
		s.Env = append(s.Env, "TERM=xterm-256color")
		terminal, stdin, theirs = own, own, []*os.File{tty}
	} else {
		ir, iw, err := os.Pipe()
		if err != nil {
			return 1, err
		}
		or, ow, err := os.Pipe()
		if err != nil {
			return 1, err
		}
		er, ew, err := os.Pipe()
		if err != nil {
			return 1, err
		}
		defer or.Close()
		defer er.Close()
		s.Stdin, s.Stdout, s.Stderr = ir, ow, ew
		stdin, theirs = iw, []*os.File{ir, ow, ew}
		copyOut(frameData, or)
		copyOut(frameError, er)
	}
	p, err := startBox(s)
	for _, f := range theirs {
		f.Close()
	}
	if err != nil {
		return 1, err
	}
	if terminal != nil {
		copyOut(frameData, terminal)
	}
	go func() {
		defer p.Kill() // the other side is gone
		for {
			kind, b, err := readFrame(in)
			switch {
			case err != nil:
				return
			case kind == frameData:
				audit.line("input", string(b))
				if feed(stdin, b, out) != nil {
					return
				}
			case kind == frameEOF && terminal == nil:
				stdin.Close()
			case kind == frameResize && len(b) == 4 && terminal != nil:
				resize(terminal, binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]))
			}
		}
	}()
	e, err := p.(box).Process.Wait()
	if terminal == nil {
		outputs.Wait()
	} else {
		time.Sleep(50 * time.Millisecond) // what the terminal still holds
	}
	if err != nil {
		return 1, err
	}
	if e.Signal != 0 {
		return 128 + e.Signal, nil
	}
	return e.Code, nil
}

// openTerminal makes a terminal. Writing to our side of it may wait for a program
// that reads nothing, so that side takes deadlines.
func openTerminal() (own, tty *os.File, err error) {
	ptmx, tty, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	defer ptmx.Close()
	fd, err := unix.FcntlInt(ptmx.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
		own = os.NewFile(uintptr(fd), ptmx.Name())
	}
	if err != nil {
		tty.Close()
		return nil, nil, err
	}
	return own, tty, nil
}

// resize tells a terminal its size. Fd would take the deadlines away again.
func resize(terminal *os.File, rows, cols uint16) {
	if c, err := terminal.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) { unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}) })
	}
}

// feed writes to a program that may never read, and gives up when the other side
// of the session is gone. A program that has closed its input loses it.
func feed(w *os.File, b []byte, session *frames) error {
	for len(b) > 0 {
		w.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := w.Write(b)
		b = b[n:]
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err := session.write(frameData, nil); err != nil {
			return err
		}
	}
	return nil
}

func (h *hub) instanceNamed(name string) *instance {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, i := range h.instances {
		if i.agent == nil {
			continue
		}
		if i.name == name || (!strings.Contains(name, "/") && i.tier.Name == name) {
			return i
		}
	}
	return nil
}

// maxTranscript is how many bytes of output a transcript keeps: a session may
// print without end, and must not fill the disk that the site lives on. What was
// typed is kept whole.
const maxTranscript = 16 << 20

// An auditLog is the transcript of one session: one JSON line per event.
type auditLog struct {
	mu      sync.Mutex
	kept    int   // bytes of output
	left    int64 // bytes of output that found no room
	f       *os.File
	enc     *json.Encoder
	secrets []string          // what it never holds: a transcript is kept and copied
	rest    map[string]string // by event: an end that may be the beginning of a secret
}

func (h *hub) audit(req ExecRequest) (*auditLog, error) {
	name := fmt.Sprintf("%s-%s.jsonl", time.Now().UTC().Format("20060102T150405.000000000Z"), strings.ReplaceAll(req.Instance, "/", "-"))
	f, err := os.OpenFile(filepath.Join(h.State.Audit(), name), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	a := &auditLog{f: f, enc: json.NewEncoder(f), secrets: h.secretValues(), rest: map[string]string{}}
	a.line("began", strings.Join(append([]string{req.Instance}, req.Args...), " "))
	return a, f.Sync()
}

func (a *auditLog) line(event, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if event == "output" {
		room := min(maxTranscript-a.kept, len(text))
		a.kept += room
		a.left += int64(len(text) - room)
		if text = text[:room]; room == 0 {
			return
		}
	}
	text = a.rest[event] + text
	for _, secret := range a.secrets {
		text = strings.ReplaceAll(text, secret, "[secret]")
	}
	// Output comes in pieces, and a secret may come in two.
	held := 0
	if event == "input" || event == "output" {
		held = a.begun(text)
	}
	a.rest[event] = text[len(text)-held:]
	if text = text[:len(text)-held]; text != "" || held == 0 {
		a.write(event, text)
	}
}

// begun is the length of the longest end of text that is the beginning of a
// secret.
func (a *auditLog) begun(text string) int {
	most := 0
	for _, secret := range a.secrets {
		for n := min(len(secret)-1, len(text)); n > most; n-- {
			if strings.HasSuffix(text, secret[:n]) {
				most = n
			}
		}
	}
	return most
}

func (a *auditLog) write(event, text string) {
	a.enc.Encode(struct {
		Time  time.Time `json:"time"`
		Event string    `json:"event"`
		Text  string    `json:"text"`
	}{time.Now(), event, text})
}

func (a *auditLog) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, event := range []string{"input", "output"} {
		if a.rest[event] != "" {
			a.write(event, a.rest[event])
		}
	}
	if a.left > 0 {
		a.write("left out", fmt.Sprintf("%d bytes of output, after the first %d", a.left, a.kept))
	}
	a.f.Sync()
	a.f.Close()
}
