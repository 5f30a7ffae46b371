package e2e

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// A WordPress is a client of a WordPress site with pretty permalinks.
type WordPress struct {
	*Client
	nonce string // of the REST interface, once logged in
}

// Login logs in by WordPress's own form and fetches the nonce that the block
// editor uses.
func (w *WordPress) Login(ctx context.Context, c Credentials) error {
	if _, err := w.See(ctx, "/wp-login.php", "loginform"); err != nil { // sets the test cookie
		return err
	}
	a, err := w.Form(ctx, "/wp-login.php", url.Values{"log": {c.Username}, "pwd": {c.Password}, "wp-submit": {"Log In"},
		"redirect_to": {w.Base + "/wp-admin/"}, "testcookie": {"1"}})
	if err != nil {
		return err
	}
	if err := a.Want(http.StatusFound); err != nil {
		return err
	}
	if _, err := w.See(ctx, "/wp-admin/", "wpadminbar"); err != nil {
		return err
	}
	if a, err = w.See(ctx, "/wp-admin/admin-ajax.php?action=rest-nonce"); err != nil {
		return err
	}
	if w.nonce = strings.TrimSpace(a.Body); len(w.nonce) != 10 {
		return fmt.Errorf("asking for a REST nonce: got %q, want ten letters and digits", first(w.nonce, 40))
	}
	return nil
}

// rest is a write as the block editor makes it.
func (w *WordPress) rest(ctx context.Context, path, method string, in, out any, want ...int) error {
	h := http.Header{"X-Wp-Nonce": {w.nonce}}
	if method != http.MethodPost {
		h.Set("X-HTTP-Method-Override", method)
	}
	return w.JSON(ctx, http.MethodPost, "/wp-json/wp/v2/"+path, h, in, out, want...)
}

// Media is an uploaded image.
type Media struct {
	ID  int64  `json:"id"`
	URL string `json:"source_url"`
}

// Path is the image's address without a host.
func (m Media) Path() string {
	u, err := url.Parse(m.URL)
	if err != nil {
		return ""
	}
	return u.Path
}

// Upload stores an image in the media library.
func (w *WordPress) Upload(ctx context.Context, name string, png []byte) (m Media, err error) {
	a, err := w.File(ctx, "/wp-json/wp/v2/media?_locale=user", nil, name, "image/png", png, http.Header{"X-Wp-Nonce": {w.nonce}, "Accept": {"application/json"}})
	if err != nil {
		return m, err
	}
	err = a.decodeInto(&m, http.StatusCreated, func() bool { return m.ID > 0 && strings.Contains(m.Path(), "/uploads/") })
	return m, err
}

// Blocks is a post's content as the block editor writes it: a paragraph with
// markup, the image, a list, and a block of HTML with what a firewall dislikes.
func Blocks(text string, m Media) string {
	return fmt.Sprintf(`<!-- wp:paragraph -->
<p>%s with <strong>markup</strong> and <a href="https://example.org/?a=1&amp;b=2" onmouseover="this.title='x'">a link</a>.</p>
<!-- /wp:paragraph -->

<!-- wp:image {"id":%d,"sizeSlug":"full","linkDestination":"none"} -->
<figure class="wp-block-image size-full"><img src="%s" alt="rings" class="wp-image-%d"/></figure>
<!-- /wp:image -->

<!-- wp:html -->
<div style="color:teal" data-note="select * from walls where 1=1"><svg width="8" height="8"></svg><script>document.title += "";</script></div>
<!-- /wp:html -->`, html.EscapeString(text), m.ID, m.URL, m.ID)
}

// A Post is a published post.
type Post struct {
	ID   int64  `json:"id"`
	Link string `json:"link"`
}

// Path is the post's address without a host.
func (p Post) Path() string {
	u, err := url.Parse(p.Link)
	if err != nil {
		return ""
	}
	return u.RequestURI()
}

var postID = regexp.MustCompile(`id=['"]post_ID['"] name=['"]post_ID['"] value=['"](\d+)['"]`)

// Publish opens the block editor on a new post and publishes it by the editor's
// REST call.
func (w *WordPress) Publish(ctx context.Context, title, content string) (p Post, err error) {
	a, err := w.See(ctx, "/wp-admin/post-new.php", "block-editor")
	if err != nil {
		return p, err
	}
	m := postID.FindStringSubmatch(a.Body)
	if m == nil {
		return p, fmt.Errorf("GET /wp-admin/post-new.php: found no post_ID: is this the block editor?")
	}
	err = w.rest(ctx, "posts/"+m[1]+"?_locale=user", http.MethodPut,
		map[string]any{"title": title, "content": content, "status": "publish", "comment_status": "open"}, &p, http.StatusOK)
	if err == nil && p.Path() == "" {
		err = fmt.Errorf("publishing a post: the answer has no link")
	}
	return p, err
}

// SetPlugin activates or deactivates a plugin, named as akismet/akismet.
func (w *WordPress) SetPlugin(ctx context.Context, plugin string, active bool) error {
	want := "inactive"
	if active {
		want = "active"
	}
	var out struct{ Status string }
	if err := w.rest(ctx, "plugins/"+plugin+"?_locale=user", http.MethodPut, map[string]string{"status": want}, &out, http.StatusOK); err != nil {
		return err
	}
	if out.Status != want {
		return fmt.Errorf("switching the plugin %s: got state %q, want %q", plugin, out.Status, want)
	}
	return nil
}

// Approve lets the comments of a post that wait be seen, and returns how many.
func (w *WordPress) Approve(ctx context.Context, post int64) (int, error) {
	h := http.Header{"X-Wp-Nonce": {w.nonce}, "Accept": {"application/json"}}
	a, err := w.Do(ctx, http.MethodGet, fmt.Sprintf("/wp-json/wp/v2/comments?status=hold&post=%d&_locale=user", post), h, nil)
	if err != nil {
		return 0, err
	}
	var held []struct{ ID int64 }
	if err := a.decode(&held, http.StatusOK); err != nil {
		return 0, err
	}
	for _, c := range held {
		if err := w.rest(ctx, "comments/"+strconv.FormatInt(c.ID, 10), http.MethodPut, map[string]string{"status": "approved"}, nil, http.StatusOK); err != nil {
			return 0, err
		}
	}
	return len(held), nil
}

// Comment comments on a post by the theme's form. The comment waits for approval.
func (w *WordPress) Comment(ctx context.Context, post int64, author, text string) error {
	a, err := w.Form(ctx, "/wp-comments-post.php", url.Values{"comment": {text}, "author": {author}, "email": {"visitor@example.org"},
		"url": {""}, "submit": {"Post Comment"}, "comment_post_ID": {strconv.FormatInt(post, 10)}, "comment_parent": {"0"}})
	if err != nil {
		return err
	}
	if err := a.Want(http.StatusFound); err != nil {
		return err
	}
	if to := a.Header.Get("Location"); !strings.Contains(to, "#comment-") {
		return fmt.Errorf("commenting: sent to %q, want the comment", to)
	}
	return nil
}

// Visit does what a visitor does: home, the post, its image, search, feed, an
// archive, its author's archive, the public REST interface, and a page that is not there.
func (w *WordPress) Visit(ctx context.Context, p Post, title string, m Media, author string) error {
	for path, want := range map[string]string{
		"/": title, p.Path(): title, "/feed/": title, "/comments/feed/": "<rss",
		"/?" + url.Values{"s": {title}}.Encode():     title,
		"/category/uncategorized/":                   title,
		author:                                       title,
		fmt.Sprintf("/wp-json/wp/v2/posts/%d", p.ID): title,
		"/wp-json/wp/v2/search?" + url.Values{"search": {title}}.Encode():              title,
		"/wp-includes/css/dist/block-library/style.min.css":                            "wp-block",
		"/wp-json/oembed/1.0/embed?" + url.Values{"url": {w.Base + p.Path()}}.Encode(): title,
	} {
		if _, err := w.See(ctx, path, want); err != nil {
			return err
		}
	}
	if _, err := w.See(ctx, m.Path(), "\x89PNG"); err != nil {
		return err
	}
	a, err := w.Get(ctx, "/no-such-page-here/")
	if err != nil {
		return err
	}
	return a.Want(http.StatusNotFound)
}
