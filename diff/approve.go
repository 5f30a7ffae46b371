package diff

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ringwall/ringwall/internal/durable"
)

// An Approval says that somebody accepted exactly the significant changes that a
// digest names.
type Approval struct {
	Time    time.Time `json:"time"`
	By      string    `json:"by"`
	Reason  string    `json:"reason"`
	Site    string    `json:"site"`
	Digest  string    `json:"digest"`
	Changes []Change  `json:"changes"`
}

// Approve adds an approval to the record, a file with one JSON object in each line.
// Nothing that is in the record is changed.
func Approve(record string, a Approval) error {
	old, err := os.ReadFile(record)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("recording an approval: %w", err)
	}
	line, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("recording an approval: %w", err)
	}
	if len(old) > 0 && !bytes.HasSuffix(old, []byte("\n")) {
		old = append(old, '\n')
	}
	if err := os.MkdirAll(filepath.Dir(record), 0o700); err != nil {
		return fmt.Errorf("recording an approval: %w", err)
	}
	if err := durable.WriteFile(record, append(append(old, line...), '\n'), 0o600); err != nil {
		return fmt.Errorf("recording an approval: %w", err)
	}
	return nil
}

// Approved returns the approval of a site's changes, or nil when there is none. A
// record that cannot be read approves nothing.
func Approved(record, site, digest string) (*Approval, error) {
	b, err := os.ReadFile(record)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the approvals: %w", err)
	}
	var found *Approval
	n := 0
	for line := range bytes.Lines(b) {
		n++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var a Approval
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, fmt.Errorf("reading the approvals: %s:%d: %w; mend or remove this line", record, n, err)
		}
		if a.Site == site && a.Digest == digest {
			found = &a
		}
	}
	return found, nil
}
