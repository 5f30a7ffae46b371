package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

type jsonSink struct{ put func([]byte) error }

func (s jsonSink) Write(r *Report) error {
	b, err := encode(r)
	if err != nil {
		return fmt.Errorf("writing the report as JSON: %w", err)
	}
	return s.put(b)
}

// encode writes indented JSON that reads like what it says: < stays <.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

// Read reads a report that the JSON format wrote, of this version of the schema.
// Fields that it does not know are newer than it is and are left out.
func Read(r io.Reader) (*Report, error) {
	d := json.NewDecoder(r)
	var out Report
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("reading a report: %w", err)
	}
	if out.Version != Version {
		return nil, fmt.Errorf("reading a report: version %d, want %d", out.Version, Version)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("reading a report: there is more after its end")
	}
	return &out, nil
}
