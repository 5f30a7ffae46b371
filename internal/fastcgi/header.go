package fastcgi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// What a responder must not say: these belong to the connection, or tell a web
// server to serve a file of the responder's choice.
var dropped = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Status": true,
	"X-Sendfile": true, "X-Lighttpd-Send-File": true, "X-Lighttpd-Sendfile": true, "X-Sendfile2": true,
}

func (b *Body) readHeader(limit int) (*Response, error) {
	buf := make([]byte, 0, 2048)
	end, next := -1, 0
	for end < 0 {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := b.stream.Read(buf[len(buf):cap(buf)])
		scan := max(0, len(buf)-3)
		buf = buf[:len(buf)+n]
		if end, next = headerEnd(buf, scan); end >= 0 {
			if end > limit {
				return nil, tooLong(limit)
			}
			break
		}
		if len(buf) > limit {
			return nil, tooLong(limit)
		}
		if err == io.EOF {
			return nil, errors.New("the answer ended within its header")
		}
		if err != nil {
			return nil, err
		}
	}
	h, status, err := parseHeader(buf[:end])
	if err != nil {
		return nil, err
	}
	b.first = buf[next:]
	return &Response{Status: status, Header: h, Body: b}, nil
}

func tooLong(limit int) error {
	return fmt.Errorf("the answer's header is longer than %d bytes", limit)
}

// headerEnd finds the blank line that ends a header: its last byte and the first
// byte of the body. It looks from a position on.
func headerEnd(b []byte, from int) (end, next int) {
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return -1, 0
		}
		i += from
		rest := b[i+1:]
		switch {
		case len(rest) >= 1 && rest[0] == '\n':
			return i + 1, i + 2
		case len(rest) >= 2 && rest[0] == '\r' && rest[1] == '\n':
			return i + 1, i + 3
		}
		from = i + 1
	}
}

func parseHeader(b []byte) (http.Header, int, error) {
	h := make(http.Header, 8)
	status, given := http.StatusOK, false
	for line := range bytes.Lines(b) {
		line = bytes.TrimRight(line, "\r\n")
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !token(name) {
			return nil, 0, fmt.Errorf("malformed header line %.80q", line)
		}
		value = bytes.TrimSpace(value)
		for _, c := range value {
			if c < ' ' && c != '\t' || c == 0x7f {
				return nil, 0, fmt.Errorf("control character in the value of header %.80q", name)
			}
		}
		key := textproto.CanonicalMIMEHeaderKey(string(name))
		if key == "Status" {
			if given {
				return nil, 0, errors.New("more than one Status header")
			}
			code, _, _ := strings.Cut(string(value), " ")
			n, err := strconv.Atoi(code)
			if err != nil || n < 200 || n > 599 {
				return nil, 0, fmt.Errorf("got Status %.80q, want 200 to 599", value)
			}
			status, given = n, true
		}
		if dropped[key] || strings.HasPrefix(key, "X-Accel-") {
			continue
		}
		if key == "Content-Length" {
			if n, err := strconv.ParseInt(string(value), 10, 64); err != nil || n < 0 || len(h[key]) > 0 {
				return nil, 0, fmt.Errorf("got Content-Length %.80q, want one number", value)
			}
		}
		h[key] = append(h[key], string(value))
	}
	if !given && h.Get("Location") != "" {
		status = http.StatusFound
	}
	return h, status, nil
}

func token(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return true
}
