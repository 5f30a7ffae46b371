package sqlwire

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

type mysql struct {
	*stream
	seq byte
}

const (
	myLongPassword = 1 << 0
	myWithDB       = 1 << 3
	myLocalFiles   = 1 << 7
	myProtocol41   = 1 << 9
	myTransactions = 1 << 13
	mySecure       = 1 << 15
	myPluginAuth   = 1 << 19
	myNative       = "mysql_native_password"
)

// MySQL logs in to a MySQL or MariaDB server with its native password method.
func MySQL(ctx context.Context, o Options) (Conn, error) {
	s, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	m := &mysql{stream: s}
	if err := m.login(o); err != nil {
		s.Close()
		var e *Error
		if errors.As(err, &e) {
			e.Login = true
		}
		return nil, err
	}
	return m, nil
}

func (m *mysql) packet() ([]byte, error) {
	h, err := m.read(4)
	if err != nil {
		return nil, err
	}
	m.seq = h[3] + 1
	b, err := m.read(int(h[0]) | int(h[1])<<8 | int(h[2])<<16)
	if err == nil && len(b) > 0 && b[0] == 0xff {
		return nil, myError(b)
	}
	if err == nil && len(b) == 0 {
		err = errors.New("reading from the database: an empty packet")
	}
	return b, err
}

func (m *mysql) send(b []byte) error {
	h := []byte{byte(len(b)), byte(len(b) >> 8), byte(len(b) >> 16), m.seq}
	m.seq++
	_, err := m.Write(append(h, b...))
	return err
}

func myError(b []byte) error {
	if len(b) < 3 {
		return errors.New("reading from the database: a short error packet")
	}
	text := b[3:]
	if len(text) > 6 && text[0] == '#' {
		text = text[6:]
	}
	return &Error{Code: strconv.Itoa(int(binary.LittleEndian.Uint16(b[1:]))), Message: string(text)}
}

var errGreeting = errors.New("reading from the database: not a MySQL server's greeting")

func (m *mysql) login(o Options) error {
	b, err := m.packet()
	if err != nil {
		return err
	}
	_, rest, ok := bytes.Cut(b[1:], []byte{0}) // the server's version
	if b[0] != 10 || !ok || len(rest) < 4+8+1+18 {
		return errGreeting
	}
	salt := bytes.Clone(rest[4:12])
	if rest = rest[4+8+1+18:]; len(rest) >= 12 {
		salt = append(salt, rest[:12]...)
	}
	flags := uint32(myLongPassword | myLocalFiles | myProtocol41 | myTransactions | mySecure | myPluginAuth)
	if o.Database != "" {
		flags |= myWithDB
	}
	out := binary.LittleEndian.AppendUint32(nil, flags)
	out = binary.LittleEndian.AppendUint32(out, maxMessage)
	out = append(out, 45) // utf8mb4
	out = append(out, make([]byte, 23)...)
	out = append(append(out, o.User...), 0)
	proof := native(o.Password, salt)
	out = append(append(out, byte(len(proof))), proof...)
	if o.Database != "" {
		out = append(append(out, o.Database...), 0)
	}
	out = append(append(out, myNative...), 0)
	if err := m.send(out); err != nil {
		return err
	}
	for range 4 {
		b, err := m.packet()
		switch {
		case err != nil:
			return err
		case b[0] == 0:
			return nil
		case b[0] != 0xfe:
			return errGreeting
		}
		method, salt, _ := bytes.Cut(b[1:], []byte{0})
		if string(method) != myNative {
			// A method that this package does not have; no password is sent by it.
			return &Error{Code: "0", Message: fmt.Sprintf("it asks for the login method %q", method)}
		}
		if err := m.send(native(o.Password, bytes.TrimSuffix(salt, []byte{0}))); err != nil {
			return err
		}
	}
	return errGreeting
}

func native(password string, salt []byte) []byte {
	if password == "" {
		return nil
	}
	one := sha1.Sum([]byte(password))
	two := sha1.Sum(one[:])
	three := sha1.Sum(append(bytes.Clone(salt), two[:]...))
	for i := range three {
		three[i] ^= one[i]
	}
	return three[:]
}

func (m *mysql) Query(ctx context.Context, sql string) ([][]string, error) {
	m.deadline(ctx)
	m.seq = 0
	if err := m.send(append([]byte{3}, sql...)); err != nil {
		return nil, err
	}
	b, err := m.packet()
	if err != nil {
		return nil, err
	}
	switch b[0] {
	case 0:
		return nil, nil
	case 0xfb: // it asks for a file of ours; it gets an empty one
		if err := m.send(nil); err != nil {
			return nil, err
		}
		_, err := m.packet()
		return nil, err
	}
	columns, _, ok := lengthEncoded(b)
	if !ok || columns > 4096 {
		return nil, errors.New("reading from the database: a bad number of columns")
	}
	for range columns {
		if _, err := m.packet(); err != nil {
			return nil, err
		}
	}
	if _, err := m.packet(); err != nil { // end of the columns
		return nil, err
	}
	var rows [][]string
	for {
		b, err := m.packet()
		if err != nil {
			return nil, err
		}
		if b[0] == 0xfe && len(b) < 9 {
			return rows, nil
		}
		row := make([]string, columns)
		for i := range row {
			if len(b) > 0 && b[0] == 0xfb {
				row[i], b = "NULL", b[1:]
				continue
			}
			n, rest, ok := lengthEncoded(b)
			if !ok || n > uint64(len(rest)) {
				return nil, errors.New("reading from the database: a bad row")
			}
			row[i], b = string(rest[:n]), rest[n:]
		}
		if rows = append(rows, row); len(rows) > maxRows {
			return nil, fmt.Errorf("reading from the database: more than %d rows", maxRows)
		}
	}
}

func lengthEncoded(b []byte) (n uint64, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	size := map[byte]int{0xfc: 2, 0xfd: 3, 0xfe: 8}[b[0]]
	switch {
	case b[0] < 0xfb:
		return uint64(b[0]), b[1:], true
	case size == 0 || len(b) < 1+size:
		return 0, nil, false
	}
	var buf [8]byte
	copy(buf[:], b[1:1+size])
	return binary.LittleEndian.Uint64(buf[:]), b[1+size:], true
}
