package fastcgi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

// serve starts the standard library's FastCGI server, which keeps connections.
func serve(t *testing.T, h http.HandlerFunc) (*Client, *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go fcgi.Serve(l, h)
	dials := new(atomic.Int32)
	c := &Client{MaxConns: 4, Dial: func(ctx context.Context) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, "unix", l.Addr().String())
	}}
	t.Cleanup(c.CloseIdle)
	return c, dials
}

func params(method string, length int, more ...Param) Params {
	return append(Params{{"REQUEST_METHOD", method}, {"SERVER_PROTOCOL", "HTTP/1.1"}, {"REQUEST_URI", "/x?y=1"},
		{"HTTP_HOST", "example.com"}, {"CONTENT_LENGTH", strconv.Itoa(length)}}, more...)
}

func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return c
}

func TestKeepsConnections(t *testing.T) {
	c, dials := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Method", r.Method)
		w.WriteHeader(http.StatusTeapot)
		io.Copy(w, r.Body)
	})
	for i := range 20 {
		body := strings.Repeat("x", i*5000)
		req := &Request{Params: params("POST", len(body)), Body: strings.NewReader(body), Length: int64(len(body))}
		resp, err := c.Do(ctx(t), req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || string(got) != body || resp.Status != 418 || resp.Header.Get("X-Method") != "POST" {
			t.Fatalf("request %d: got %d bytes, status %d, header %v, error %v", i, len(got), resp.Status, resp.Header, err)
		}
		resp.Body.Close()
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("20 requests in a row: got %d connections, want 1", n)
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	var now, most atomic.Int32
	c, dials := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(2 * time.Millisecond)
		now.Add(-1)
		fmt.Fprint(w, r.Header.Get("X-N"))
	})
	errs := make(chan error, 64)
	for i := range cap(errs) {
		go func() {
			n := strconv.Itoa(i)
			resp, err := c.Do(ctx(t), &Request{Params: params("GET", 0, Param{"HTTP_X_N", n})})
			if err == nil {
				var b []byte
				b, err = io.ReadAll(resp.Body)
				resp.Body.Close()
				if err == nil && string(b) != n {
					err = fmt.Errorf("got the answer to %q, want %q", b, n)
				}
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if most.Load() > 4 || dials.Load() > 8 {
		t.Errorf("got %d requests at once on %d connections, want at most 4", most.Load(), dials.Load())
	}
}

func TestStreamsBothWays(t *testing.T) {
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		br := bufio.NewReader(r.Body)
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			io.WriteString(w, "got "+line)
			w.(http.Flusher).Flush()
		}
	})
	pr, pw := io.Pipe()
	const n = 3
	go fmt.Fprint(pw, "a\n")
	resp, err := c.Do(ctx(t), &Request{Params: params("POST", 2*n), Body: pr, Length: 2 * n})
	if err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(resp.Body)
	for i := range n {
		// The next line is sent only after the answer to the last one came.
		if got, err := br.ReadString('\n'); got != "got a\n" {
			t.Fatalf("line %d: got %q, %v", i, got, err)
		}
		if i < n-1 {
			fmt.Fprint(pw, "a\n")
		}
	}
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("after the last line: got %v, want EOF", err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
}

func TestLargeParams(t *testing.T) {
	big := strings.Repeat("v", 200<<10)
	many := Params{}
	for i := range 3000 {
		many.Add("HTTP_X_"+strconv.Itoa(i), strings.Repeat("w", 40))
	}
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, len(r.Header.Get("X-Big")), r.Header.Get("X-2999"))
	})
	resp, err := c.Do(ctx(t), &Request{Params: params("GET", 0, append(many, Param{"HTTP_X_BIG", big})...)})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); string(b) != fmt.Sprint(len(big), many[0].Value) {
		t.Errorf("got %q", b)
	}
}

func TestParamsStayWhole(t *testing.T) {
	var p Params
	for i := range 5000 {
		p.Add("NAME"+strconv.Itoa(i), strings.Repeat("x", i%300))
	}
	b := p.appendRecords(nil)
	records := 0
	for len(b) > 0 {
		n := int(b[4])<<8 | int(b[5])
		if b[1] != typeParams || n > maxContent {
			t.Fatalf("got type %d with %d bytes", b[1], n)
		}
		content := b[headerLen : headerLen+n]
		for len(content) > 0 { // each record can be read on its own
			var nl, vl int
			if nl, content = size(content); nl == 0 {
				t.Fatal("a variable is split over two records")
			}
			vl, content = size(content)
			content = content[nl+vl:]
		}
		records++
		b = b[headerLen+n:]
	}
	if records < 3 {
		t.Errorf("got %d records, want several", records)
	}
}

func size(b []byte) (int, []byte) {
	if b[0] < 128 {
		return int(b[0]), b[1:]
	}
	return int(b[0]&0x7f)<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3]), b[4:]
}

// script answers every connection with the same bytes after it has read a little.
func script(t *testing.T, answer []byte) *Client {
	c := &Client{Dial: func(context.Context) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			go io.Copy(io.Discard, there)
			there.Write(answer)
			there.Close()
		}()
		return here, nil
	}}
	t.Cleanup(c.CloseIdle)
	return c
}

func rec(kind byte, content string) []byte {
	b := appendHeader(nil, kind, len(content))
	return append(b, content...)
}

func recs(r ...[]byte) []byte { return bytes.Join(r, nil) }

var end = rec(typeEnd, "\x00\x00\x00\x00\x00\x00\x00\x00")

func TestAnswers(t *testing.T) {
	padded := rec(typeStdout, "Status: 404 No\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n")
	padded[6] = 5
	padded = append(padded, "xxxxx"...)
	for _, tt := range []struct {
		name   string
		answer []byte
		status int
		body   string
		err    string
	}{
		{"plain", recs(rec(typeStdout, "A: b\r\n\r\nhello"), end), 200, "hello", ""},
		{"newlines", recs(rec(typeStdout, "A: b\n\nhello"), end), 200, "hello", ""},
		{"padding and split", recs(padded, rec(typeStdout, "\r"), rec(typeStdout, "\nhel"), rec(typeStdout, "lo"), rec(typeStdout, ""), end), 404, "hello", ""},
		{"stderr between", recs(rec(typeStderr, "oops"), rec(typeStdout, "A: b\r\n"), rec(typeStderr, "oops"), rec(typeStdout, "\r\nhello"), end), 200, "hello", ""},
		{"management record", recs([]byte{1, typeUnknown, 0, 0, 0, 8, 0, 0}, make([]byte, 8), rec(typeStdout, "A: b\r\n\r\n"), end), 200, "", ""},
		{"redirect", recs(rec(typeStdout, "Location: /x\r\n\r\n"), end), 302, "", ""},
		{"dropped", recs(rec(typeStdout, "X-Sendfile: /etc/passwd\r\nX-Accel-Redirect: /x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"), end), 200, "", ""},
		{"silence", nil, 0, "", "closed before an answer"},
		{"end only", end, 0, "", "ended within its header"},
		{"cut header", rec(typeStdout, "A: b\r\n"), 0, "", "unexpected EOF"},
		{"cut body", rec(typeStdout, "A: b\r\n\r\nhel"), 200, "", "unexpected EOF"},
		{"cut record", rec(typeStdout, "A: b\r\n\r\nhello")[:20], 200, "", "unexpected EOF"},
		{"short end", recs(rec(typeEnd, "\x00")), 0, "", "end of 1 bytes"},
		{"overloaded", recs(rec(typeEnd, "\x00\x00\x00\x00\x02\x00\x00\x00")), 0, "", "overloaded"},
		{"refused", recs(rec(typeEnd, "\x00\x00\x00\x00\x01\x00\x00\x00")), 0, "", "protocol status 1"},
		{"version", []byte{2, 6, 0, 1, 0, 0, 0, 0}, 0, "", "got version 2"},
		{"request", []byte{1, 6, 0, 9, 0, 0, 0, 0}, 0, "", "got request 9"},
		{"type", []byte{1, 99, 0, 1, 0, 0, 0, 0}, 0, "", "got type 99"},
		{"http", []byte("HTTP/1.1 200 OK\r\n\r\n"), 0, "", "malformed"},
		{"long header", rec(typeStdout, "A: "+strings.Repeat("x", 65000)+"\r\n"), 0, "", ""},
		{"status text", recs(rec(typeStdout, "Status: fine\r\n\r\n"), end), 0, "", "got Status"},
		{"status 1xx", recs(rec(typeStdout, "Status: 101\r\n\r\n"), end), 0, "", "got Status"},
		{"two statuses", recs(rec(typeStdout, "Status: 200\r\nStatus: 404\r\n\r\n"), end), 0, "", "more than one Status"},
		{"no colon", recs(rec(typeStdout, "hello\r\n\r\n"), end), 0, "", "malformed header line"},
		{"folded", recs(rec(typeStdout, "A: b\r\n c\r\n\r\n"), end), 0, "", "malformed header line"},
		{"control", recs(rec(typeStdout, "A: b\rc\r\n\r\n"), end), 0, "", "control character"},
		{"two lengths", recs(rec(typeStdout, "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), end), 0, "", "Content-Length"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var reported string
			resp, err := script(t, tt.answer).Do(ctx(t), &Request{Stderr: func(b []byte) { reported += string(b) }})
			if tt.status == 0 {
				if err == nil {
					t.Fatalf("got status %d, want an error", resp.Status)
				}
				if !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got error %q, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(iotest.OneByteReader(resp.Body))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || string(b) != tt.body || resp.Status != tt.status {
				t.Errorf("got status %d, body %q, error %v", resp.Status, b, err)
			}
			if tt.name == "stderr between" && reported != "oopsoops" {
				t.Errorf("got %q reported", reported)
			}
			if tt.name == "padding and split" && len(resp.Header["Set-Cookie"]) != 2 {
				t.Errorf("got header %v", resp.Header)
			}
			if tt.name == "dropped" && len(resp.Header) != 0 {
				t.Errorf("got header %v, want none", resp.Header)
			}
		})
	}
}

func TestHeaderLimit(t *testing.T) {
	line := rec(typeStdout, "A: "+strings.Repeat("x", 60000)+"\r\n")
	_, err := script(t, recs(line, line, line)).Do(ctx(t), &Request{})
	if err == nil || !strings.Contains(err.Error(), "longer than 65536") {
		t.Errorf("got %v", err)
	}
}

func TestAbort(t *testing.T) {
	started := make(chan struct{}, 1)
	release := make(chan struct{})
	c, dials := serve(t, func(w http.ResponseWriter, r *http.Request) { started <- struct{}{}; <-release })
	defer close(release)
	cx, cancel := context.WithCancel(ctx(t))
	go func() { <-started; cancel() }()
	if _, err := c.Do(cx, &Request{Params: params("GET", 0)}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a cancelled context", err)
	}
	if len(c.idle) != 0 || len(c.sem) != 0 || dials.Load() != 1 {
		t.Errorf("after an abort: %d idle, %d in use, %d dialled", len(c.idle), len(c.sem), dials.Load())
	}
}

func TestBodyIsCutShort(t *testing.T) {
	seen := make(chan error, 1)
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		seen <- err
	})
	_, err := c.Do(ctx(t), &Request{Params: params("POST", 100), Body: strings.NewReader("short"), Length: 100})
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "request's body") {
		t.Errorf("got %v, want the body's end", err)
	}
	select {
	case err := <-seen:
		if err == nil {
			t.Error("the responder took the part for the whole")
		}
	case <-time.After(5 * time.Second):
	}
	if len(c.idle) != 0 {
		t.Error("the connection was kept")
	}
}

// A responder may answer without reading the body; the reader of it must not block.
func TestAnswerBeforeBody(t *testing.T) {
	c := script(t, recs(rec(typeStdout, "A: b\r\n\r\nno"), end))
	pr, pw := io.Pipe()
	req := &Request{Body: pr, Length: 1 << 20, Interrupt: func() { pw.CloseWithError(errors.New("interrupted")) }}
	resp, err := c.Do(ctx(t), req)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); string(b) != "no" || err != nil {
		t.Errorf("got %q, %v", b, err)
	}
	resp.Body.Close()
	if len(c.idle) != 0 {
		t.Error("the connection was kept")
	}
}

func TestStaleConnection(t *testing.T) {
	// The first answer on each connection is followed by a silent close.
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 4096)
			nc.Read(b)
			nc.Write(recs(rec(typeStdout, "A: b\r\n\r\nhello"), end))
			nc.Close()
		}
	}()
	c := &Client{Dial: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", l.Addr().String())
	}}
	for range 5 {
		resp, err := c.Do(ctx(t), &Request{Params: params("GET", 0), Replay: true})
		if err != nil {
			t.Fatal(err)
		}
		io.ReadAll(resp.Body)
		resp.Body.Close()
	}
}

func TestUnreached(t *testing.T) {
	c := &Client{Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("nobody") }}
	if _, err := c.Do(ctx(t), &Request{}); !errors.Is(err, ErrUnreached) {
		t.Errorf("got %v, want ErrUnreached", err)
	}
	if len(c.sem) != 0 {
		t.Error("the slot was not given back")
	}
}

func TestSpool(t *testing.T) {
	for _, n := range []int64{0, 1, 256 << 10, 256<<10 + 1, 1 << 20} {
		body, got, err := Spool(io.LimitReader(zeros{}, n), t.TempDir(), 1<<20)
		if err != nil || got != n {
			t.Fatalf("%d bytes: got %d, %v", n, got, err)
		}
		if m, _ := io.Copy(io.Discard, body); m != n {
			t.Errorf("%d bytes: read back %d", n, m)
		}
		body.Close()
	}
	for _, limit := range []int64{10, 1 << 20} {
		if _, _, err := Spool(zeros{}, t.TempDir(), limit); !errors.Is(err, ErrTooLarge) {
			t.Errorf("limit %d: got %v, want ErrTooLarge", limit, err)
		}
	}
	if _, _, err := Spool(iotest.ErrReader(errors.New("gone")), t.TempDir(), 10); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("got %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// FuzzAnswer feeds bytes to the reader of answers. Any of them may be an error;
// none may panic, hang or come out with a forbidden header.
func FuzzAnswer(f *testing.F) {
	f.Add(recs(rec(typeStdout, "A: b\r\n\r\nhello"), end))
	f.Add(recs(rec(typeStderr, "x"), rec(typeStdout, "Status: 302\nLocation: /\n\n"), rec(typeStdout, ""), end))
	f.Add([]byte{1, 3, 0, 1, 0, 8, 255, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		b := &Body{stream: stream{r: bufio.NewReaderSize(bytes.NewReader(data), 16)}}
		resp, err := b.readHeader(4096)
		if err != nil {
			return
		}
		if resp.Status < 200 || resp.Status > 599 {
			t.Errorf("got status %d", resp.Status)
		}
		for k, vs := range resp.Header {
			if dropped[k] || !token([]byte(k)) {
				t.Errorf("got header %q", k)
			}
			for _, v := range vs {
				if strings.ContainsAny(v, "\r\n\x00") {
					t.Errorf("got value %q", v)
				}
			}
		}
		n, err := io.Copy(io.Discard, struct{ io.Reader }{b})
		if n > int64(len(data)) {
			t.Errorf("got %d bytes out of %d, %v", n, len(data), err)
		}
	})
}
