package people

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/ringwall/ringwall/internal/durable"
	"golang.org/x/sys/unix"
)

// NewSecret makes a secret: 32 random bytes in 43 letters, digits, - and _.
func NewSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Ensure reads a JSON secret into v, or makes it with fill and keeps it.
func Ensure(dir, name string, v any, fill func()) error {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		fill()
		return Replace(dir, name, v)
	}
	if err != nil {
		return fmt.Errorf("reading a secret: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading a secret: %w", err)
	}
	if !st.Mode().IsRegular() || st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("reading secret %s: got mode %04o, want a regular file with 0600, which others cannot read; mend it with: chmod 600 %s", path, st.Mode().Perm(), path)
	}
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return fmt.Errorf("reading a secret: %w", err)
	}
	if json.Unmarshal(b, v) != nil {
		return Damaged(dir, name)
	}
	return nil
}

// Damaged is the error of a secret whose file does not hold one.
func Damaged(dir, name string) error {
	return fmt.Errorf("reading secret %[1]s: it is damaged; delete %[1]s, and a new one is made", filepath.Join(dir, name))
}

// Replace writes a secret as JSON, whole or not at all.
func Replace(dir, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, name), append(b, '\n'), 0o600)
}

// Values are all strings in the secrets of a directory that are long enough to be
// one.
func Values(dir string) []string {
	var out []string
	names, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if len(v) >= 16 {
				out = append(out, v)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	for _, n := range names {
		b, _ := os.ReadFile(n)
		var v any
		if json.Unmarshal(b, &v) == nil {
			walk(v)
		}
	}
	return out
}

type peerKey struct{}

// Owner refuses every peer but the owner.
func Owner(owner int, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if uid, ok := r.Context().Value(peerKey{}).(int); !ok || uid != owner {
			http.Error(w, `{"error":"only the site's owner may do this"}`, http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
