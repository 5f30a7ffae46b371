package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/durable"
	"github.com/ringwall/ringwall/verify"
)

// Options are what formats may ask about the reader.
type Options struct {
	Verbose bool // text: every control, not only the broken and unknown ones
	Color   bool
	Width   int // of the terminal; 0: do not fold lines
}

// Formats are the names that Open takes.
var Formats = []string{"text", "json", "html", "sarif"}

// Open makes one sink of what -o was given: format or format=file, several
// times. No spec is text on stdout. Only one format may go to stdout. It touches
// no file: files are written, whole or not at all, by Write.
func Open(specs []string, stdout io.Writer, o Options) (Sink, error) {
	if len(specs) == 0 {
		specs = []string{"text"}
	}
	var all sinks
	toStdout, files := "", map[string]string{}
	for _, spec := range specs {
		format, file, named := strings.Cut(spec, "=")
		if !slices.Contains(Formats, format) {
			return nil, fmt.Errorf("output format %q: want %s%s", format, strings.Join(Formats, ", "), meant(format))
		}
		if named && file == "" {
			return nil, fmt.Errorf("output %q: no file after =", spec)
		}
		if !named || file == "-" {
			if toStdout != "" {
				return nil, fmt.Errorf("outputs %s and %s both go to stdout; give one a file: -o %s=FILE", toStdout, format, format)
			}
			toStdout = format
			all = append(all, sink(format, o, func(b []byte) error {
				if _, err := stdout.Write(b); err != nil {
					return fmt.Errorf("writing the %s report to stdout: %w", format, err)
				}
				return nil
			}))
			continue
		}
		if other, ok := files[filepath.Clean(file)]; ok {
			return nil, fmt.Errorf("outputs %s and %s both go to %s", other, format, file)
		}
		files[filepath.Clean(file)] = format
		plain := o
		plain.Color, plain.Width = false, 0
		all = append(all, sink(format, plain, func(b []byte) error { return writeFile(file, b) }))
	}
	return all, nil
}

func meant(format string) string {
	if near := verify.Nearest(format, Formats); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

func sink(format string, o Options, put func([]byte) error) Sink {
	switch format {
	case "json":
		return jsonSink{put}
	case "html":
		return htmlSink{put}
	case "sarif":
		return sarifSink{put}
	}
	return textSink{o, put}
}

// sinks writes to each, and one that fails does not keep the others from it.
type sinks []Sink

func (s sinks) Write(r *Report) error {
	var errs []error
	for _, one := range s {
		errs = append(errs, one.Write(r))
	}
	return errors.Join(errs...)
}

// writeFile replaces a file in one step. A device or pipe, which has nothing to
// replace, is written to.
func writeFile(name string, b []byte) error {
	if st, err := os.Stat(name); err == nil && !st.Mode().IsRegular() {
		if st.IsDir() {
			return fmt.Errorf("writing the report to %s: it is a directory", name)
		}
		return os.WriteFile(name, b, 0o644)
	}
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target
	}
	if err := durable.WriteFile(name, b, 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
