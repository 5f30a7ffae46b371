package cli

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/perimeter/people"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/report"
	"github.com/ringwall/ringwall/verify"
)

// tokenPath is where a site elsewhere shows that its owner wants it probed.
const tokenPath = "/.well-known/ringwall-probe.txt"

// token reads this user's token, or makes it.
func token() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("finding a place for the token: %w", err)
	}
	dir = filepath.Join(dir, "ringwall")
	if err := os.MkdirAll(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("making a place for the token: %w", err)
	}
	var t string
	err = people.Ensure(dir, "probe-token.json", &t, func() { t = people.NewSecret() })
	return t, err
}

func printToken(c *cobra.Command) error {
	t, err := token()
	if err != nil {
		return err
	}
	fmt.Fprintln(c.OutOrStdout(), t)
	return nil
}

// probeURL judges a site elsewhere, from the internet. Without its plan less is
// known of it: which routes are its administrators', for one.
func probeURL(ctx context.Context, c *cobra.Command, o probeOptions, p *plan.Plan, jobs []verify.Job) (*report.Report, error) {
	u, err := url.Parse(o.url)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, usage(fmt.Errorf("reading --url: got %q, want an address such as https://www.example.com", o.url))
	}
	u.Path, u.RawQuery, u.Fragment = "", "", ""
	t, err := token()
	if err != nil {
		return nil, err
	}
	roots, err := authorities(o.ca)
	if err != nil {
		return nil, usage(err)
	}
	if err := owned(ctx, u, t, roots); err != nil {
		return nil, err
	}
	if p == nil {
		if p, err = plan.Elsewhere(u); err != nil {
			return nil, usage(err)
		}
	}
	target := outside(p, u, t, roots)
	return probeOutside(ctx, c, o, target, jobs)
}

// outside is a site elsewhere as the internet sees it.
func outside(p *plan.Plan, u *url.URL, token string, roots *x509.CertPool) *perimeter.Target {
	return &perimeter.Target{Plan: p, URL: u.String(), Token: token, Roots: roots, From: fromHere}
}

// probeOutside tries every control that the internet can. The others are left out.
func probeOutside(ctx context.Context, c *cobra.Command, o probeOptions, target *perimeter.Target, jobs []verify.Job) (*report.Report, error) {
	p := target.Plan
	u, err := url.Parse(target.URL)
	if err != nil {
		return nil, fmt.Errorf("reading the site's address: %w", err)
	}
	head := report.Report{Tool: "ringwall " + version(), Site: u.Host, URL: u.String(), Started: time.Now()}
	left := 0
	var near []verify.Job
	for _, j := range verify.For(p, verify.Probing(jobs)) {
		if j.Control.Intrusive && !o.intrusive || j.Control.Vantage != perimeter.Internet || j.Perimeter == 3 || j.Control.Office {
			left++
			continue
		}
		near = append(near, j)
	}
	if left > 0 {
		head.Notes = append(head.Notes, fmt.Sprintf("%d controls were not asked: they need a place inside the site or in its office, or load it (--intrusive)", left))
	}
	progress := newProgress(c, len(near))
	var results []perimeter.Result
	verify.Run(ctx, near, target, true, func(r perimeter.Result) {
		results = append(results, r)
		progress.tick(r)
	})
	progress.end()
	head.Millis = time.Since(head.Started).Milliseconds()
	return report.Build(head, all.Perimeters, near, results), nil
}

// owned asks the site for the token that only its owner can have put there.
func owned(ctx context.Context, u *url.URL, want string, roots *x509.CertPool) error {
	doing := "asking " + u.Host + " whether its owner wants it probed"
	next := "; serve the text that ringwall probe --token prints at " + u.String() + tokenPath
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", u.String()+tokenPath, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: got status %d, want 200 with the token%s", doing, resp.StatusCode, next)
	}
	if subtle.ConstantTimeCompare([]byte(strings.TrimSpace(string(b))), []byte(want)) != 1 {
		return fmt.Errorf("%s: got another text than this user's token%s", doing, next)
	}
	return nil
}

// authorities reads PEM certificates; no file means the system's.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading --ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("reading --ca %s: got no certificate, want PEM", file)
	}
	return pool, nil
}
