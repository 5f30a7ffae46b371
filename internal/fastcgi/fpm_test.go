package fastcgi

import (
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// fpm starts a PHP-FPM with two workers and returns a client of it.
func fpm(t *testing.T) (c *Client, dir string, dials *atomic.Int32) {
	t.Helper()
	const program = "/usr/sbin/php-fpm8.2"
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("NOT RUN: %v; install php-fpm", err)
	}
	dir, err := os.MkdirTemp("", "fpm") // a socket's path must be short, and an unprivileged user must reach it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	sock, conf := filepath.Join(dir, "s"), filepath.Join(dir, "c")
	text := fmt.Sprintf("[global]\nerror_log=%s/log\n[p]\nlisten=%s\npm=static\npm.max_children=2\n", dir, sock)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-F", "-y", conf, "-d", "opcache.enable=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if os.Getuid() == 0 {
		os.Chown(dir, 65534, 65534)
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); cmd.Wait() }) // with its workers
	for range 200 {
		if nc, err := net.Dial("unix", sock); err == nil {
			nc.Close()
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	dials = new(atomic.Int32)
	c = &Client{MaxConns: 2, Dial: func(ctx context.Context) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, "unix", sock)
	}}
	t.Cleanup(c.CloseIdle)
	return c, dir, dials
}

func TestPHP(t *testing.T) {
	c, dir, dials := fpm(t)
	script := filepath.Join(dir, "x.php")
	code := `<?php
header("X-Len: ".strlen($_SERVER["HTTP_X_BIG"] ?? ""));
http_response_code(202);
if (isset($_GET["err"])) { file_put_contents("php://stderr", "reported\n"); error_log("logged"); }
if (isset($_GET["die"])) { posix_kill(getmypid(), 9); }
if (isset($_GET["slow"])) { while (ob_get_level()) ob_end_flush(); for ($i = 0; $i < 3; $i++) { echo "part $i\n"; flush(); usleep(50000); } exit; }
echo md5(file_get_contents("php://input")), " ", $_SERVER["REQUEST_METHOD"];`
	if err := os.WriteFile(script, []byte(code), 0o644); err != nil {
		t.Fatal(err)
	}
	do := func(method, query, body string, more ...Param) (*Response, string, error) {
		p := append(Params{{"SCRIPT_FILENAME", script}, {"REQUEST_METHOD", method}, {"QUERY_STRING", query}, {"CONTENT_LENGTH", strconv.Itoa(len(body))}}, more...)
		req := &Request{Params: p, Length: int64(len(body)), Stderr: func(b []byte) { t.Logf("stderr: %s", b) }}
		if body != "" {
			req.Body = strings.NewReader(body)
		}
		resp, err := c.Do(ctx(t), req)
		if err != nil {
			return nil, "", err
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		return resp, string(b), err
	}
	for i := range 10 {
		resp, body, err := do("GET", "err=1", "")
		if err != nil || body != "d41d8cd98f00b204e9800998ecf8427e GET" || resp.Status != 202 {
			t.Fatalf("request %d: got %v, %q, %v", i, resp, body, err)
		}
	}
	if dials.Load() != 1 {
		t.Errorf("got %d connections, want 1", dials.Load())
	}
	large := strings.Repeat("a", 3<<20)
	resp, body, err := do("POST", "", large, Param{"HTTP_X_BIG", strings.Repeat("b", 60000)}, Param{"HTTP_X_C", strings.Repeat("c", 60000)})
	if err != nil || body != fmt.Sprintf("%x POST", md5.Sum([]byte(large))) || resp.Header.Get("X-Len") != "60000" {
		t.Errorf("large request: got %v, %q, %v", resp, body, err)
	}
	if _, _, err := do("GET", "die=1", ""); err == nil {
		t.Error("a killed worker: got no error")
	}
	if _, body, err := do("GET", "", ""); err != nil {
		t.Errorf("after a killed worker: got %q, %v", body, err)
	}
	start := time.Now()
	r2, err := c.Do(ctx(t), &Request{Params: Params{{"SCRIPT_FILENAME", script}, {"REQUEST_METHOD", "GET"}, {"QUERY_STRING", "slow=1"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer r2.Body.Close()
	b := make([]byte, 100)
	n, err := r2.Body.Read(b)
	if string(b[:n]) != "part 0\n" || err != nil {
		t.Errorf("streamed: got %q, %v after %v", b[:n], err, time.Since(start))
	}
	io.Copy(io.Discard, r2.Body)
}

// More requests than workers wait for a kept connection and do not hang.
func TestPHPBusy(t *testing.T) {
	c, dir, _ := fpm(t)
	script := filepath.Join(dir, "x.php")
	if err := os.WriteFile(script, []byte(`<?php usleep(5000); echo "ok";`), 0o644); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 60)
	for range cap(errs) {
		go func() {
			resp, err := c.Do(ctx(t), &Request{Params: Params{{"SCRIPT_FILENAME", script}, {"REQUEST_METHOD", "GET"}}})
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
