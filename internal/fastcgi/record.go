package fastcgi

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Record types and sizes of the FastCGI specification, section 8.
const (
	typeBegin     = 1
	typeEnd       = 3
	typeParams    = 4
	typeStdin     = 5
	typeStdout    = 6
	typeStderr    = 7
	typeGetResult = 10
	typeUnknown   = 11

	headerLen  = 8
	maxContent = 65535
	version    = 1
	requestID  = 1 // one request at a time on a connection
	keepConn   = 1
	responder  = 1
)

var errMalformed = errors.New("malformed record")

// Params are the variables of a request, in the order in which they are sent.
type Params []Param

// A Param is one variable.
type Param struct{ Name, Value string }

// Add appends a variable.
func (p *Params) Add(name, value string) { *p = append(*p, Param{name, value}) }

func putHeader(b []byte, kind byte, n int) {
	b[0], b[1], b[2], b[3] = version, kind, 0, requestID
	binary.BigEndian.PutUint16(b[4:], uint16(n))
	b[6], b[7] = 0, 0
}

func appendHeader(b []byte, kind byte, n int) []byte {
	return append(b, version, kind, 0, requestID, byte(n>>8), byte(n), 0, 0)
}

func appendBegin(b []byte, keep bool) []byte {
	var flags byte
	if keep {
		flags = keepConn
	}
	b = appendHeader(b, typeBegin, 8)
	return append(b, 0, responder, flags, 0, 0, 0, 0, 0)
}

func appendSize(b []byte, n int) []byte {
	if n < 128 {
		return append(b, byte(n))
	}
	return binary.BigEndian.AppendUint32(b, uint32(n)|1<<31)
}

// appendRecords appends the variables as records, and the empty one that ends
// them. PHP reads each record on its own, so a variable is split over two only
// when it is larger than a record can be.
func (p Params) appendRecords(b []byte) []byte {
	start := -1 // of the open record's header
	finish := func() {
		if start >= 0 {
			putHeader(b[start:], typeParams, len(b)-start-headerLen)
			start = -1
		}
	}
	for _, v := range p {
		need := len(v.Name) + len(v.Value) + 8
		if start >= 0 && len(b)-start-headerLen+need > maxContent {
			finish()
		}
		if need > maxContent {
			var big []byte
			big = appendSize(big, len(v.Name))
			big = appendSize(big, len(v.Value))
			big = append(append(big, v.Name...), v.Value...)
			for len(big) > 0 {
				n := min(len(big), maxContent)
				b = appendHeader(b, typeParams, n)
				b = append(b, big[:n]...)
				big = big[n:]
			}
			continue
		}
		if start < 0 {
			start = len(b)
			b = appendHeader(b, typeParams, 0)
		}
		b = appendSize(b, len(v.Name))
		b = appendSize(b, len(v.Value))
		b = append(b, v.Name...)
		b = append(b, v.Value...)
	}
	finish()
	return appendHeader(b, typeParams, 0)
}

// A stream reads the answer's standard output out of the records.
type stream struct {
	r       *bufio.Reader
	stderr  func([]byte)
	left    int // bytes of the open output record
	pad     int // padding after them
	records int
	ended   bool // the end record was read
	err     error
}

func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for s.left == 0 && s.err == nil {
		s.next()
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p[:min(len(p), s.left)])
	s.left -= n
	if err != nil {
		s.err = cut(err)
		if n > 0 {
			err = nil
		} else {
			err = s.err
		}
	}
	return n, err
}

// next reads up to the next piece of output or the end, and sets err.
func (s *stream) next() {
	if s.err = s.skip(s.pad); s.err != nil {
		return
	}
	s.pad = 0
	var h [headerLen]byte
	if _, err := io.ReadFull(s.r, h[:]); err != nil {
		s.err = cut(err)
		return
	}
	s.records++
	kind, n := h[1], int(binary.BigEndian.Uint16(h[4:]))
	id := binary.BigEndian.Uint16(h[2:])
	s.pad = int(h[6])
	switch {
	case h[0] != version:
		s.err = fmt.Errorf("%w: got version %d, want %d", errMalformed, h[0], version)
	case id == 0 && (kind == typeGetResult || kind == typeUnknown):
		s.err = s.skip(n)
	case id != requestID:
		s.err = fmt.Errorf("%w: got request %d, want %d", errMalformed, id, requestID)
	case kind == typeStdout:
		s.left = n
	case kind == typeStderr:
		s.err = s.report(n)
	case kind == typeEnd:
		s.end(n)
	default:
		s.err = fmt.Errorf("%w: got type %d", errMalformed, kind)
	}
}

func (s *stream) report(n int) error {
	for n > 0 {
		k := min(n, s.r.Size())
		b, err := s.r.Peek(k)
		if err != nil {
			return cut(err)
		}
		if s.stderr != nil {
			s.stderr(b)
		}
		s.r.Discard(k)
		n -= k
	}
	return nil
}

func (s *stream) end(n int) {
	var b [8]byte
	if n < len(b) {
		s.err = fmt.Errorf("%w: got an end of %d bytes, want 8", errMalformed, n)
		return
	}
	if _, err := io.ReadFull(s.r, b[:]); err != nil {
		s.err = cut(err)
		return
	}
	if s.err = s.skip(n - len(b) + s.pad); s.err != nil {
		return
	}
	s.pad = 0
	switch status := b[4]; status {
	case 0:
		s.ended, s.err = true, io.EOF
	case 2:
		s.err = ErrOverloaded
	default:
		s.err = fmt.Errorf("the responder refused the request: got protocol status %d, want 0", status)
	}
}

func (s *stream) skip(n int) error {
	if _, err := s.r.Discard(n); err != nil {
		return cut(err)
	}
	return nil
}

func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
