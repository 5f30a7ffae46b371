package database

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"github.com/ringwall/ringwall/plan"
)

// NotOurs lists the controls that cannot be judged for an existing server, whose
// users, grants and storage are its owner's.
var NotOurs = []string{"database/tier-grants", "database/mask", "database/private", "database/checksums",
	"database/superuser", "database/server-files", "database/old-password"}

// Existing reads the credentials of a server that somebody else runs. No server
// is started for them, and all tiers share them: see NotOurs.
func Existing(file string) (plan.Secret, error) {
	s, err := readSecret(file)
	if errors.Is(err, os.ErrNotExist) {
		return s, fmt.Errorf("reading database.secretFile: %w; write it with mode 0600 and the keys host, dbname, username and password", err)
	}
	return s, err
}

const secretMax = 64 << 10

// readSecret reads a file that nobody but this user may read or replace.
func readSecret(file string) (plan.Secret, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return plan.Secret{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return plan.Secret{}, err
	}
	if !info.Mode().IsRegular() {
		return plan.Secret{}, fmt.Errorf("reading %s: want a regular file with database credentials", file)
	}
	if m := info.Mode().Perm(); m&0o077 != 0 {
		return plan.Secret{}, fmt.Errorf("reading %s: mode %04o lets others see the password, want 0600: chmod 600 %s", file, m, file)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return plan.Secret{}, fmt.Errorf("reading %s: it belongs to user %d, want %d, who runs this", file, st.Uid, os.Geteuid())
	}
	b, err := io.ReadAll(io.LimitReader(f, secretMax+1))
	if err != nil {
		return plan.Secret{}, err
	}
	s, err := parseSecret(b)
	if err != nil {
		return plan.Secret{}, fmt.Errorf("reading %s: %w", file, err)
	}
	return s, nil
}

// parseSecret reads the JSON object of a secret, as AWS writes it or as we do.
// Its errors never show a value.
func parseSecret(b []byte) (plan.Secret, error) {
	if len(b) > secretMax {
		return plan.Secret{}, fmt.Errorf("the file is longer than %d bytes", secretMax)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil || raw == nil {
		return plan.Secret{}, errors.New("want a JSON object with the keys host, dbname, username and password")
	}
	var s plan.Secret
	for key, to := range map[string]*string{"host": &s.Host, "dbname": &s.DBName, "username": &s.Username, "password": &s.Password} {
		if json.Unmarshal(raw[key], to) != nil || *to == "" {
			return plan.Secret{}, fmt.Errorf("key %q: want a text that is not empty", key)
		}
		if bytes.ContainsAny([]byte(*to), "\x00\r\n") {
			return plan.Secret{}, fmt.Errorf("key %q: want a text of one line", key)
		}
	}
	if v, ok := raw["port"]; ok {
		n, err := strconv.ParseUint(string(bytes.Trim(v, `"`)), 10, 16)
		if err != nil || n == 0 {
			return plan.Secret{}, errors.New(`key "port": want a number from 1 to 65535`)
		}
		s.Port = uint16(n)
	}
	if v, ok := raw["engine"]; ok {
		var name string
		if json.Unmarshal(v, &name) != nil {
			return plan.Secret{}, errors.New(`key "engine": want mysql or postgres`)
		}
		switch name {
		case "mysql", "mariadb", "aurora-mysql":
			s.Engine = plan.MySQL
		case "postgres", "postgresql", "aurora-postgresql":
			s.Engine = plan.Postgres
		default:
			return plan.Secret{}, errors.New(`key "engine": want mysql or postgres`)
		}
	}
	return s, nil
}
