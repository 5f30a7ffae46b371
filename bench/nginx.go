//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/ringwall/ringwall/internal/tlsca"
)

// An nginx is the peer: nginx with ModSecurity and the rules of Debian's packages.
type nginx struct {
	addr, dir string
	cmd       *exec.Cmd
}

const nginxConf = `daemon off;
user %[6]s;
pid nginx.pid;
worker_processes %[5]d;
error_log error.log warn;
%[1]s
events { worker_connections 512; }
http {
	access_log access.log;
	client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
	client_body_buffer_size 128k;
	keepalive_requests 100000000;
	upstream app { server %[3]s; keepalive 64; }
	server {
		listen %[2]s ssl;
		ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_protocols TLSv1.2 TLSv1.3;
		modsecurity on;
		modsecurity_rules_file %[4]s;
		location / {
			proxy_pass http://app;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header X-Forwarded-Proto https;
		}
	}
}
`

// startNginx writes a configuration and starts nginx in front of an app.
func startNginx(s *settings, app string) (*nginx, error) {
	bin, err := exec.LookPath("nginx")
	if err != nil {
		if _, err := os.Stat("/usr/sbin/nginx"); err != nil {
			return nil, errors.New("finding nginx: it is not installed; run: make setup SET=bench")
		}
		bin = "/usr/sbin/nginx"
	}
	const module = "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so"
	if _, err := os.Stat(module); err != nil {
		return nil, fmt.Errorf("finding nginx's ModSecurity: %w; run: make setup SET=bench", err)
	}
	n := &nginx{dir: filepath.Join(s.dir, "nginx")}
	if err := os.MkdirAll(filepath.Join(n.dir, "tmp"), 0o777); err != nil {
		return nil, err
	}
	if n.addr, err = freeAddr("127.0.0.1"); err != nil {
		return nil, err
	}
	ca, err := tlsca.Open(filepath.Join(n.dir, "ca"), []string{"localhost"})
	if err != nil {
		return nil, err
	}
	cert, key, err := ca.Issue([]string{"localhost"})
	if err != nil {
		return nil, err
	}
	rules, err := modsecurityRules(n.dir)
	if err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(nginxConf, "load_module "+module+";", n.addr, app, rules, runtime.NumCPU(), cmp.Or(map[bool]string{true: "www-data"}[os.Getuid() == 0], "nobody"))
	if os.Getuid() != 0 {
		conf = strings.Replace(conf, "user nobody;\n", "", 1)
	}
	for name, b := range map[string][]byte{"nginx.conf": []byte(conf), "cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(n.dir, name), b, 0o600); err != nil {
			return nil, err
		}
	}
	n.cmd = exec.Command(bin, "-p", n.dir, "-c", filepath.Join(n.dir, "nginx.conf"), "-e", filepath.Join(n.dir, "error.log"))
	n.cmd.Stderr = os.Stderr
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting nginx: %w", err)
	}
	return n, nil
}

// modsecurityRules are the packages' own files with what blocks switched on:
// responses are not inspected and there is no audit log, as with us.
func modsecurityRules(dir string) (string, error) {
	b, err := os.ReadFile("/etc/nginx/modsecurity.conf")
	if err != nil {
		return "", fmt.Errorf("reading ModSecurity's recommended configuration: %w; run: make setup SET=bench", err)
	}
	text := string(b)
	for _, x := range []struct{ key, value string }{{"SecRuleEngine", "On"}, {"SecResponseBodyAccess", "Off"}, {"SecAuditEngine", "Off"},
		{"SecUnicodeMapFile", "/etc/nginx/unicode.mapping 20127"}, {"SecStatusEngine", "Off"}} {
		text = regexp.MustCompile(`(?m)^`+x.key+` .*$`).ReplaceAllString(text, x.key+" "+x.value)
	}
	text += "\nInclude /etc/modsecurity/crs/crs-setup.conf\nInclude /usr/share/modsecurity-crs/rules/*.conf\n"
	name := filepath.Join(dir, "modsecurity.conf")
	return name, os.WriteFile(name, []byte(text), 0o644)
}

func (n *nginx) stop() {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(10*time.Second, func() { _ = n.cmd.Process.Kill() })
	defer timer.Stop()
	_ = n.cmd.Wait()
}

// log is the end of what nginx wrote about its troubles.
func (n *nginx) log() string {
	b, _ := os.ReadFile(filepath.Join(n.dir, "error.log"))
	return string(b[max(0, len(b)-2000):])
}

func split(addr string) (host, port string) {
	host, port, _ = net.SplitHostPort(addr)
	return host, port
}
