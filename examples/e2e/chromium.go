package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/chromedp/chromedp"
)

// A Browser is a real Chromium without a window, with a profile of its own.
type Browser struct {
	ctx  context.Context
	stop func()
}

// OpenBrowser starts Chromium, which talks to this machine only.
// It takes any certificate: what a certificate must be is tested elsewhere.
// width is of the window in CSS pixels: 390 for a phone.
func OpenBrowser(ctx context.Context, width int) (*Browser, error) {
	path := ""
	for _, n := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(n); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		return nil, fmt.Errorf("looking for Chromium: not found: run `make setup SET=test`")
	}
	dir, err := os.MkdirTemp("", "e2e-chromium-")
	if err != nil {
		return nil, err
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.WindowSize(width, 844),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.IgnoreCertErrors, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1 , EXCLUDE 127.0.0.2"),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("no-proxy-server", true),
		chromedp.Env("HOME="+dir), chromedp.WSURLReadTimeout(40*time.Second))
	actx, cancelA := chromedp.NewExecAllocator(ctx, opts...)
	bctx, cancelB := chromedp.NewContext(actx)
	b := &Browser{bctx, func() {
		chromedp.Cancel(bctx) // waits for the process
		cancelB()
		cancelA()
		os.RemoveAll(dir)
	}}
	if err := chromedp.Do(bctx); err != nil {
		b.stop()
		return nil, fmt.Errorf("starting Chromium: %w", err)
	}
	return b, nil
}

// Close ends Chromium and removes its profile.
func (b *Browser) Close() { b.stop() }

// Do runs actions, for at most half a minute.
func (b *Browser) Do(a ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	return chromedp.Do(ctx, a...)
}

// Eval returns the text that a JavaScript expression gives in the page.
func (b *Browser) Eval(js string) (string, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[string](js))
}

// Shoot writes a picture of the whole page.
func (b *Browser) Shoot(file string) error {
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return fmt.Errorf("taking a picture of the page: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, png, 0o644)
}

// PublishWordPress logs in and publishes a post the way a person does, by the
// login form and the block editor, and writes a picture of the editor to file.
// It returns the post's path.
func (b *Browser) PublishWordPress(base string, c Credentials, title, file string) (string, error) {
	link, err := b.publishWordPress(base, c, title)
	shot := b.Shoot(file)
	if err != nil {
		return "", fmt.Errorf("publishing in Chromium: %w; the page is in %s", err, file)
	}
	return strings.TrimPrefix(link, base), shot
}

func (b *Browser) publishWordPress(base string, c Credentials, title string) (string, error) {
	const panel = ".editor-post-publish-panel"
	err := b.steps(
		step{"opening the login", chromedp.Navigate(base + "/wp-login.php")},
		step{"waiting for the form", chromedp.WaitVisible("#user_login")},
		step{"typing the name", chromedp.SetValue("#user_login", c.Username)},
		step{"typing the password", chromedp.SetValue("#user_pass", c.Password)},
		step{"logging in", chromedp.Click("#wp-submit")},
		step{"waiting for the dashboard", chromedp.WaitReady("#wpadminbar")},
		step{"opening the editor", chromedp.Navigate(base + "/wp-admin/post-new.php")},
		step{"waiting for the editor", chromedp.WaitReady(".edit-post-header")},
	)
	if err != nil {
		return "", err
	}
	// The welcome guide lies over the editor, at the first visit only.
	if _, err := b.Eval(`wp.data.dispatch('core/preferences').set('core/edit-post', 'welcomeGuide', false), ''`); err != nil {
		return "", err
	}
	err = b.steps(
		step{"closing the welcome guide", chromedp.WaitNotPresent(".components-modal__frame")},
		step{"choosing the title", chromedp.Click(".editor-post-title__input")},
		step{"typing", chromedp.SendKeys(".editor-post-title__input", title+"\rWritten in a real browser.")},
		step{"asking to publish", chromedp.Click(".editor-post-publish-panel__toggle")},
		step{"waiting for the panel", chromedp.WaitVisible(panel + " .editor-post-publish-button")},
		step{"letting it slide in", chromedp.Sleep(500 * time.Millisecond)}, // it takes no clicks meanwhile
		step{"publishing", chromedp.Click(panel + " .editor-post-publish-button")},
		step{"waiting for the answer", chromedp.WaitVisible(".post-publish-panel__postpublish-header")},
	)
	if err != nil {
		return "", err
	}
	return b.Eval(`wp.data.select('core/editor').getPermalink()`)
}

// A step is an action that an error can name.
type step struct {
	name   string
	action chromedp.Action[chromedp.Void]
}

func (b *Browser) steps(list ...step) error {
	for _, s := range list {
		if err := b.Do(s.action); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// Artefact names a file that a test leaves for people to look at: in
// RINGWALL_ARTEFACTS, or in the temporary directory.
func Artefact(name string) string {
	if dir := os.Getenv("RINGWALL_ARTEFACTS"); dir != "" {
		return filepath.Join(dir, name)
	}
	return filepath.Join(os.TempDir(), "ringwall-artefacts", name)
}
