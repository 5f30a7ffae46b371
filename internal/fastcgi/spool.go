package fastcgi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrTooLarge means that a body of unknown length is larger than may be kept.
var ErrTooLarge = errors.New("the body is too large")

// Spool reads a body of unknown length, of at most limit bytes: a small one into
// memory, a larger one into a file of dir that has no name. The caller closes it.
func Spool(r io.Reader, dir string, limit int64) (body io.ReadCloser, length int64, err error) {
	const small = 256 << 10
	var mem bytes.Buffer
	n, err := io.Copy(&mem, io.LimitReader(r, min(small, limit)+1))
	switch {
	case err != nil:
		return nil, 0, &bodyError{err}
	case n > limit:
		return nil, 0, fmt.Errorf("%w: got more than %d bytes", ErrTooLarge, limit)
	case n <= small:
		return io.NopCloser(&mem), n, nil
	}
	f, err := os.CreateTemp(dir, "body-")
	if err != nil {
		return nil, 0, fmt.Errorf("keeping a body of unknown length: %w", err)
	}
	os.Remove(f.Name())
	n, err = io.Copy(f, io.MultiReader(&mem, io.LimitReader(r, limit-n+1)))
	if err == nil && n > limit {
		err = fmt.Errorf("%w: got more than %d bytes", ErrTooLarge, limit)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("keeping a body of unknown length: %w", err)
	}
	return f, n, nil
}
