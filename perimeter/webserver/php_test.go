package webserver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// startFPM starts PHP-FPM as an unprivileged user with the configuration of a
// tier, and returns how to reach it.
func startFPM(t *testing.T, p *plan.Plan, tier string) func(context.Context) (net.Conn, error) {
	t.Helper()
	return startFPMWith(t, p, tier, FPMOptions{})
}

func startFPMWith(t *testing.T, p *plan.Plan, tier string, o FPMOptions) func(context.Context) (net.Conn, error) {
	t.Helper()
	const program = "/usr/sbin/php-fpm8.2"
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("NOT RUN: %v; install php-fpm", err)
	}
	dir, err := os.MkdirTemp("", "fpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	conf := filepath.Join(dir, "fpm.conf")
	o.Run, o.Temp = dir, dir
	text, args, err := FPM(p, tier, conf, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"SECRET_OF_THE_AGENT=1"}
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = pw
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if os.Getuid() == 0 {
		os.Chown(dir, 65534, 65534)
		pw.Chown(65534, 65534) // it opens /dev/stderr again
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pw.Close()
	done := make(chan struct{})
	go func() { io.Copy(&log, pr); pr.Close(); close(done) }()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		<-done
		if t.Failed() {
			t.Logf("php-fpm: %s", log.String())
		}
	})
	sock := filepath.Join(dir, "php.sock")
	dial := func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "unix", sock) }
	for range 200 {
		if c, err := dial(t.Context()); err == nil {
			c.Close()
			return dial
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatal("PHP-FPM did not start")
	return nil
}

const dump = `<?php header("Content-Type: application/json"); $in = file_get_contents("php://input");
echo json_encode(["script" => basename(__FILE__), "server" => $_SERVER, "env" => getenv(), "in" => strlen($in), "ini" => ini_get_all(null, false)], JSON_INVALID_UTF8_SUBSTITUTE);`

func TestPHP(t *testing.T) {
	dir := tree(t, map[string]string{
		"index.php": dump, "wp-login.php": dump, "wp-config.php": dump, "wp-admin/index.php": dump, "wp-admin/admin-ajax.php": dump, "dir/index.php": dump, "style.css": "css",
		"wp-content/uploads/evil.php": dump, "wp-content/uploads/evil.phtml": dump, "wp-content/uploads/a.jpg": "<?php evil", "wp-content/uploads/dir.d/index.php": dump,
		"x.php7": dump, "err.php": `<?php error_log("it broke"); throw new Exception("with details");`, "leave.php": "-> /etc/passwd",
		"media": "-> wp-content/uploads", "linked.php": "-> wp-content/uploads/evil.php", "twice.php": "-> linked.php", "start.php": "-> index.php",
		"slow.php": `<?php for ($i = 0; $i < 3; $i++) { echo str_repeat("$i", 5000); flush(); usleep(40000); }`,
	})
	os.Chmod(dir, 0o755)
	os.Chmod(filepath.Dir(dir), 0o755)
	p := wordpress()
	p.Files.Mount = dir // no sandbox here: PHP sees the tree where we see it
	var mu sync.Mutex
	var reports []string
	app := App{Root: dir, Dial: startFPM(t, p, plan.Fleet), Report: func(s string) { mu.Lock(); reports = append(reports, s); mu.Unlock() }}
	fleet, admin := start(t, p, plan.Fleet, app), start(t, p, plan.Admin, app)

	type answer struct {
		Script string
		Server map[string]any
		Env    map[string]string
		In     int
		Ini    map[string]any
	}
	php := func(r reply) (a answer) {
		t.Helper()
		if err := json.Unmarshal([]byte(r.body), &a); err != nil || r.status != 200 {
			t.Fatalf("got %d %.200q", r.status, r.body)
		}
		return a
	}

	a := php(ask(t, "GET", fleet.URL+"/2026/01//hello/?x=%41&y", nil, "Host", "example.com:8443", plan.HeaderViewer, "2001:db8::7", plan.HeaderSecret, "s3cret", "X-Forwarded-For", "6.6.6.6",
		"X_Forwarded_For", "6.6.6.6", "Proxy", "http://evil", "Cookie", "a=b", "Cookie", "c=d", "Authorization", "Basic eDp5"))
	for k, want := range map[string]string{"REQUEST_URI": "/2026/01/hello/?x=%41&y", "SCRIPT_NAME": "/index.php", "SCRIPT_FILENAME": dir + "/index.php", "DOCUMENT_ROOT": dir, "REMOTE_ADDR": "2001:db8::7",
		"HTTPS": "on", "SERVER_NAME": "example.com", "SERVER_PORT": "8443", "HTTP_HOST": "example.com:8443", "QUERY_STRING": "x=%41&y", "HTTP_COOKIE": "a=b; c=d", "HTTP_X_FORWARDED_FOR": "2001:db8::7",
		"HTTP_AUTHORIZATION": "Basic eDp5", "PHP_SELF": "/index.php", "REQUEST_METHOD": "GET"} {
		if a.Server[k] != want {
			t.Errorf("%s: got %v, want %q", k, a.Server[k], want)
		}
	}
	all := fmt.Sprint(a.Server, a.Env)
	for _, bad := range []string{"s3cret", "6.6.6.6", "HTTP_PROXY", "http://evil", "SECRET_OF_THE_AGENT"} {
		if strings.Contains(all, bad) {
			t.Errorf("PHP sees %q: %s", bad, all)
		}
	}
	if a.Env["GREETING"] != `hello ${HOME} "x"` {
		t.Errorf("got environment %q", a.Env)
	}
	for k, want := range map[string]string{"display_errors": "0", "opcache.validate_timestamps": "0", "cgi.fix_pathinfo": "0", "expose_php": "0", "allow_url_include": "0", "session.cookie_secure": "1"} {
		if got := fmt.Sprint(a.Ini[k]); got != want && !(want == "0" && (got == "" || got == "off")) && !(want == "1" && got == "on") {
			t.Errorf("%s: got %q, want %q", k, got, want)
		}
	}

	for _, tt := range []struct {
		server, path string
		want         int
		script       string // that ran; or the body of a file
	}{
		{"fleet", "/", 200, "index.php"}, {"fleet", "/dir/", 200, "index.php"}, {"fleet", "/dir", 301, ""}, {"fleet", "/style.css", 200, "css"}, {"fleet", "/nothing.css", 200, "index.php"},
		{"fleet", "/wp-admin/admin-ajax.php", 200, "admin-ajax.php"}, {"fleet", "/wp-login.php", 403, ""}, {"fleet", "/wp-admin/", 403, ""}, {"fleet", "/dir/..%2fwp-login.php", 403, ""},
		{"admin", "/wp-login.php", 200, "wp-login.php"}, {"admin", "/wp-admin/", 200, "index.php"}, {"admin", "/wp-login.php/x", 200, "index.php"}, {"admin", "/style.css/x.php", 200, "index.php"},
		{"admin", "/wp-config.php", 403, ""}, {"admin", "/x.php7", 403, ""}, {"admin", "/leave.php", 200, "index.php"},
		{"admin", "/wp-content/uploads/evil.php", 403, ""}, {"fleet", "/wp-content/uploads/evil.php", 403, ""}, {"fleet", "/wp-content/uploads/evil.phtml", 403, ""}, {"fleet", "/wp-content/uploads/evil.php/", 403, ""},
		{"fleet", "/wp-content/uploads/a.jpg", 200, "<?php evil"}, {"fleet", "/wp-content/uploads/a.jpg/x.php", 403, ""}, {"fleet", "/wp-content/uploads/dir.d/", 200, "index.php"},
		{"fleet", "/media/evil.php", 403, ""}, {"admin", "/media/evil.php", 403, ""}, {"fleet", "/media/dir.d/", 403, ""}, {"fleet", "/linked.php", 403, ""}, {"fleet", "/twice.php", 403, ""}, {"fleet", "/start.php", 200, "index.php"},
	} {
		url := fleet.URL
		if tt.server == "admin" {
			url = admin.URL
		}
		r := ask(t, "GET", url+tt.path, nil)
		if r.status != tt.want {
			t.Errorf("%s %s: got %d, want %d", tt.server, tt.path, r.status, tt.want)
			continue
		}
		if tt.script == "" || r.body == tt.script {
			continue
		}
		if a := php(r); a.Script != tt.script || tt.path == "/wp-content/uploads/dir.d/" && a.Server["SCRIPT_NAME"] != "/index.php" {
			t.Errorf("%s %s: ran %q, want %q", tt.server, tt.path, a.Script, tt.script)
		}
	}
	if perimeter.CanTakeDown {
		perimeter.SetDown([]string{ctlUploads})
		if a := php(ask(t, "GET", fleet.URL+"/wp-content/uploads/evil.php", nil)); a.Script != "evil.php" {
			t.Errorf("wall down: ran %q, want the upload", a.Script)
		}
		perimeter.SetDown(nil)
	}

	big := strings.Repeat("x", 5<<20)
	if a := php(ask(t, "POST", fleet.URL+"/", strings.NewReader(big), "Content-Type", "application/json")); a.In != len(big) {
		t.Errorf("a large body: PHP read %d bytes, want %d", a.In, len(big))
	}
	if a := php(ask(t, "POST", fleet.URL+"/", struct{ io.Reader }{strings.NewReader(big[:600000])}, "Content-Type", "application/json")); a.In != 600000 {
		t.Errorf("a body of unknown length: PHP read %d bytes, want 600000", a.In)
	}
	if r := ask(t, "POST", fleet.URL+"/", struct{ io.Reader }{strings.NewReader(big)}, "Content-Type", "application/json"); r.status != 413 {
		t.Errorf("a body of unknown length, too large: got %d, want 413", r.status)
	}
	r := ask(t, "GET", fleet.URL+"/err.php", nil)
	mu.Lock()
	if r.status != 500 || strings.Contains(r.body, "details") || !strings.Contains(strings.Join(reports, "\n"), "it broke") {
		t.Errorf("an error: got %d %q, reports %q", r.status, r.body, reports)
	}
	mu.Unlock()

	begin := time.Now()
	resp, err := http.Get(fleet.URL + "/slow.php")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 4000)); err != nil {
		t.Error(err)
	}
	first := time.Since(begin)
	io.Copy(io.Discard, resp.Body)
	if whole := time.Since(begin); whole-first < 20*time.Millisecond {
		t.Errorf("the answer was not streamed: the first part after %v, all after %v", first, whole)
	}
}

func TestFPMText(t *testing.T) {
	p := wordpress()
	p.Tiers[1].Limits = plan.Limits{Memory: 512 << 20, Processes: 64}
	if n := Children(p, plan.Fleet); n != 8 {
		t.Errorf("got %d workers, want 8", n)
	}
	p.Tiers[1].Limits.Processes = 5
	if n := Children(p, plan.Fleet); n != 3 {
		t.Errorf("got %d workers, want 3", n)
	}
	_, args, err := FPM(p, plan.Admin, "/run/app/fpm.conf", FPMOptions{})
	if err != nil || strings.Contains(strings.Join(args, " "), "validate_timestamps=0") {
		t.Errorf("admin must see its own changes: got %q, %v", args, err)
	}
	for _, bad := range []map[string]string{{"A": "x\ny"}, {"A-B": "x"}, {"A": "it's ${x}"}, {"1A": ""}} {
		p.Tiers[1].Env = bad
		if text, _, err := FPM(p, plan.Fleet, "/c", FPMOptions{}); err == nil {
			t.Errorf("%q: got %s", bad, text)
		}
	}
	if _, _, err := FPM(p, "nobody", "/c", FPMOptions{}); err == nil {
		t.Error("an unknown tier: got no error")
	}
}
