package database

import (
	"bufio"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/plan"
)

// pgConn is a session in PostgreSQL's protocol, version 3.
type pgConn struct {
	w io.Writer
	r *bufio.Reader
}

func (c *pgConn) send(kind byte, body []byte) error {
	b := append([]byte{kind}, binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))...)
	if kind == 0 { // the first message has no kind
		b = b[1:]
	}
	_, err := c.w.Write(append(b, body...))
	return err
}

func (c *pgConn) read() (byte, *reader, error) {
	var head [5]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > wireMax {
		return 0, nil, errTooLong
	}
	b, err := io.ReadAll(io.LimitReader(c.r, int64(n-4)))
	if err == nil && len(b) < int(n-4) {
		err = io.ErrUnexpectedEOF
	}
	return head[0], &reader{b: b}, err
}

// pgFailure reads an error's code and message.
func pgFailure(r *reader) (code, text string) {
	for !r.bad && len(r.b) > 1 {
		switch kind, v := r.take(1)[0], r.text(); kind {
		case 'C':
			code = v
		case 'M':
			text = v
		}
	}
	return code, text
}

func pgQuery(rw io.ReadWriter, s plan.Secret, sql string) (string, error) {
	c := &pgConn{w: rw, r: bufio.NewReader(rw)}
	start := binary.BigEndian.AppendUint32(nil, 3<<16)
	start = append(start, "user\x00"+s.Username+"\x00database\x00"+s.DBName+"\x00client_encoding\x00UTF8\x00\x00"...)
	if err := c.send(0, start); err != nil {
		return "", fmt.Errorf("%w: %w", ErrConnect, err)
	}
	if err := c.login(s.Password); err != nil {
		return "", err
	}
	if err := c.send('Q', []byte(sql+"\x00")); err != nil {
		return "", err
	}
	defer c.send('X', nil) // goodbye
	var out rows
	var failed error
	for {
		kind, r, err := c.read()
		if err != nil {
			return "", fmt.Errorf("reading the database's answer: %w", errors.Join(failed, err))
		}
		switch kind {
		case 'D':
			var cells []string
			n := r.take(2)
			for i := 0; !r.bad && i < int(binary.BigEndian.Uint16(n)); i++ {
				size := r.take(4)
				if r.bad {
					break
				}
				if l := int32(binary.BigEndian.Uint32(size)); l >= 0 {
					cells = append(cells, string(r.take(int(l))))
				} else {
					cells = append(cells, "NULL")
				}
			}
			if r.bad {
				return "", errors.New("reading the database's answer: a row that is cut short")
			}
			if err := out.row(cells); err != nil {
				return "", err
			}
		case 'd':
			if err := out.row([]string{strings.TrimSuffix(string(r.b), "\n")}); err != nil {
				return "", err
			}
		case 'G': // it asks for rows, and there are none
			if err := c.send('f', []byte("no rows\x00")); err != nil {
				return "", err
			}
		case 'E':
			code, text := pgFailure(r)
			failed = fmt.Errorf("%s (%s)", text, code)
			if code == "42501" {
				failed = fmt.Errorf("%w: %s (%s)", ErrDenied, text, code)
			}
		case 'Z':
			return out.b.String(), failed
		}
	}
}

// login proves the password by SCRAM-SHA-256 (RFC 5802, RFC 7677), and nothing else:
// a server that asks for the password itself does not get it.
func (c *pgConn) login(password string) error {
	raw := make([]byte, 18)
	rand.Read(raw)
	nonce := base64.StdEncoding.EncodeToString(raw)
	var signature []byte
	for {
		kind, r, err := c.read()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrConnect, err)
		}
		switch kind {
		case 'E':
			code, text := pgFailure(r)
			return fmt.Errorf("%w: %s (%s)", ErrLogin, text, code)
		case 'Z':
			return nil
		case 'R':
			b := r.take(4)
			if r.bad {
				return fmt.Errorf("%w: a message that is cut short", ErrLogin)
			}
			switch how := binary.BigEndian.Uint32(b); how {
			case 0:
			case 10:
				first := "n,,n=,r=" + nonce
				msg := append([]byte("SCRAM-SHA-256\x00"), binary.BigEndian.AppendUint32(nil, uint32(len(first)))...)
				err = c.send('p', append(msg, first...))
			case 11:
				var final string
				if final, signature, err = scramFinal(password, nonce, string(r.b)); err == nil {
					err = c.send('p', []byte(final))
				}
			case 12:
				v, _ := strings.CutPrefix(string(r.b), "v=")
				got, _ := base64.StdEncoding.DecodeString(v)
				if signature == nil || subtle.ConstantTimeCompare(got, signature) != 1 {
					err = errors.New("the server does not know the password")
				}
			default:
				err = fmt.Errorf("the server asks for method %d, want SCRAM-SHA-256", how)
			}
			if err != nil {
				return fmt.Errorf("%w: %w", ErrLogin, err)
			}
		}
	}
}

// scramFinal answers the server's first message; signature is what its last must hold.
func scramFinal(password, nonce, first string) (final string, signature []byte, err error) {
	var r, s, i string
	for _, part := range strings.Split(first, ",") {
		switch key, v, _ := strings.Cut(part, "="); key {
		case "r":
			r = v
		case "s":
			s = v
		case "i":
			i = v
		}
	}
	salt, err1 := base64.StdEncoding.DecodeString(s)
	rounds, err2 := strconv.Atoi(i)
	if err1 != nil || err2 != nil || rounds < 1 || rounds > 100_000 || !strings.HasPrefix(r, nonce) {
		return "", nil, errors.New("the server's challenge makes no sense")
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", nil, err
	}
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	key := mac(salted, "Client Key")
	stored := sha256.Sum256(key)
	bare := "c=biws,r=" + r
	all := "n=,r=" + nonce + "," + first + "," + bare
	proof := make([]byte, len(key))
	subtle.XORBytes(proof, key, mac(stored[:], all))
	return bare + ",p=" + base64.StdEncoding.EncodeToString(proof), mac(mac(salted, "Server Key"), all), nil
}
