package body

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"
)

// A Part is a field or a file of a multipart body.
type Part struct {
	Name    string
	Headers []string // "Name: value"
	// Names of the file in the order of their precedence: filename*, and
	// filename where it is another. None for a field.
	Filenames []string
	// Extended says that Charset and Language are those of a filename*.
	Extended          bool
	Charset, Language string

	// Broken says that the headers are malformed: Headers has their lines as
	// they are, nothing else is known, and the body ends in an error here.
	Broken bool

	Complete bool   // the content below is known
	Value    []byte // of a field
	Size     int64  // of a file, bytes
}

// IsFile says whether the part is a file.
func (p *Part) IsFile() bool { return len(p.Filenames) > 0 }

// Flags say what is wrong with a multipart body though it can be read; the names
// are those of the variables MULTIPART_….
type Flags struct {
	StrictError         bool
	DuplicatePartHeader bool
	InvalidQuoting      bool
}

var errNotMultipart = errors.New("not a multipart body")

// Multipart calls part for each part of a body of that content type; the Part is
// only valid during the call. cut says that the body's end was cut off by a
// limit, so that an end too early is not an error.
//
// Of a part whose content cannot be read the headers are given, and then the
// error. A LimitError gives nothing of the part that is too much.
func Multipart(b []byte, contentType string, l Limits, cut bool, part func(*Part)) (Flags, error) {
	var f Flags
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		f.StrictError = true
		return f, err
	}
	if !strings.HasPrefix(kind, "multipart/") {
		return f, errNotMultipart
	}
	r := multipart.NewReader(bytes.NewReader(b), params["boundary"])
	var fields int64
	parts, files := 0, 0
	for {
		from, err := r.NextPart()
		if err == io.EOF || errors.Is(err, io.EOF) && cut {
			return f, nil
		}
		if err != nil {
			f.StrictError = true
			if lines := headerLines(b, params["boundary"], parts); len(lines) > 0 {
				part(&Part{Headers: lines, Broken: true})
			}
			return f, err
		}
		if parts++; l.Parts > 0 && parts > l.Parts {
			return f, &LimitError{"parts", int64(parts), int64(l.Parts)}
		}
		p := newPart(from, &f)
		if p.IsFile() {
			if files++; l.Files > 0 && files > l.Files {
				return f, &LimitError{"files", int64(files), int64(l.Files)}
			}
			p.Size, err = io.Copy(io.Discard, from)
		} else {
			room := int64(len(b))
			if l.Fields > 0 {
				room = l.Fields - fields
			}
			p.Value, err = io.ReadAll(io.LimitReader(from, room+1))
			if fields += int64(len(p.Value)); l.Fields > 0 && fields > l.Fields {
				return f, &LimitError{"bytes in fields", fields, l.Fields}
			}
		}
		early := errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !(early && cut) {
			f.StrictError = true
		}
		p.Complete = err == nil || early
		part(p)
		if early {
			// A file ends the reading here; a field does too, since nothing
			// can follow.
			return f, nil
		}
		if err != nil {
			return f, err
		}
	}
}

// UnmatchedBoundary says whether a line of a multipart body begins as a delimiter
// does and goes on: some readers take it for one.
func UnmatchedBoundary(b []byte, contentType string) bool {
	_, params, err := mime.ParseMediaType(contentType)
	delimiter := []byte("--" + params["boundary"])
	if err != nil || len(delimiter) == 2 {
		return false
	}
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte("\n"))
		rest, ok := bytes.CutPrefix(line, delimiter)
		if rest = bytes.TrimRight(rest, " \t\r"); ok && len(rest) > 0 && string(rest) != "--" {
			return true
		}
	}
	return false
}

// headerLines are the lines after the delimiter of part n, counted from 0, up to
// an empty one.
func headerLines(b []byte, boundary string, n int) (lines []string) {
	const most = 64
	n++
	for len(b) > 0 && len(lines) < most {
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		b = rest
		switch {
		case n == 0 && len(line) == 0:
			return lines
		case n == 0:
			lines = append(lines, string(line))
		case string(bytes.TrimRight(line, " \t")) == "--"+boundary:
			n--
		}
	}
	return lines
}

func newPart(from *multipart.Part, f *Flags) *Part {
	p := &Part{Name: from.FormName()}
	for name, values := range from.Header {
		if len(values) > 1 {
			f.DuplicatePartHeader, f.StrictError = true, true
		}
		for _, v := range values {
			p.Headers = append(p.Headers, name+": "+v)
		}
	}
	p.names(from.Header.Get("Content-Disposition"), f)
	return p
}

// names finds the file's names in a Content-Disposition. Applications disagree
// on which of filename, filename* (RFC 5987) and its numbered pieces (RFC 2231)
// counts, so that every reading is kept, and what should not be there is flagged.
func (p *Part) names(disposition string, f *Flags) {
	_, params, err := mime.ParseMediaType(disposition)
	if err != nil {
		if disposition != "" {
			f.StrictError = true
			if repeatsParam(disposition) {
				f.DuplicatePartHeader = true
			}
		}
		return
	}
	usual := params["filename"]
	star, ok := param(disposition, "filename*")
	pieces := hasPieces(disposition)
	if pieces {
		f.StrictError = true
	}
	if !ok {
		if written, ok := param(disposition, "filename"); ok && pieces {
			p.add(unquoted(written))
		}
		p.add(usual)
		return
	}
	if s, quoted := unquote(star); quoted {
		star = s
		f.InvalidQuoting, f.StrictError = true, true
	}
	encoding := strings.SplitN(star, "'", 3)
	if len(encoding) != 3 {
		f.StrictError = true
		p.add(usual)
		return
	}
	name, bad := percentDecode(encoding[2])
	if bad {
		f.StrictError = true
	}
	p.Charset, p.Language, p.Extended = encoding[0], encoding[1], true
	p.add(name)
	// The library's reading of filename is that of filename* by now.
	if written, ok := param(disposition, "filename"); ok {
		p.add(unquoted(written))
	}
}

func (p *Part) add(name string) {
	if name != "" && (len(p.Filenames) == 0 || p.Filenames[0] != name) {
		p.Filenames = append(p.Filenames, name)
	}
}
