package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// public allows caches to keep a page for five seconds, unless the visitor sent
// something that may change it.
func public(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Cookie")
	if r.Header.Get("Cookie") != "" || r.Header.Get("Authorization") != "" {
		w.Header().Set("Cache-Control", "private, no-store")
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=5")
}

// list shows the newest posts, or on /search those that have the words of q.
func (s *server) list(w http.ResponseWriter, r *http.Request) error {
	public(w, r)
	who, err := s.visitorSession(r)
	if err != nil {
		return err
	}
	p := page{Title: "Notice board", Session: who}
	if r.URL.Path == "/search" {
		p.Query = strings.TrimSpace(r.FormValue("q"))
		if len(p.Query) > 200 || !cleanText(p.Query) {
			return badRequest("Search for at most 200 letters.")
		}
		p.Title = "Search"
		if p.Query == "" {
			s.render(w, http.StatusOK, "list", p)
			return nil
		}
	}
	if p.Posts, err = s.store.posts(r.Context(), p.Query, who != nil, 50); err != nil {
		return err
	}
	s.render(w, http.StatusOK, "list", p)
	return nil
}

func (s *server) post(w http.ResponseWriter, r *http.Request) error {
	public(w, r)
	id, err := pathID(r)
	if err != nil {
		return err
	}
	who, err := s.visitorSession(r)
	if err != nil {
		return err
	}
	p := page{Session: who}
	if p.Post, p.Comments, err = s.store.post(r.Context(), id, who != nil); err != nil {
		return err
	}
	p.Title = p.Post.Title
	s.render(w, http.StatusOK, "post", p)
	return nil
}

func pathID(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id < 1 {
		return 0, errNotFound
	}
	return id, nil
}

// addComment takes a form, or the same fields as JSON.
func (s *server) addComment(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	id, err := pathID(r)
	if err != nil {
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	var in struct {
		Author string `json:"author"`
		Body   string `json:"body"`
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			return orBadRequest(err, "The body must be a JSON object with author and body.")
		}
	} else {
		if err := r.ParseForm(); err != nil {
			return orBadRequest(err, "The form cannot be read.")
		}
		in.Author, in.Body = r.PostForm.Get("author"), r.PostForm.Get("body")
	}
	in.Author, in.Body = strings.TrimSpace(in.Author), strings.TrimSpace(strings.ReplaceAll(in.Body, "\r\n", "\n"))
	switch {
	case in.Author == "" || utf8.RuneCountInString(in.Author) > 60:
		return badRequest("Please give a name of 1 to 60 letters.")
	case in.Body == "" || utf8.RuneCountInString(in.Body) > 5000:
		return badRequest("Please write a comment of 1 to 5000 letters.")
	case !cleanText(in.Author) || !cleanText(in.Body):
		return badRequest("Please write plain text.")
	}
	c, err := s.store.addComment(r.Context(), comment{Post: id, Author: in.Author, Body: in.Body})
	if err != nil {
		return err
	}
	if wantsJSON(r) {
		writeJSON(w, http.StatusCreated, c)
		return nil
	}
	// The address is new, so that no cache answers with the page without the comment.
	http.Redirect(w, r, fmt.Sprintf("/posts/%d?after=%d#comment-%d", id, c.ID, c.ID), http.StatusSeeOther)
	return nil
}

// orBadRequest keeps the errors that have an answer of their own.
func orBadRequest(err error, text string) error {
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return err
	}
	return badRequest("%s", text)
}

// cleanText says whether PostgreSQL takes the text and a page can show it.
func cleanText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || r == 0x7f
	})
}

// feed is an Atom feed of the newest posts.
func (s *server) feed(w http.ResponseWriter, r *http.Request) error {
	public(w, r)
	posts, err := s.store.posts(r.Context(), "", false, 20)
	if err != nil {
		return err
	}
	type text struct {
		Type string `xml:"type,attr"`
		Text string `xml:",chardata"`
	}
	type link struct {
		Href string `xml:"href,attr"`
	}
	type entry struct {
		ID      string `xml:"id"`
		Title   string `xml:"title"`
		Link    link   `xml:"link"`
		Updated string `xml:"updated"`
		Content text   `xml:"content"`
	}
	base := "https://" + r.Host
	f := struct {
		XMLName xml.Name `xml:"http://www.w3.org/2005/Atom feed"`
		ID      string   `xml:"id"`
		Title   string   `xml:"title"`
		Updated string   `xml:"updated"`
		Author  string   `xml:"author>name"`
		Entries []entry  `xml:"entry"`
	}{ID: base + "/feed", Title: "Notice board", Author: "The board", Updated: time.Unix(0, 0).UTC().Format(time.RFC3339)}
	for i, p := range posts {
		u := fmt.Sprintf("%s/posts/%d", base, p.ID)
		at := p.Updated.UTC().Format(time.RFC3339)
		if i == 0 || at > f.Updated {
			f.Updated = at
		}
		f.Entries = append(f.Entries, entry{ID: u, Title: p.Title, Link: link{u}, Updated: at, Content: text{"html", p.Body}})
	}
	b, err := xml.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/atom+xml; charset=utf-8")
	w.Write(append([]byte(xml.Header), b...))
	return nil
}

// serveUpload serves a file of uploads/, which admin may have written a moment
// ago. Names are never used twice, so caches may keep them.
func (s *server) serveUpload(w http.ResponseWriter, r *http.Request) error {
	kind, ok := imageTypes[ext(r.URL.Path)]
	if !ok || strings.Contains(r.URL.Path, "/") {
		return errNotFound
	}
	f, err := s.uploads.Open(r.URL.Path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return errNotFound
	} else if err != nil {
		return fmt.Errorf("opening an upload: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return errNotFound
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	w.Header().Set("Cache-Control", "public, max-age=86400, immutable")
	http.ServeContent(w, r, "", st.ModTime(), f)
	return nil
}
