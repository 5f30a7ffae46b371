package cli

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
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

// probeURL judges a site elsewhere, from the internet.
func probeURL(ctx context.Context, c *cobra.Command, o probeOptions, jobs []verify.Job) (*report.Report, error) {
	u, err := url.Parse(o.url)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, usage(fmt.Errorf("reading --url: got %q, want an address such as https://www.example.com", o.url))
	}
	u.Path, u.RawQuery, u.Fragment = "", "", ""
	t, err := token()
	if err != nil {
		return nil, err
	}
	if err := owned(ctx, u, t); err != nil {
		return nil, err
	}
	p, err := plan.Elsewhere(u)
	if err != nil {
		return nil, usage(err)
	}
	target := &perimeter.Target{Plan: p, URL: u.String(), Token: t, From: func(node string) (perimeter.Dialer, error) {
		if node != plan.Internet {
			return nil, fmt.Errorf("only the internet is at hand from here")
		}
		var d net.Dialer
		return d.DialContext, nil
	}}
	head := report.Report{Tool: "ringwall " + version(), Site: u.Host, URL: u.String(), Started: time.Now()}
	progress := newProgress(c, len(jobs))
	var results []perimeter.Result
	emit := func(r perimeter.Result) {
		results = append(results, r)
		progress.tick(r)
	}
	var mine []verify.Job
	for _, j := range jobs {
		switch {
		case j.Control.Vantage != perimeter.Internet:
			emit(verify.Unjudged(j, "only the site's own machine has this vantage"))
		case j.Control.Intrusive && !o.intrusive:
			emit(verify.Unjudged(j, "it loads the site; ask for it with --intrusive"))
		default:
			mine = append(mine, j)
		}
	}
	verify.Run(ctx, mine, target, true, emit)
	progress.end()
	head.Millis = time.Since(head.Started).Milliseconds()
	return report.Build(head, all.Perimeters, jobs, results), nil
}

// owned asks the site for the token that only its owner can have put there.
func owned(ctx context.Context, u *url.URL, want string) error {
	doing := "asking " + u.Host + " whether its owner wants it probed"
	next := "; serve the text that ringwall probe --token prints at " + u.String() + tokenPath
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", u.String()+tokenPath, nil)
	if err != nil {
		return err
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
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
