package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// Credentials are an administrator's, as `ringwall up` writes them.
type Credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// ReadCredentials reads the file whose path `ringwall up` prints.
func ReadCredentials(file string) (c Credentials, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return c, fmt.Errorf("reading the administrator's credentials: %w", err)
	}
	if json.Unmarshal(b, &c) != nil || c.Password == "" {
		return c, fmt.Errorf("reading the administrator's credentials: %s is no JSON object with username and password", file)
	}
	return c, nil
}

// A Board is a client of examples/board.
type Board struct {
	*Client
	csrf string
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// Login logs an administrator in.
func (b *Board) Login(ctx context.Context, c Credentials) error {
	a, err := b.Form(ctx, "/admin/login", url.Values{"username": {c.Username}, "password": {c.Password}})
	if err != nil {
		return err
	}
	if err := a.Want(http.StatusSeeOther); err != nil {
		return err
	}
	if a, err = b.See(ctx, "/admin", "Administration"); err != nil {
		return err
	}
	m := csrfField.FindStringSubmatch(a.Body)
	if m == nil {
		return fmt.Errorf("GET /admin: found no form with a token")
	}
	b.csrf = html.UnescapeString(m[1])
	return nil
}

// Upload stores an image and returns its path.
func (b *Board) Upload(ctx context.Context, png []byte) (string, error) {
	a, err := b.File(ctx, "/admin/uploads", url.Values{"csrf": {b.csrf}}, "rings.png", "image/png", png, http.Header{"Accept": {"application/json"}})
	if err != nil {
		return "", err
	}
	var out struct{ URL string }
	err = a.decodeInto(&out, http.StatusCreated, func() bool { return strings.HasPrefix(out.URL, "/uploads/") })
	return out.URL, err
}

func (a *Answer) decodeInto(out any, status int, ok func() bool) error {
	if err := a.decode(out, status); err != nil {
		return err
	}
	if !ok() {
		return fmt.Errorf("%s: got %q, which is not what was asked for", a.what, first(a.Body, 300))
	}
	return nil
}

// Publish saves a post, a new one when id is 0, and returns its id.
func (b *Board) Publish(ctx context.Context, id int64, title, body string) (int64, error) {
	path := "/admin/posts"
	if id != 0 {
		path = fmt.Sprintf("/admin/posts/%d", id)
	}
	v := url.Values{"csrf": {b.csrf}, "title": {title}, "body": {body}, "published": {"1"}}
	a, err := b.Do(ctx, http.MethodPost, path, http.Header{"Content-Type": {"application/x-www-form-urlencoded"},
		"Accept": {"application/json"}}, strings.NewReader(v.Encode()))
	if err != nil {
		return 0, err
	}
	var out struct{ ID int64 }
	err = a.decodeInto(&out, http.StatusCreated, func() bool { return out.ID > 0 })
	return out.ID, err
}

// Delete removes a post and its comments.
func (b *Board) Delete(ctx context.Context, id int64) error {
	a, err := b.Form(ctx, fmt.Sprintf("/admin/posts/%d/delete", id), url.Values{"csrf": {b.csrf}})
	if err != nil {
		return err
	}
	return a.Want(http.StatusSeeOther)
}

// Comment comments on a post by the form, as visitors do.
func (b *Board) Comment(ctx context.Context, post int64, author, text string) error {
	a, err := b.Form(ctx, fmt.Sprintf("/posts/%d/comments", post), url.Values{"author": {author}, "body": {text}})
	if err != nil {
		return err
	}
	if err := a.Want(http.StatusSeeOther); err != nil {
		return err
	}
	path, _, _ := strings.Cut(a.Header.Get("Location"), "#")
	_, err = b.See(ctx, path, html.EscapeString(text))
	return err
}

// CommentJSON comments by JSON and returns the comment's id: it is committed then.
func (b *Board) CommentJSON(ctx context.Context, post int64, author, text string) (int64, error) {
	var out struct{ ID int64 }
	err := b.JSON(ctx, http.MethodPost, fmt.Sprintf("/posts/%d/comments", post), nil,
		map[string]string{"author": author, "body": text}, &out, http.StatusCreated)
	return out.ID, err
}

// Follow opens a WebSocket of the board ("/live"), waits for its greeting and
// returns a function that waits for the next event and one that closes it.
func (b *Board) Follow(ctx context.Context, path string) (next func(context.Context) (map[string]any, error), close func(), err error) {
	// A WebSocket's client must not have the timeout of one request.
	c, _, err := websocket.Dial(ctx, b.Base+path, &websocket.DialOptions{HTTPClient: &http.Client{Transport: b.webSocketTransport(), Jar: b.HTTP.Jar}, HTTPHeader: b.Client.Header})
	if err != nil {
		return nil, nil, fmt.Errorf("opening the WebSocket %s: %w", path, err)
	}
	next = func(ctx context.Context) (m map[string]any, err error) {
		if err := wsjson.Read(ctx, c, &m); err != nil {
			return nil, fmt.Errorf("reading the WebSocket %s: %w", path, err)
		}
		return m, nil
	}
	m, err := next(ctx)
	if err != nil || m["type"] != "hello" {
		c.CloseNow()
		return nil, nil, fmt.Errorf("the WebSocket %s: got %v (%v), want a hello", path, m, err)
	}
	return next, func() { c.CloseNow() }, nil
}

// Visit does what a visitor does with a post: reads it where it is listed,
// searched for and fed, sees its image, and comments.
func (b *Board) Visit(ctx context.Context, id int64, title, upload string) error {
	for path, want := range map[string]string{
		"/": title, fmt.Sprintf("/posts/%d", id): title, "/feed": title,
		"/search?" + url.Values{"q": {title}}.Encode(): fmt.Sprintf("/posts/%d", id),
	} {
		if _, err := b.See(ctx, path, want); err != nil {
			return err
		}
	}
	a, err := b.See(ctx, upload, "\x89PNG")
	if err != nil {
		return err
	}
	if got := a.Header.Get("Content-Type"); got != "image/png" {
		return fmt.Errorf("GET %s: got type %q, want image/png", upload, got)
	}
	return b.Comment(ctx, id, "Ada", "I like "+title+" & <its> walls")
}
