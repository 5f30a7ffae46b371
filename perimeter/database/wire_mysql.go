package database

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ringwall/ringwall/plan"
)

// myConn is a session in the protocol of MySQL 4.1 and later.
type myConn struct {
	w   io.Writer
	r   *bufio.Reader
	seq byte
}

func (c *myConn) send(body []byte) error {
	n := len(body)
	if n >= 1<<24-1 {
		return errTooLong
	}
	b := append([]byte{byte(n), byte(n >> 8), byte(n >> 16), c.seq}, body...)
	c.seq++
	_, err := c.w.Write(b)
	return err
}

func (c *myConn) read() (*reader, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return nil, err
	}
	n := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if n == 0 || n == 1<<24-1 {
		return nil, errTooLong
	}
	c.seq = head[3] + 1
	b, err := io.ReadAll(io.LimitReader(c.r, int64(n)))
	if err == nil && len(b) < n {
		err = io.ErrUnexpectedEOF
	}
	return &reader{b: b}, err
}

// number takes an integer of the protocol's variable length.
func (r *reader) number() uint64 {
	head := r.take(1)
	if r.bad {
		return 0
	}
	size := map[byte]int{0xfc: 2, 0xfd: 3, 0xfe: 8}[head[0]]
	if size == 0 {
		return uint64(head[0])
	}
	var b [8]byte
	copy(b[:], r.take(size))
	return binary.LittleEndian.Uint64(b[:])
}

// myRefusals are the server's codes for what a user may not do.
var myRefusals = map[uint16]bool{
	1044: true, 1045: true, // database, account (and FILE)
	1142: true, 1143: true, 1370: true, // table, column, routine
	1227: true,                         // a right of administrators
	1290: true, 1148: true, 4166: true, // switched off in the server
}

// failure reads an error packet, after its first byte.
func myFailure(r *reader) (code uint16, text string) {
	if b := r.take(2); b != nil {
		code = binary.LittleEndian.Uint16(b)
	}
	if len(r.b) >= 6 && r.b[0] == '#' {
		r.take(6)
	}
	return code, string(r.b)
}

// Capabilities that this client asks for.
const myCaps = 1 | 8 /* with a database */ | 0x80 /* LOAD DATA LOCAL, so that the refusal is the server's */ | 0x200 | 0x2000 | 0x8000 |
	0x10000 | 0x20000 /* several statements and results */ | 0x80000 /* named ways to log in */

const nativePassword = "mysql_native_password"

// nativeProof proves that a password is known, without showing it.
func nativeProof(password string, scramble []byte) []byte {
	if password == "" {
		return nil
	}
	one := sha1.Sum([]byte(password))
	two := sha1.Sum(one[:])
	mix := sha1.Sum(append(bytes.Clone(scramble), two[:]...))
	subtle.XORBytes(mix[:], mix[:], one[:])
	return mix[:]
}

func (c *myConn) login(s plan.Secret) error {
	r, err := c.read()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConnect, err)
	}
	if version := r.take(1); !r.bad && version[0] == 0xff {
		code, text := myFailure(r)
		return fmt.Errorf("%w: %s (%d)", ErrLogin, text, code)
	} else if r.bad || version[0] != 10 {
		return fmt.Errorf("%w: the server speaks another protocol", ErrConnect)
	}
	r.text()
	r.take(4)
	scramble := bytes.Clone(r.take(8))
	r.take(1 + 2 + 1 + 2 + 2 + 1 + 10)
	if len(r.b) < 12 {
		return fmt.Errorf("%w: the server's greeting is cut short", ErrConnect)
	}
	scramble = append(scramble, r.take(12)...)

	msg := binary.LittleEndian.AppendUint32(nil, myCaps)
	msg = binary.LittleEndian.AppendUint32(msg, 1<<24-1)
	msg = append(append(msg, 45 /* utf8mb4 */), make([]byte, 23)...)
	proof := nativeProof(s.Password, scramble)
	msg = append(msg, s.Username+"\x00"...)
	msg = append(append(msg, byte(len(proof))), proof...)
	msg = append(msg, s.DBName+"\x00"+nativePassword+"\x00"...)
	if err := c.send(msg); err != nil {
		return fmt.Errorf("%w: %w", ErrConnect, err)
	}
	for switched := false; ; {
		if r, err = c.read(); err != nil {
			return fmt.Errorf("%w: %w", ErrConnect, err)
		}
		switch r.take(1)[0] {
		case 0:
			return nil
		case 0xff:
			code, text := myFailure(r)
			return fmt.Errorf("%w: %s (%d)", ErrLogin, text, code)
		case 0xfe:
			if name := r.text(); switched || name != nativePassword || len(r.b) < 20 {
				return fmt.Errorf("%w: the server asks for method %q, want %s", ErrLogin, name, nativePassword)
			}
			switched = true
			if err := c.send(nativeProof(s.Password, r.take(20))); err != nil {
				return fmt.Errorf("%w: %w", ErrConnect, err)
			}
		default:
			return fmt.Errorf("%w: the server's answer makes no sense", ErrLogin)
		}
	}
}

func myQuery(rw io.ReadWriter, s plan.Secret, sql string) (string, error) {
	c := &myConn{w: rw, r: bufio.NewReader(rw)}
	if err := c.login(s); err != nil {
		return "", err
	}
	c.seq = 0
	if err := c.send(append([]byte{3}, sql...)); err != nil {
		return "", err
	}
	defer func() {
		c.seq = 0
		c.send([]byte{1}) // goodbye
	}()
	var out rows
	for {
		more, err := c.result(&out)
		if err != nil {
			return "", err
		}
		if !more {
			return out.b.String(), nil
		}
	}
}

var errCut = errors.New("reading the database's answer: a message that is cut short")

// result reads what one statement answers.
func (c *myConn) result(out *rows) (more bool, err error) {
	r, err := c.read()
	if err != nil {
		return false, fmt.Errorf("reading the database's answer: %w", err)
	}
	switch r.b[0] {
	case 0:
		r.take(1)
		r.number()
		r.number()
		return c.status(r)
	case 0xff:
		return false, myError(r)
	case 0xfb: // it asks for a file of ours, which is empty
		if err := c.send(nil); err != nil {
			return false, err
		}
		return c.result(out)
	}
	columns := r.number()
	if r.bad || columns > 4096 {
		return false, errCut
	}
	for ended := 0; ; {
		r, err := c.read()
		if err != nil {
			return false, fmt.Errorf("reading the database's answer: %w", err)
		}
		switch {
		case r.b[0] == 0xff:
			return false, myError(r)
		case r.b[0] == 0xfe && len(r.b) < 9: // the end of the columns, then of the rows
			if ended++; ended == 2 {
				r.take(3)
				return c.status(r)
			}
		case ended == 1:
			var cells []string
			for range columns {
				if len(r.b) > 0 && r.b[0] == 0xfb {
					r.take(1)
					cells = append(cells, "NULL")
					continue
				}
				n := r.number()
				if n > wireMax {
					return false, errCut
				}
				cells = append(cells, string(r.take(int(n))))
			}
			if r.bad {
				return false, errCut
			}
			if err := out.row(cells); err != nil {
				return false, err
			}
		}
	}
}

// status says whether another result follows.
func (c *myConn) status(r *reader) (more bool, err error) {
	b := r.take(2)
	if r.bad {
		return false, errCut
	}
	return b[0]&8 != 0, nil
}

func myError(r *reader) error {
	r.take(1)
	code, text := myFailure(r)
	if myRefusals[code] {
		return fmt.Errorf("%w: %s (%d)", ErrDenied, text, code)
	}
	return fmt.Errorf("%s (%d)", text, code)
}
