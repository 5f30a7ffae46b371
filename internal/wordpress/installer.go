package wordpress

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// A Site is what the installer asks for.
type Site struct {
	Title, Username, Password, Email string
}

// RunInstaller fills in WordPress's own installer at base (https://host, without
// a slash at the end), and does nothing where it already ran. It needs a client
// that is let through to the admin tier.
func RunInstaller(ctx context.Context, c *http.Client, base string, s Site) error {
	page, err := fetch(ctx, c, http.MethodGet, base+"/wp-admin/install.php", nil)
	if err != nil {
		return fmt.Errorf("asking for WordPress's installer: %w", err)
	}
	if strings.Contains(page, "wp-login.php") && !strings.Contains(page, "<form") {
		return nil // it says "Already Installed" in some language, with a link to the login
	}
	page, err = fetch(ctx, c, http.MethodPost, base+"/wp-admin/install.php?step=2", url.Values{
		"weblog_title": {s.Title}, "user_name": {s.Username}, "admin_password": {s.Password}, "admin_password2": {s.Password},
		"pw_weak": {"1"}, "admin_email": {s.Email}, "blog_public": {"1"}, "language": {""}, "Submit": {"Install WordPress"},
	})
	if err != nil {
		return fmt.Errorf("running WordPress's installer: %w", err)
	}
	if !strings.Contains(page, "wp-login.php") || strings.Contains(page, `id="setup"`) {
		return fmt.Errorf("running WordPress's installer: it shows its form again instead of the way to the login; check the title, the name and the e-mail address")
	}
	return nil
}

func fetch(ctx context.Context, c *http.Client, method, u string, form url.Values) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, u, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: got status %d, want 200", req.URL.Path, resp.StatusCode)
	}
	return string(b), nil
}
