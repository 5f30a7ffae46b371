package webserver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/plan"
)

// A real PHP behind a real nginx: forms that the web server does not read are
// read by the guard.
func TestGuard(t *testing.T) {
	dir := tree(t, map[string]string{"index.php": `<?php echo "app";`, "tools.php": `<?php echo "app";`})
	os.Chmod(dir, 0o755)
	os.Chmod(filepath.Dir(dir), 0o755)
	p := wordpress()
	p.Webserver.AdminRoutes = append(p.Webserver.AdminRoutes, "/tools.php?do=admin*")
	p.Files.Mount = dir
	for tier, want := range map[string]int{plan.Fleet: 403, plan.Admin: 200} {
		text, err := Guard(p, tier)
		if err != nil {
			t.Fatal(err)
		}
		o := FPMOptions{}
		if (text == "") != (tier == plan.Admin) {
			t.Fatalf("%s: got a guard of %d bytes", tier, len(text))
		}
		if text != "" {
			o.Guard = filepath.Join(dir, "guard.inc")
			if err := os.WriteFile(o.Guard, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		conn, err := startFPMWith(t, p, tier, o)(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		socket := conn.RemoteAddr().String()
		conn.Close()
		in := serveNginxFor(t, p, tier, dir, socket)
		form := func(target, body string) got {
			return in.raw("POST", target, body, "Content-Type: application/x-www-form-urlencoded")
		}
		multi := func(name, value string) got {
			return in.raw("POST", "/", "--b\r\nContent-Disposition: form-data; name="+name+"\r\n\r\n"+value+"\r\n--b--\r\n", "Content-Type: multipart/form-data; boundary=b")
		}
		for name, g := range map[string]got{
			"form": form("/", "rest_route=/wp/v2/users"), "encoded": form("/any", "a=b&rest_route=%2Fwp%2Fv2/users%2f1"), "dots": form("/", "rest.route=/wp/v2/USERS"),
			"up": form("/", "rest_route=/wp/x/../v2/users"), "twice": form("/", "rest_route=%252fwp/v2/users"), "array": form("/", "rest_route[]=/wp/v2/users"), "slashes": form("/", "rest_route=//wp//v2//users"),
			"multipart": multi("rest_route", "/wp/v2/users"), "quoted": multi(`"rest_route"`, "/wp/v2/users"), "spaces": form("/", "+rest+route=/wp/v2/users"), "tools": form("/tools.php", "do=admin"),
			"secret": form("/", "secret"), "folds": form("/", "rest_route=/wp/v2/u%c5%bfers"),
		} {
			if g.status != want || want == 403 && g.class != refuse(ctlAdmin).Reason {
				t.Errorf("%s, %s: got %d %q %s, want %d", tier, name, g.status, g.class, g.body, want)
			}
		}
		for name, g := range map[string]got{"posts": form("/", "rest_route=/wp/v2/posts"), "other": form("/", "x=/wp/v2/users"), "elsewhere": form("/other.php", "do=admin"), "file": multi("x", "rest_route=/wp/v2/users"), "get": in.raw("GET", "/?p=1", "")} {
			if g.status != 200 || !strings.Contains(g.body, "app") {
				t.Errorf("%s, %s: got %d %s, want it let through", tier, name, g.status, g.body)
			}
		}
	}
}
