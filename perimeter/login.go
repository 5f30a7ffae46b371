package perimeter

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// Login logs in as the site's administrator, with the name and password that up
// generated, through the form at application.loginPath. It returns the session's
// Cookie header. An error says why there is no session: it is no verdict.
func (t *Target) Login(ctx context.Context, a *Asker) (cookies string, err error) {
	path := t.Plan.Application.LoginPath
	switch {
	case path == "":
		return "", fmt.Errorf("the plan names no application.loginPath")
	case t.Site == nil:
		return "", fmt.Errorf("the administrator's password lies on the site's own machine")
	}
	b, err := os.ReadFile(filepath.Join(t.Site.State, "secrets", "admin.json"))
	if err != nil {
		return "", fmt.Errorf("reading the administrator's password: %w", err)
	}
	var who struct{ Username, Password string }
	if err := json.Unmarshal(b, &who); err != nil {
		return "", fmt.Errorf("reading the administrator's password: want the JSON that up wrote")
	}
	page, err := a.Ask(ctx, Request{URI: path, Header: []string{"Accept: text/html"}})
	if err != nil {
		return "", err
	}
	action, fields, ok := loginForm(strings.NewReader(page.Body), who.Username, who.Password)
	if !ok {
		return "", fmt.Errorf("GET %s → %s: it has no form with one password", path, page)
	}
	u, err := url.Parse(path)
	if err == nil {
		u, err = u.Parse(action)
	}
	if err != nil {
		return "", fmt.Errorf("reading the login form's action %.80q: %w", action, err)
	}
	jar := map[string]string{}
	keep(jar, page.Header)
	ans, err := a.Ask(ctx, Request{Method: http.MethodPost, URI: u.RequestURI(), Body: fields.Encode(),
		Header: []string{"Content-Type: application/x-www-form-urlencoded", "Cookie: " + header(jar), "Origin: https://" + t.Host(), "Referer: https://" + t.Host() + path}})
	if err != nil {
		return "", err
	}
	before := header(jar)
	keep(jar, ans.Header)
	if ans.Status != http.StatusSeeOther && ans.Status != http.StatusFound || header(jar) == before {
		return "", fmt.Errorf("POST %s → %s: that is no login; was the password in secrets/admin.json changed in the app?", u.Path, ans)
	}
	return header(jar), nil
}

// loginForm finds the form with exactly one password and fills it in: the text
// field before the password is the name, what is hidden stays as it is.
func loginForm(r io.Reader, name, password string) (action string, fields url.Values, ok bool) {
	doc, err := html.Parse(r)
	if err != nil {
		return "", nil, false
	}
	for form := range doc.Descendants() {
		if form.Type != html.ElementNode || form.Data != "form" {
			continue
		}
		fields, user, passwords := url.Values{}, "", 0
		for n := range form.Descendants() {
			field := attribute(n, "name")
			if n.Type != html.ElementNode || n.Data != "input" || field == "" {
				continue
			}
			switch strings.ToLower(attribute(n, "type")) {
			case "password":
				passwords++
				fields.Set(field, password)
			case "", "text", "email":
				if passwords == 0 {
					user = field
				}
			case "hidden", "submit":
				fields.Set(field, attribute(n, "value"))
			}
		}
		if passwords == 1 && user != "" {
			fields.Set(user, name)
			return attribute(form, "action"), fields, true
		}
	}
	return "", nil, false
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// keep takes an answer's cookies in.
func keep(jar map[string]string, h http.Header) {
	for _, c := range (&http.Response{Header: h}).Cookies() {
		if c.MaxAge < 0 {
			delete(jar, c.Name)
		} else {
			jar[c.Name] = c.Value
		}
	}
}

func header(jar map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(jar)) {
		out = append(out, k+"="+jar[k])
	}
	return strings.Join(out, "; ")
}
