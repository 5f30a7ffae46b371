// Package e2e uses the example apps the way people do: it logs in, publishes,
// uploads, reads and comments, over HTTP, WebSocket and a real browser. It knows
// the apps and nothing of the walls before them.
package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/textproto"
	"net/url"
	"strings"
	"time"
)

// A Dial opens TCP connections to an address, which may be a name.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// A Client is one person's browser, without the looks: it keeps cookies and
// follows no redirect.
type Client struct {
	Base   string // https://host:port, without a slash at the end
	HTTP   *http.Client
	Header http.Header // sent with every request
}

// New returns a client of the site at base. A nil roots or dial is the system's.
func New(base string, roots *x509.CertPool, dial Dial) *Client {
	jar, _ := cookiejar.New(nil) // has no error to return
	return &Client{
		Base: strings.TrimSuffix(base, "/"),
		HTTP: &http.Client{
			Jar: jar,
			Transport: &http.Transport{
				TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
				DialContext:         dial,
				ForceAttemptHTTP2:   true,
				MaxIdleConnsPerHost: 8,
			},
			Timeout:       30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Header: http.Header{},
	}
}

// Close closes the idle connections.
func (c *Client) Close() { c.HTTP.CloseIdleConnections() }

// An Answer is a response that was read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	what   string // method and URL
}

// Want returns an error unless the status is one of these.
func (a *Answer) Want(status ...int) error {
	for _, s := range status {
		if a.Status == s {
			return nil
		}
	}
	return fmt.Errorf("%s: got status %d, want %v; the answer starts with %q", a.what, a.Status, status, first(a.Body, 300))
}

// WantText returns an error unless the status is 200 and the body holds each text.
func (a *Answer) WantText(texts ...string) error {
	if err := a.Want(http.StatusOK); err != nil {
		return err
	}
	for _, t := range texts {
		if !strings.Contains(a.Body, t) {
			return fmt.Errorf("%s: the answer lacks %q", a.what, t)
		}
	}
	return nil
}

func first(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// Do sends one request to a path of the site.
func (c *Client) Do(ctx context.Context, method, path string, header http.Header, body io.Reader) (*Answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	for k, v := range c.Header {
		req.Header[k] = v
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 32<<20))
	if err != nil {
		return nil, fmt.Errorf("%s %s: reading the answer: %w", method, path, err)
	}
	return &Answer{resp.StatusCode, resp.Header, string(b), method + " " + path}, nil
}

// Get reads a path.
func (c *Client) Get(ctx context.Context, path string) (*Answer, error) {
	return c.Do(ctx, http.MethodGet, path, nil, nil)
}

// See gets a path and wants status 200 and the texts in it.
func (c *Client) See(ctx context.Context, path string, texts ...string) (*Answer, error) {
	a, err := c.Get(ctx, path)
	if err != nil {
		return nil, err
	}
	return a, a.WantText(texts...)
}

// Form posts a form.
func (c *Client) Form(ctx context.Context, path string, v url.Values) (*Answer, error) {
	return c.Do(ctx, http.MethodPost, path, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, strings.NewReader(v.Encode()))
}

// JSON sends v as JSON, wants one of the statuses and decodes the answer into out,
// unless that is nil.
func (c *Client) JSON(ctx context.Context, method, path string, header http.Header, v, out any, want ...int) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	for k, v := range header {
		h[k] = v
	}
	a, err := c.Do(ctx, method, path, h, bytes.NewReader(b))
	if err != nil {
		return err
	}
	return a.decode(out, want...)
}

func (a *Answer) decode(out any, want ...int) error {
	if err := a.Want(want...); err != nil {
		return err
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal([]byte(a.Body), out); err != nil {
		return fmt.Errorf("%s: reading the answer as JSON: %w", a.what, err)
	}
	return nil
}

// File posts one file as multipart form, with other fields.
func (c *Client) File(ctx context.Context, path string, fields url.Values, name, kind string, content []byte, header http.Header) (*Answer, error) {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for k, vs := range fields {
		for _, v := range vs {
			m.WriteField(k, v)
		}
	}
	part, err := m.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {fmt.Sprintf(`form-data; name="file"; filename=%q`, name)}, "Content-Type": {kind}})
	if err != nil {
		return nil, err
	}
	part.Write(content)
	m.Close()
	h := http.Header{"Content-Type": {m.FormDataContentType()}}
	for k, v := range header {
		h[k] = v
	}
	return c.Do(ctx, http.MethodPost, path, h, &b)
}

// webSocketTransport is the client's transport kept to HTTP/1.1, which WebSockets need.
func (c *Client) webSocketTransport() *http.Transport {
	t := c.HTTP.Transport.(*http.Transport).Clone()
	t.ForceAttemptHTTP2 = false
	t.TLSClientConfig.NextProtos = nil
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	return t
}
