package webserver

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// serveFile answers with the file or script that a path names. It is false when
// there is none: then the app decides.
func (s *server) serveFile(w http.ResponseWriter, r *http.Request, q *question) (done bool, err error) {
	name := strings.Trim(q.path, "/")
	if name == "" {
		name = "."
	}
	slash := strings.HasSuffix(q.path, "/")
	if q.upload && s.throughLink(name) {
		return false, nil
	}
	st, err := s.root.Stat(name)
	switch {
	case err != nil:
		if errors.Is(err, fs.ErrPermission) {
			return false, refuse(ctlDenied)
		}
		return false, nil
	case st.IsDir() && !slash:
		u := (&url.URL{Path: q.path + "/", RawQuery: r.URL.RawQuery}).String()
		w.Header().Set("Location", u)
		w.WriteHeader(http.StatusMovedPermanently)
		return true, nil
	case st.IsDir():
		return s.serveDir(w, r, q, name)
	case slash || !st.Mode().IsRegular():
		return false, nil
	}
	return true, s.serveNamed(w, r, q, name)
}

func (s *server) serveDir(w http.ResponseWriter, r *http.Request, q *question, dir string) (bool, error) {
	for _, index := range []string{"index.php", "index.html"} {
		if index == "index.php" && (s.plan.Kind != plan.PHP || q.upload) {
			continue
		}
		name := path.Join(dir, index)
		if st, err := s.root.Stat(name); err != nil || !st.Mode().IsRegular() {
			continue
		}
		// The index is another path, and the table has a say on it too.
		rd := reading{path: "/" + name}
		if c := s.routes.judge(&rd); c != "" {
			return false, refuse(c)
		}
		return true, s.serveNamed(w, r, q, name)
	}
	return false, nil
}

// serveNamed runs a script or sends a file that exists.
func (s *server) serveNamed(w http.ResponseWriter, r *http.Request, q *question, name string) error {
	end, ok := s.end(name)
	if !ok {
		return notFound(w)
	}
	if end != name {
		rd := read(&url.URL{Path: "/" + end})
		if c := s.routes.judge(&rd); c != "" {
			return refuse(c)
		}
	}
	if s.plan.Kind == plan.PHP && strings.HasSuffix(name, ".php") {
		if (q.upload || s.routes.inUploads("/"+end)) && !perimeter.Down(ctlUploads) {
			return refuse(ctlUploads)
		}
		script := *q
		script.script = "/" + name
		return s.app(w, r, &script)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return &proxy.Refusal{Status: http.StatusMethodNotAllowed, Control: ctlPath, Reason: "a file can only be read"}
	}
	f, err := s.root.Open(name)
	if err != nil {
		return notFound(w)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return notFound(w)
	}
	h := w.Header()
	h.Set("Content-Type", contentType(name))
	h.Set("Etag", etag(st))
	if q.upload {
		guardUpload(h)
	}
	http.ServeContent(w, r, "", st.ModTime(), f)
	return nil
}

// throughLink says whether a symbolic link lies on the way to an upload: users
// could point one at the code.
func (s *server) throughLink(name string) bool {
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		st, err := s.root.Lstat(name[:i])
		if err != nil {
			return false
		}
		if st.Mode()&fs.ModeSymlink != 0 && s.routes.inUploads("/"+name[:i]) {
			return true
		}
	}
	return false
}

// end is the name of the file that a name leads to through symbolic links: what
// the route table says of that file holds for the link too. It is false where
// there are too many.
func (s *server) end(name string) (string, bool) {
	const most = 40 // links, as the kernel has it
	done, rest, links := ".", name, 0
	for rest != "" {
		part, more, _ := strings.Cut(rest, "/")
		next := path.Join(done, part)
		st, err := s.root.Lstat(next)
		if err != nil {
			return name, true // then it cannot be opened either
		}
		if st.Mode()&fs.ModeSymlink == 0 {
			done, rest = next, more
			continue
		}
		to, err := s.root.Readlink(next)
		if links++; err != nil || links > most {
			return "", false
		}
		if rest = to; more != "" {
			rest += "/" + more
		}
	}
	return done, true
}

// guardUpload keeps a browser from running what a user put there.
func guardUpload(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	media = strings.ToLower(strings.TrimSpace(media))
	if media == "" {
		h.Set("Content-Type", "application/octet-stream")
	}
	if strings.Contains(media, "html") || strings.Contains(media, "xml") || media == "" {
		h.Set("Content-Security-Policy", "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'")
	}
}

func etag(st os.FileInfo) string {
	b := append(make([]byte, 0, 40), '"')
	b = strconv.AppendInt(b, st.ModTime().UnixNano(), 36)
	b = append(b, '-')
	b = strconv.AppendInt(b, st.Size(), 36)
	return string(append(b, '"'))
}

// contentType knows the types by itself: an instance has no /etc/mime.types, and
// the same file must have the same type everywhere.
func contentType(name string) string {
	if t := types[strings.ToLower(path.Ext(name))]; t != "" {
		return t
	}
	return "application/octet-stream"
}

var types = map[string]string{
	".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8", ".xhtml": "application/xhtml+xml",
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".json": "application/json", ".map": "application/json", ".webmanifest": "application/manifest+json",
	".xml": "text/xml; charset=utf-8", ".xsl": "text/xml; charset=utf-8", ".rss": "application/rss+xml", ".atom": "application/atom+xml",
	".txt": "text/plain; charset=utf-8", ".md": "text/plain; charset=utf-8", ".csv": "text/csv; charset=utf-8",
	".vtt": "text/vtt; charset=utf-8", ".ics": "text/calendar; charset=utf-8", ".log": "text/plain; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif",
	".webp": "image/webp", ".avif": "image/avif", ".heic": "image/heic", ".ico": "image/x-icon", ".bmp": "image/bmp", ".tif": "image/tiff", ".tiff": "image/tiff",
	".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".otf": "font/otf", ".eot": "application/vnd.ms-fontobject",
	".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".ogg": "audio/ogg", ".oga": "audio/ogg", ".opus": "audio/ogg", ".wav": "audio/wav", ".flac": "audio/flac",
	".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".ogv": "video/ogg", ".mov": "video/quicktime", ".avi": "video/x-msvideo",
	".pdf": "application/pdf", ".zip": "application/zip", ".gz": "application/gzip", ".tar": "application/x-tar", ".7z": "application/x-7z-compressed",
	".wasm": "application/wasm", ".swf": "application/octet-stream",
	".doc": "application/msword", ".xls": "application/vnd.ms-excel", ".ppt": "application/vnd.ms-powerpoint",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
