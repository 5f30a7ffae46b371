package sqlwire

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

type postgres struct{ *stream }

// Postgres logs in to a PostgreSQL server: without a password where it asks for
// none, by SCRAM-SHA-256 otherwise. A password is never sent in the clear.
func Postgres(ctx context.Context, o Options) (Conn, error) {
	s, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	p := &postgres{s}
	if err := p.login(o); err != nil {
		s.Close()
		var e *Error
		if errors.As(err, &e) {
			e.Login = true
		}
		return nil, err
	}
	return p, nil
}

func (p *postgres) message() (kind byte, b []byte, err error) {
	h, err := p.read(5)
	if err != nil {
		return 0, nil, err
	}
	b, err = p.read(int(binary.BigEndian.Uint32(h[1:])) - 4)
	return h[0], b, err
}

func (p *postgres) send(kind byte, b []byte) error {
	out := []byte{}
	if kind != 0 {
		out = append(out, kind)
	}
	out = binary.BigEndian.AppendUint32(out, uint32(len(b)+4))
	_, err := p.Write(append(out, b...))
	return err
}

func pgError(b []byte) error {
	e := &Error{}
	for f := range bytes.SplitSeq(b, []byte{0}) {
		switch {
		case len(f) > 1 && f[0] == 'C':
			e.Code = string(f[1:])
		case len(f) > 1 && f[0] == 'M':
			e.Message = string(f[1:])
		}
	}
	return e
}

func (p *postgres) login(o Options) error {
	start := binary.BigEndian.AppendUint32(nil, 3<<16)
	for _, kv := range []string{"user", o.User, "database", o.Database, "application_name", "ringwall"} {
		start = append(append(start, kv...), 0)
	}
	if err := p.send(0, append(start, 0)); err != nil {
		return err
	}
	var scram *exchange
	for {
		kind, b, err := p.message()
		if err != nil {
			return err
		}
		switch kind {
		case 'E':
			return pgError(b)
		case 'Z':
			return nil
		case 'R':
			if len(b) < 4 {
				return errSCRAM
			}
			method, data := binary.BigEndian.Uint32(b), b[4:]
			switch method {
			case 0:
				continue
			case 10:
				if !bytes.Contains(data, []byte("SCRAM-SHA-256\x00")) {
					return &Error{Code: "0", Message: "it offers no SCRAM-SHA-256"}
				}
				scram = &exchange{nonce: rand.Text(), password: o.Password}
				first := "n,," + scram.first()
				out := append([]byte("SCRAM-SHA-256\x00"), binary.BigEndian.AppendUint32(nil, uint32(len(first)))...)
				err = p.send('p', append(out, first...))
			case 11:
				if scram == nil {
					return errSCRAM
				}
				var final string
				if final, err = scram.final(string(data)); err == nil {
					err = p.send('p', []byte(final))
				}
			case 12:
				if scram == nil || string(data) != scram.want {
					return errSCRAM
				}
			default:
				return &Error{Code: "0", Message: fmt.Sprintf("it asks for the login method %d", method)}
			}
			if err != nil {
				return err
			}
		}
	}
}

var errSCRAM = errors.New("logging in to the database: the server does not keep to SCRAM-SHA-256 (RFC 5802)")

// exchange is the client's side of SCRAM-SHA-256.
type exchange struct{ nonce, password, want string }

func (x *exchange) first() string { return "n=,r=" + x.nonce }

func (x *exchange) final(server string) (string, error) {
	var nonce, salt, rounds string
	for f := range strings.SplitSeq(server, ",") {
		k, v, _ := strings.Cut(f, "=")
		switch k {
		case "r":
			nonce = v
		case "s":
			salt = v
		case "i":
			rounds = v
		}
	}
	raw, err := base64.StdEncoding.DecodeString(salt)
	n, err2 := strconv.Atoi(rounds)
	if err != nil || err2 != nil || n < 1 || n > 1<<20 || !strings.HasPrefix(nonce, x.nonce) {
		return "", errSCRAM
	}
	salted, err := pbkdf2.Key(sha256.New, x.password, raw, n, sha256.Size)
	if err != nil {
		return "", err
	}
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	bare := "c=biws,r=" + nonce
	signed := x.first() + "," + server + "," + bare
	key := mac(salted, "Client Key")
	stored := sha256.Sum256(key)
	proof := mac(stored[:], signed)
	for i := range proof {
		proof[i] ^= key[i]
	}
	x.want = "v=" + base64.StdEncoding.EncodeToString(mac(mac(salted, "Server Key"), signed))
	return bare + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

func (p *postgres) Query(ctx context.Context, sql string) (rows [][]string, err error) {
	p.deadline(ctx)
	if err := p.send('Q', append([]byte(sql), 0)); err != nil {
		return nil, err
	}
	var failed error
	for {
		kind, b, err := p.message()
		if err != nil {
			return nil, err
		}
		switch kind {
		case 'E':
			failed = pgError(b)
		case 'G': // it asks for data of ours; it gets none
			if err := p.send('f', []byte("nothing to copy\x00")); err != nil {
				return nil, err
			}
		case 'D':
			row, err := pgRow(b)
			if err != nil {
				return nil, err
			}
			if rows = append(rows, row); len(rows) > maxRows {
				return nil, fmt.Errorf("reading from the database: more than %d rows", maxRows)
			}
		case 'Z':
			return rows, failed
		}
	}
}

func pgRow(b []byte) ([]string, error) {
	bad := errors.New("reading from the database: a bad row")
	if len(b) < 2 {
		return nil, bad
	}
	row := make([]string, binary.BigEndian.Uint16(b))
	b = b[2:]
	for i := range row {
		if len(b) < 4 {
			return nil, bad
		}
		n := int32(binary.BigEndian.Uint32(b))
		if b = b[4:]; n == -1 {
			row[i] = "NULL"
			continue
		}
		if n < 0 || int(n) > len(b) {
			return nil, bad
		}
		row[i], b = string(b[:n]), b[n:]
	}
	return row, nil
}
