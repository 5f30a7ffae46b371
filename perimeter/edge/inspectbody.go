package edge

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter"
)

// bounds limits what the rules are given of one request.
type bounds struct {
	inspect int64 // bytes that are not the content of files
	args    int
}

func boundsOf(f profile) bounds {
	if f == admin {
		return bounds{adminInspect, adminArgs}
	}
	return bounds{publicInspect, publicArgs}
}

// readBody reads a request's body for inspection and puts it back for the app.
// seen is what the rules judge: the whole body, or for a form with files the
// body with the files' content shortened. release frees what holds the body.
func readBody(r *http.Request, b bounds) (seen []byte, release func(), err error) {
	release = func() {}
	if perimeter.Down("edge/waf-body") {
		b.inspect, b.args = 1<<40, 1<<30
	}
	contentType := r.Header.Get("Content-Type")
	if boundary := formBoundary(contentType); boundary != "" {
		return readForm(r, b, boundary)
	}
	if strings.HasPrefix(strings.ToLower(strings.TrimSpace(contentType)), "multipart/") && !perimeter.Down("edge/waf-body") {
		return nil, release, ambiguous("a multipart body whose boundary is not plainly given")
	}
	if r.ContentLength > b.inspect {
		return nil, release, tooLong(b)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, b.inspect+1))
	if err != nil {
		return nil, release, unread(err)
	}
	if int64(len(body)) > b.inspect {
		return nil, release, tooLong(b)
	}
	if err := countArgs(contentType, body, b); err != nil {
		return nil, release, err
	}
	putBack(r, bytes.NewReader(body), int64(len(body)))
	return body, release, nil
}

func tooLong(b bounds) error {
	return &proxy.Refusal{Status: http.StatusRequestEntityTooLarge, Control: "edge/waf-body", Reason: "the request's body is larger than can be inspected",
		Detail: fmt.Sprintf("beside the content of files, want %d bytes or fewer", b.inspect)}
}

// ambiguous refuses a form that the rules and the app could take apart differently.
func ambiguous(detail string) error {
	return &proxy.Refusal{Status: http.StatusBadRequest, Control: "edge/waf-body", Reason: "the request's body is malformed", Detail: detail}
}

// unread is why a body could not be read: a limit of ours, or the visitor left.
func unread(err error) error {
	if ref, ok := errors.AsType[*proxy.Refusal](err); ok {
		return ref
	}
	return &proxy.Refusal{Status: http.StatusBadRequest, Control: "edge/waf-body", Reason: "the request's body could not be read", Detail: err.Error()}
}

// putBack gives the app the body that was read, with its length now known.
func putBack(r *http.Request, body io.Reader, n int64) {
	r.Body = io.NopCloser(body)
	r.ContentLength = n
	r.TransferEncoding = nil
	if n == 0 {
		r.Body = http.NoBody
	}
}

// countArgs refuses bodies that unpack to more arguments than can be judged in
// reasonable time, and JSON that is nested too deeply.
func countArgs(contentType string, body []byte, b bounds) error {
	t := strings.ToLower(contentType)
	switch {
	case strings.Contains(t, "json"):
		n, depth := jsonLeaves(body)
		if depth > jsonDepth {
			return &proxy.Refusal{Status: http.StatusBadRequest, Control: "edge/waf-body", Reason: "the request's JSON is nested too deeply",
				Detail: fmt.Sprintf("got depth %d, want %d or less", depth, jsonDepth)}
		}
		if n > b.args {
			return tooMany("JSON values", n, b.args)
		}
	case strings.HasPrefix(t, "application/x-www-form-urlencoded"):
		if n := bytes.Count(body, []byte("&")) + 1; n > b.args {
			return tooMany("form fields", n, b.args)
		}
	case strings.Contains(t, "xml"):
		if n := bytes.Count(body, []byte("<")) / 2; n > b.args {
			return tooMany("XML elements", n, b.args)
		}
	}
	return nil
}

// jsonLeaves counts the values of a JSON text, and how deep it goes, without
// building anything. Of a malformed text it says what a lenient reader may see.
func jsonLeaves(b []byte) (leaves, depth int) {
	level, inString := 0, false
	leaves = 1
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString:
			if c == '\\' {
				i++
			} else if c == '"' {
				inString = false
			}
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			level++
			depth = max(depth, level)
		case c == '}' || c == ']':
			level--
		case c == ',':
			leaves++
		}
	}
	return leaves, depth
}

var formType = lazy.Regexp(`(?i)^multipart/form-data;\s*boundary=(?:"([0-9A-Za-z'()+_,./:=?-]{1,70})"|([0-9A-Za-z'+_.-]{1,70}))$`)

var (
	fileHeader = lazy.Regexp(`(?i)^content-disposition: form-data; name="[^"\\\r\n]*"; filename="[^"\\\r\n]+"$`)
	partHeader = lazy.Regexp(`^[A-Za-z0-9-]+: [^\r\n\x00]*$`)
	plainPart  = lazy.Regexp(`(?i)^content-disposition: ?form-data; ?name=` + plainValue + `(?:; ?filename=` + plainValue + `(?:; ?filename\*=[\w-]*'[\w-]*'[\w.%~+-]*)?)?$`)
)

const plainValue = `(?:"(?:[^"\\\r\n\x00]|\\[^"\\\r\n\x00])*"|[\w.-]+)`

// formBoundary is the boundary of a form with files in the plain notation that
// browsers and libraries use; empty for every other body, which then is judged
// and limited as a whole.
func formBoundary(contentType string) string {
	m := formType().FindStringSubmatch(contentType)
	if m == nil {
		return ""
	}
	return m[1] + m[2]
}

const (
	spoolMemory = 256 << 10
	fileHead    = 4 << 10 // bytes of a file's content that the rules see
	headMax     = 8 << 10 // bytes of a part's header
	scanChunk   = 64 << 10
)

// spool holds a body: in memory, or in a file that has no name.
type spool struct {
	mem  []byte
	file *os.File
	size int64
}

func (s *spool) ReadAt(p []byte, off int64) (int, error) {
	if s.file != nil {
		return s.file.ReadAt(p, off)
	}
	return bytes.NewReader(s.mem).ReadAt(p, off)
}

func (s *spool) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}

func fill(r io.Reader) (*spool, error) {
	s := &spool{}
	mem, err := io.ReadAll(io.LimitReader(r, spoolMemory))
	s.mem, s.size = mem, int64(len(mem))
	if err != nil || s.size < spoolMemory {
		return s, err
	}
	f, err := os.CreateTemp("", "body-*")
	if err != nil {
		return s, fmt.Errorf("keeping an upload while it is inspected: %w", err)
	}
	_ = os.Remove(f.Name())
	s.file, s.mem = f, nil
	if _, err := f.Write(mem); err != nil {
		return s, fmt.Errorf("keeping an upload while it is inspected: %w", err)
	}
	n, err := io.Copy(f, r)
	s.size += n
	return s, err
}

// readForm reads a form with files. What lies between two boundaries and is
// plainly a file's content is shortened in what the rules see; they do not judge
// it, and it may be large. Every other byte is kept and counts against the bound.
// A boundary that only some readers would see (after a bare line feed, or the
// start of a longer one) is refused, and so is a part that some would take for a
// field and others for a file, or that follows the end.
func readForm(r *http.Request, b bounds, boundary string) (seen []byte, release func(), err error) {
	s, err := fill(r.Body)
	release = s.close
	if err != nil {
		return nil, release, unread(err)
	}
	delim := []byte("--" + boundary)
	marks, err := find(s, delim, b.args)
	if err != nil {
		return nil, release, err
	}
	var out bytes.Buffer
	counted := int64(0)
	keep := func(from, to int64, count bool) error {
		if count {
			if counted += to - from; counted > b.inspect {
				return tooLong(b)
			}
		}
		_, err := io.Copy(&out, io.NewSectionReader(s, from, to-from))
		return err
	}
	if !perimeter.Down("edge/waf-body") {
		for i, m := range marks {
			if !regular(s, m, int64(len(delim))) {
				return nil, release, ambiguous("a boundary that is not a line of its own")
			}
			last := i == len(marks)-1
			end := s.size
			if !last {
				end = marks[i+1]
			}
			if why := irregularPart(s, m+int64(len(delim)), end, last); why != "" {
				return nil, release, ambiguous(why)
			}
		}
	}
	start := int64(0)
	for i := 0; i <= len(marks); i++ {
		end := s.size
		if i < len(marks) {
			end = marks[i]
		}
		content := int64(0)
		if i > 0 {
			content = fileContent(s, start+int64(len(delim)), end)
		}
		if content > 0 && end-4-content > fileHead {
			err = keep(start, content, true)
			if err == nil {
				err = keep(content, content+fileHead, false)
			}
			if err == nil {
				err = keep(end-4, end, true)
			}
		} else {
			err = keep(start, end, content == 0)
		}
		if err != nil {
			return nil, release, unread(err)
		}
		start = end
	}
	putBack(r, io.NewSectionReader(s, 0, s.size), s.size)
	return out.Bytes(), release, nil
}

// find lists where delim occurs, anywhere.
func find(s *spool, delim []byte, most int) ([]int64, error) {
	var at []int64
	buf := make([]byte, scanChunk+len(delim))
	for off := int64(0); off < s.size; off += scanChunk {
		n, err := s.ReadAt(buf[:min(int64(len(buf)), s.size-off)], off)
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("inspecting an upload: %w", err)
		}
		for i := 0; ; {
			j := bytes.Index(buf[i:n], delim)
			if j < 0 || i+j >= scanChunk {
				break
			}
			if at = append(at, off+int64(i+j)); len(at) > most+1 {
				return nil, tooMany("form fields", len(at), most)
			}
			i += j + 1
		}
	}
	return at, nil
}

// regular says whether a boundary stands on a line of its own.
func regular(s *spool, at, n int64) bool {
	var before, after [2]byte
	if at > 0 {
		if _, err := s.ReadAt(before[:], at-2); at < 2 || err != nil || string(before[:]) != "\r\n" {
			return false
		}
	}
	if k, _ := s.ReadAt(after[:], at+n); k < 2 {
		return false
	}
	return string(after[:]) == "\r\n" || string(after[:]) == "--"
}

// irregularPart says what about a part is not plain; empty when it is. Readers
// differ in quotes, in extended names and in what comes after the end: PHP reads
// on there, and what we take for a file may be a field to it. from is just after
// the boundary.
func irregularPart(s *spool, from, end int64, last bool) string {
	buf := make([]byte, min(headMax, end-from))
	n, err := s.ReadAt(buf, from)
	if err != nil && err != io.EOF {
		return "a part that could not be read"
	}
	buf = buf[:n]
	if bytes.HasPrefix(buf, []byte("--")) {
		if !last || end-from > int64(len(buf)) || len(bytes.Trim(buf[2:], "\r\n")) > 0 {
			return "something after the end"
		}
		return ""
	}
	head, _, ok := bytes.Cut(buf, []byte("\r\n\r\n"))
	if !ok || !bytes.HasPrefix(head, []byte("\r\n")) {
		return "a part without a header"
	}
	dispositions := 0
	for line := range bytes.SplitSeq(head[2:], []byte("\r\n")) {
		name, _, ok := bytes.Cut(line, []byte(":"))
		if !ok || bytes.ContainsAny(line, "\r\n\x00") || !headerName().Match(name) {
			return "a part whose header is not plain"
		}
		if strings.EqualFold(string(name), "Content-Disposition") {
			if dispositions++; !plainPart().Match(line) {
				return "a part of which it is not plain whether it is a field or a file"
			}
		}
	}
	if dispositions != 1 {
		return "a part with no name, or with several"
	}
	return ""
}

var headerName = lazy.Regexp(`^[A-Za-z0-9-]+$`)

// fileContent returns where a part's content starts when the part is plainly a
// file, and 0 otherwise. from is just after the boundary.
func fileContent(s *spool, from, end int64) int64 {
	buf := make([]byte, min(headMax, end-from))
	n, err := s.ReadAt(buf, from)
	if err != nil && err != io.EOF {
		return 0
	}
	head, _, ok := bytes.Cut(buf[:n], []byte("\r\n\r\n"))
	if !ok || !bytes.HasPrefix(head, []byte("\r\n")) {
		return 0
	}
	files, dispositions := 0, 0
	for line := range bytes.SplitSeq(head[2:], []byte("\r\n")) {
		if !partHeader().Match(line) {
			return 0
		}
		if name, _, _ := bytes.Cut(line, []byte(":")); strings.EqualFold(string(name), "Content-Disposition") {
			dispositions++
		}
		if fileHeader().Match(line) {
			files++
		}
	}
	if files != 1 || dispositions != 1 {
		return 0
	}
	return from + int64(len(head)) + 4
}
