package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"
)

const (
	cookieName  = "__Host-board"
	sessionTime = 12 * time.Hour
	maxUpload   = 10 << 20
)

// An adminHandler runs for an administrator who is logged in. The form's token
// is already checked.
type adminHandler func(http.ResponseWriter, *http.Request, session) error

func (s *server) loggedIn(h adminHandler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "private, no-store")
		who, err := s.currentSession(r)
		if errors.Is(err, errNotFound) {
			if r.Method == http.MethodGet && r.Header.Get("Upgrade") == "" && !wantsJSON(r) {
				http.Redirect(w, r, "/admin/login", http.StatusSeeOther)
				return nil
			}
			return &statusError{http.StatusUnauthorized, "Please log in."}
		} else if err != nil {
			return err
		}
		if r.Method != http.MethodGet {
			r.Body = http.MaxBytesReader(w, r.Body, maxUpload+64<<10)
			got := r.Header.Get("X-CSRF-Token")
			if got == "" {
				if err := parseForm(r); err != nil {
					return orBadRequest(err, "The form cannot be read.")
				}
				got = r.PostForm.Get("csrf")
				if got == "" && r.MultipartForm != nil {
					got = strings.Join(r.MultipartForm.Value["csrf"], "")
				}
			}
			if subtle.ConstantTimeCompare([]byte(got), []byte(who.CSRF)) != 1 {
				return &statusError{http.StatusForbidden, "This form is too old, or not ours. Open the page again."}
			}
		}
		return h(w, r, who)
	}
}

func parseForm(r *http.Request) error {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		return r.ParseMultipartForm(maxUpload + 64<<10)
	}
	return r.ParseForm()
}

// currentSession returns errNotFound for a visitor.
func (s *server) currentSession(r *http.Request) (session, error) {
	c, err := r.Cookie(cookieName)
	if err != nil || len(c.Value) > 100 {
		return session{}, errNotFound
	}
	return s.store.session(r.Context(), c.Value)
}

// visitorSession is currentSession for the public pages: nil for a visitor. Only
// admin knows sessions; elsewhere everybody is a visitor.
func (s *server) visitorSession(r *http.Request) (*session, error) {
	if s.tier != "admin" {
		return nil, nil
	}
	who, err := s.currentSession(r)
	if errors.Is(err, errNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return &who, nil
}

func (s *server) loginPage(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "private, no-store")
	s.render(w, http.StatusOK, "login", page{Title: "Log in"})
	return nil
}

// noPassword costs the same to compare with as a real hash, so that the time of
// a refusal does not tell which names exist.
var noPassword = sync.OnceValue(func() []byte {
	h, _ := bcrypt.GenerateFromPassword([]byte(rand.Text()), bcrypt.DefaultCost)
	return h
})

func (s *server) login(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "private, no-store")
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	if err := r.ParseForm(); err != nil {
		return orBadRequest(err, "The form cannot be read.")
	}
	user, password := r.PostForm.Get("username"), r.PostForm.Get("password")
	if !cleanText(user) || len(user) > 60 {
		user = ""
	}
	if !s.logins.allowed(time.Now()) {
		w.Header().Set("Retry-After", "60")
		return &statusError{http.StatusTooManyRequests, "Too many failed logins. Please wait a minute."}
	}
	hash, err := s.store.hash(r.Context(), user)
	known := err == nil
	if errors.Is(err, errNotFound) {
		hash = string(noPassword())
	} else if err != nil {
		return err
	}
	if bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) != nil || !known {
		s.logins.add(time.Now())
		s.render(w, http.StatusForbidden, "login", page{Title: "Log in", Message: "Name or password is wrong."})
		return nil
	}
	token := rand.Text()
	if err := s.store.addSession(r.Context(), token, session{user, rand.Text()}, sessionTime); err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: token, Path: "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteStrictMode, MaxAge: int(sessionTime / time.Second)})
	http.Redirect(w, r, "/admin", http.StatusSeeOther)
	return nil
}

func (s *server) logout(w http.ResponseWriter, r *http.Request, _ session) error {
	if c, err := r.Cookie(cookieName); err == nil {
		if err := s.store.deleteSession(r.Context(), c.Value); err != nil {
			return err
		}
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", Secure: true, HttpOnly: true, MaxAge: -1})
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// failures counts failed logins of the last minute.
type failures struct {
	mu sync.Mutex
	at []time.Time
}

func (f *failures) allowed(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = slices.DeleteFunc(f.at, func(t time.Time) bool { return now.Sub(t) > time.Minute })
	return len(f.at) < 20
}

func (f *failures) add(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = append(f.at, now)
}

func (s *server) adminPage(w http.ResponseWriter, r *http.Request, who session) error {
	posts, err := s.store.posts(r.Context(), "", true, 200)
	if err != nil {
		return err
	}
	names, err := fs.ReadDir(s.uploads.FS(), ".")
	if err != nil {
		return fmt.Errorf("listing the uploads: %w", err)
	}
	p := page{Title: "Administration", Session: &who, Posts: posts}
	for _, n := range names {
		if _, ok := imageTypes[ext(n.Name())]; ok {
			p.Uploads = append(p.Uploads, "/uploads/"+n.Name())
		}
		if u := r.FormValue("uploaded"); u != "" && u == n.Name() {
			p.Uploaded = "/uploads/" + u
		}
	}
	s.render(w, http.StatusOK, "admin", p)
	return nil
}

func (s *server) editPage(w http.ResponseWriter, r *http.Request, who session) error {
	p := page{Title: "New post", Session: &who, Post: post{Published: true}}
	if r.PathValue("id") != "" {
		id, err := pathID(r)
		if err != nil {
			return err
		}
		if p.Post, p.Comments, err = s.store.post(r.Context(), id, true); err != nil {
			return err
		}
		p.Title = "Edit: " + p.Post.Title
	}
	s.render(w, http.StatusOK, "edit", p)
	return nil
}

func (s *server) savePost(w http.ResponseWriter, r *http.Request, _ session) error {
	if err := parseForm(r); err != nil {
		return orBadRequest(err, "The form cannot be read.")
	}
	p := post{Title: strings.TrimSpace(r.FormValue("title")), Body: strings.ReplaceAll(r.FormValue("body"), "\r\n", "\n"),
		Published: r.FormValue("published") != ""}
	if r.PathValue("id") != "" {
		id, err := pathID(r)
		if err != nil {
			return err
		}
		p.ID = id
	}
	switch {
	case p.Title == "" || utf8.RuneCountInString(p.Title) > 200:
		return badRequest("Please give a title of 1 to 200 letters.")
	case len(p.Body) > 1<<20:
		return badRequest("A post has at most 1 MiB.")
	case !cleanText(p.Title) || !cleanText(p.Body):
		return badRequest("Please write text without control characters.")
	}
	id, err := s.store.savePost(r.Context(), p)
	if err != nil {
		return err
	}
	if wantsJSON(r) {
		writeJSON(w, http.StatusCreated, map[string]int64{"id": id})
		return nil
	}
	http.Redirect(w, r, fmt.Sprintf("/admin/posts/%d", id), http.StatusSeeOther)
	return nil
}

func (s *server) deletePost(w http.ResponseWriter, r *http.Request, _ session) error {
	return s.deleted(w, r, s.store.deletePost)
}

func (s *server) deleteComment(w http.ResponseWriter, r *http.Request, _ session) error {
	return s.deleted(w, r, s.store.deleteComment)
}

func (s *server) deleted(w http.ResponseWriter, r *http.Request, del func(context.Context, int64) error) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := del(r.Context(), id); err != nil {
		return err
	}
	http.Redirect(w, r, "/admin", http.StatusSeeOther)
	return nil
}

// imageTypes are the uploads that are taken and served, by the name's ending.
var imageTypes = map[string]string{".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}

func ext(name string) string { return strings.ToLower(path.Ext(name)) }

// upload stores an image under a name of its own; what it is, its bytes say.
func (s *server) upload(w http.ResponseWriter, r *http.Request, _ session) error {
	if err := parseForm(r); err != nil {
		return orBadRequest(err, "The form cannot be read.")
	}
	f, _, err := r.FormFile("file")
	if err != nil {
		return badRequest("Please choose a file.")
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return badRequest("The file is empty.")
	}
	kind, ending := http.DetectContentType(head[:n]), ""
	for e, k := range imageTypes {
		if k == kind {
			ending = e
		}
	}
	if ending == "" {
		return &statusError{http.StatusUnsupportedMediaType, "Only PNG, JPEG, GIF and WebP images are taken."}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	id := make([]byte, 12)
	rand.Read(id)
	name := hex.EncodeToString(id) + ending
	if err := s.storeUpload(name, f); err != nil {
		return fmt.Errorf("storing an upload: %w", err)
	}
	if wantsJSON(r) {
		writeJSON(w, http.StatusCreated, map[string]string{"url": "/uploads/" + name})
		return nil
	}
	http.Redirect(w, r, "/admin?uploaded="+name, http.StatusSeeOther)
	return nil
}

// storeUpload writes beside and renames, so that nobody is served half a file.
func (s *server) storeUpload(name string, from io.Reader) (err error) {
	part := name + ".part"
	f, err := s.uploads.Create(part)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.uploads.Remove(part)
		}
	}()
	_, err = io.Copy(f, from)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return s.uploads.Rename(part, name)
}
