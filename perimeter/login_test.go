package perimeter

import (
	"strings"
	"testing"
)

func TestLoginForm(t *testing.T) {
	for _, tt := range []struct {
		name, page, action, fields string
		ok                         bool
	}{
		{"WordPress", `<form action="https://x/wp-login.php" method="post"><input type="text" name="log"><input type=password name=pwd>
			<input name="rememberme" type="checkbox" value="forever"><input type="submit" name="wp-submit" value="Log In"><input type="hidden" name="testcookie" value="1"></form>`,
			"https://x/wp-login.php", "log=me&pwd=secret&testcookie=1&wp-submit=Log+In", true},
		{"after a search", `<form action="/search"><input name=q></form><form><input name=user type=EMAIL><input name=pass type=Password></form>`, "", "pass=secret&user=me", true},
		{"a new password is no login", `<form><input name=user><input type=password name=a><input type=password name=b></form>`, "", "", false},
		{"no name", `<form><input type=password name=a></form>`, "", "", false},
		{"no form", `hello`, "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			action, fields, ok := loginForm(strings.NewReader(tt.page), "me", "secret")
			if action != tt.action || fields.Encode() != tt.fields || ok != tt.ok {
				t.Errorf("got %q, %q, %v, want %q, %q, %v", action, fields.Encode(), ok, tt.action, tt.fields, tt.ok)
			}
		})
	}
}
