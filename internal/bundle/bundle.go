// Package bundle packs a few files into pieces of text, each short enough for a
// parameter of a parameter store. The same files give the same pieces.
package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"
)

// A File is one file of a bundle.
type File struct {
	Path string // absolute and clean; where it lies once it is unpacked
	Mode int64  // permission bits
	Text string
}

// MaxPart is how many characters a piece has at most: those of a standard
// parameter of Systems Manager.
const MaxPart = 4096

// A Bundle is packed files.
type Bundle struct {
	Sum   string   // SHA-256 of what the pieces hold, in hex
	Parts []string // base64 of a .tar.gz, in order
}

// Key is a short name of what is in the bundle.
func (b Bundle) Key() string { return b.Sum[:12] }

// String is what the one who unpacks must know: how many pieces, and the checksum.
func (b Bundle) String() string { return fmt.Sprintf("%d %s", len(b.Parts), b.Sum) }

// writers are used again: a new one clears a megabyte before its first byte.
var writers = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(nil, gzip.DefaultCompression)
	if err != nil {
		panic("bundle: " + err.Error()) // the level is one of the package's own
	}
	return z
}}

// Pack packs files in the order in which they are given.
func Pack(files []File) (Bundle, error) {
	var buf bytes.Buffer
	z := writers.Get().(*gzip.Writer)
	defer writers.Put(z)
	z.Reset(&buf)
	t := tar.NewWriter(z)
	for _, f := range files {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path {
			return Bundle{}, fmt.Errorf("packing %q: want an absolute, clean path", f.Path)
		}
		h := &tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Mode: f.Mode, Size: int64(len(f.Text)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if err := t.WriteHeader(h); err != nil {
			return Bundle{}, fmt.Errorf("packing %s: %w", f.Path, err)
		}
		if _, err := t.Write([]byte(f.Text)); err != nil {
			return Bundle{}, fmt.Errorf("packing %s: %w", f.Path, err)
		}
	}
	if err := t.Close(); err != nil {
		return Bundle{}, err
	}
	if err := z.Close(); err != nil {
		return Bundle{}, err
	}
	sum := sha256.Sum256(buf.Bytes())
	b := Bundle{Sum: hex.EncodeToString(sum[:])}
	for text := base64.StdEncoding.EncodeToString(buf.Bytes()); text != ""; {
		n := min(len(text), MaxPart)
		b.Parts = append(b.Parts, text[:n])
		text = text[n:]
	}
	return b, nil
}
