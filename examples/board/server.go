package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// A server answers the board's requests.
type server struct {
	store   *store
	hub     *hub
	tier    string
	uploads *os.Root // holds every path below it
	pages   map[string]*template.Template
	ready   atomic.Bool // the tables are there
	logins  failures
}

func newServer(st *store, tier, dir string) (*server, error) {
	up := filepath.Join(dir, "uploads")
	if tier == "admin" {
		if err := os.MkdirAll(up, 0o755); err != nil {
			return nil, fmt.Errorf("making the directory for uploads: %w", err)
		}
	}
	root, err := os.OpenRoot(up)
	if err != nil {
		return nil, fmt.Errorf("opening the directory for uploads: %w", err)
	}
	s := &server{store: st, hub: &hub{}, tier: tier, uploads: root, pages: map[string]*template.Template{}}
	layout := template.Must(template.New("layout.html").Funcs(template.FuncMap{
		"html": func(s string) template.HTML { return template.HTML(s) }, // posts only: an administrator wrote them
		"date": func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") },
		"iso":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}).ParseFS(templateFiles, "templates/layout.html"))
	for _, n := range []string{"list", "post", "login", "admin", "edit", "message"} {
		s.pages[n] = template.Must(template.Must(layout.Clone()).ParseFS(templateFiles, "templates/"+n+".html"))
	}
	return s, nil
}

// A handler returns what went wrong; one place answers it.
type handler func(http.ResponseWriter, *http.Request) error

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h handler) { mux.Handle(pattern, s.reply(h)) }

	mux.HandleFunc("GET /healthz", s.healthz)
	mux.Handle("GET /static/", cacheFor("public, max-age=3600", http.FileServerFS(staticFiles)))
	mux.Handle("GET /uploads/", http.StripPrefix("/uploads/", s.reply(s.serveUpload)))
	handle("GET /{$}", s.list)
	handle("GET /search", s.list)
	handle("GET /posts/{id}", s.post)
	handle("POST /posts/{id}/comments", s.addComment)
	handle("GET /feed", s.feed)
	handle("GET /live", s.live)
	handle("GET /events", s.events)

	handle("GET /admin/login", s.loginPage)
	handle("POST /admin/login", s.login)
	for pattern, h := range map[string]adminHandler{
		"GET /admin":                       s.adminPage,
		"GET /admin/{$}":                   s.adminPage,
		"POST /admin/logout":               s.logout,
		"GET /admin/posts/new":             s.editPage,
		"GET /admin/posts/{id}":            s.editPage,
		"POST /admin/posts":                s.savePost,
		"POST /admin/posts/{id}":           s.savePost,
		"POST /admin/posts/{id}/delete":    s.deletePost,
		"POST /admin/comments/{id}/delete": s.deleteComment,
		"POST /admin/uploads":              s.upload,
		"GET /admin/live":                  func(w http.ResponseWriter, r *http.Request, _ session) error { return s.live(w, r) },
	} {
		handle(pattern, s.loggedIn(h))
	}
	handle("/", func(http.ResponseWriter, *http.Request) error { return errNotFound })

	// A browser that was sent here by another site's form is refused; sessions
	// have a token in each form besides.
	return s.headers(http.NewCrossOriginProtection().Handler(mux))
}

func (s *server) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Board-Tier", s.tier) // tests read which instance answered
		next.ServeHTTP(w, r)
	})
}

func cacheFor(value string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", value)
		next.ServeHTTP(w, r)
	})
}

// A statusError is answered with its status and its text.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

func badRequest(format string, a ...any) error {
	return &statusError{http.StatusBadRequest, fmt.Sprintf(format, a...)}
}

// reply runs h and turns its error into an answer.
func (s *server) reply(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		var se *statusError
		var tooBig *http.MaxBytesError
		switch {
		case errors.As(err, &se):
		case errors.Is(err, errNotFound):
			se = &statusError{http.StatusNotFound, "There is nothing here."}
		case errors.As(err, &tooBig):
			se = &statusError{http.StatusRequestEntityTooLarge, fmt.Sprintf("That is too large: at most %d KiB fit here.", tooBig.Limit>>10)}
		case errors.Is(err, errAway):
			w.Header().Set("Retry-After", "2")
			se = &statusError{http.StatusServiceUnavailable, "The database is not there for a moment. Please try again."}
		default:
			se = &statusError{http.StatusInternalServerError, "That did not work. It is not your fault."}
		}
		if se.status >= 500 {
			slog.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		}
		w.Header().Set("Cache-Control", "no-store")
		if wantsJSON(r) {
			writeJSON(w, se.status, map[string]string{"error": se.text})
			return
		}
		s.render(w, se.status, "message", page{Title: http.StatusText(se.status), Message: se.text})
	})
}

// healthz says whether this instance ever saw its tables. It does not ask the
// database each time: when that is away, taking all instances away helps nobody.
func (s *server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if !s.ready.Load() {
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"ok": false, "tier": s.tier, "waits_for": "the database"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"ok": true, "tier": s.tier})
}

func wantsJSON(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") ||
		strings.HasPrefix(r.Header.Get("Accept"), "application/json")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "encoding the answer failed", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}

// A page is what the templates may show.
type page struct {
	Title, Message, Query string
	Session               *session // who is logged in; nil: a visitor
	Posts                 []post
	Post                  post
	Comments              []comment
	Uploads               []string
	Uploaded              string // the newest
}

func (s *server) render(w http.ResponseWriter, status int, name string, p page) {
	var b bytes.Buffer
	if err := s.pages[name].Execute(&b, p); err != nil {
		slog.Error("page failed", "page", name, "error", err)
		http.Error(w, "That did not work. It is not your fault.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}
