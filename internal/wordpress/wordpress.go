// Package wordpress makes a WordPress tree of plain files out of Debian's
// package, with a configuration that reads its secrets from files and gives
// less to a tier that serves the public. It also drives WordPress's own installer.
package wordpress

import (
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Source is where Debian's package lies.
const Source = "/usr/share/wordpress"

//go:embed files
var files embed.FS

// Where Debian's links may point to. A link to anywhere else is an error: what
// it leads to would be published.
var linkTargets = []string{"/usr/share/", "/etc/ssl/certs/"}

// Left out: Debian's own configuration and rules, which ours replace.
var leftOut = []string{"wp-config.php", ".htaccess"}

// ErrMissing says that Debian's package is not installed.
var ErrMissing = errors.New("WordPress is not installed: run `make setup SET=wordpress`, or `apt-get install wordpress`")

// Install copies Debian's WordPress at source into dst, which must be empty or
// absent, and adds our configuration. The copy holds plain files and directories
// only. When it fails, dst is not left behind.
func Install(source, dst string) (err error) {
	if _, err := os.Stat(filepath.Join(source, "wp-settings.php")); err != nil {
		return fmt.Errorf("copying WordPress from %s: %w", source, ErrMissing)
	}
	if names, err := os.ReadDir(dst); err == nil && len(names) > 0 {
		return fmt.Errorf("copying WordPress to %s: the directory is not empty", dst)
	}
	part := dst + ".part"
	if err := os.RemoveAll(part); err != nil {
		return fmt.Errorf("clearing an earlier attempt: %w", err)
	}
	defer os.RemoveAll(part)
	if err := copyTree(source, part, 0); err != nil {
		return fmt.Errorf("copying WordPress: %w", err)
	}
	for _, d := range []string{"wp-content/uploads", "wp-content/mu-plugins"} {
		if err := os.MkdirAll(filepath.Join(part, d), 0o755); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{"wp-config.php": "wp-config.php", "ringwall.php": "wp-content/mu-plugins/ringwall.php"} {
		b, err := files.ReadFile("files/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(part, to), b, 0o644); err != nil {
			return err
		}
	}
	if err := os.Remove(dst); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(part, dst)
}

func copyTree(src, dst string, depth int) error {
	if depth > 20 {
		return fmt.Errorf("%s lies too deep: is there a loop of links?", src)
	}
	entries, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		from, to := filepath.Join(src, e.Name()), filepath.Join(dst, e.Name())
		if depth == 0 && slices.Contains(leftOut, e.Name()) {
			continue
		}
		if e.Type()&fs.ModeSymlink != 0 {
			if from, err = filepath.EvalSymlinks(from); err != nil {
				return err
			}
			if !slices.ContainsFunc(linkTargets, func(p string) bool { return strings.HasPrefix(from, p) }) && !strings.HasPrefix(from, src+"/") {
				return fmt.Errorf("%s links to %s, want a target under %s", filepath.Join(src, e.Name()), from, strings.Join(linkTargets, " or "))
			}
		}
		st, err := os.Stat(from)
		switch {
		case err != nil:
			return err
		case st.IsDir():
			err = copyTree(from, to, depth+1)
		case st.Mode().IsRegular():
			err = copyFile(from, to)
		default:
			err = fmt.Errorf("%s is neither a file nor a directory", from)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// SaltNames are the keys of the JSON object that the configuration wants at
// /run/secrets/wordpress.json.
var SaltNames = []string{"AUTH_KEY", "SECURE_AUTH_KEY", "LOGGED_IN_KEY", "NONCE_KEY", "AUTH_SALT", "SECURE_AUTH_SALT", "LOGGED_IN_SALT", "NONCE_SALT"}

// NewSalts makes the content of a tier's wordpress.json. Each tier gets its own,
// so that fleet cannot sign a cookie that admin takes.
func NewSalts() []byte {
	m := map[string]string{}
	for _, n := range SaltNames {
		m[n] = rand.Text() + rand.Text()
	}
	b, err := json.Marshal(m)
	if err != nil { // strings always encode
		panic(err)
	}
	return b
}
