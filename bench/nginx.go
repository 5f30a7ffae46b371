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

const nginxModule = "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so"

// findNginx says where nginx is, if its ModSecurity is there as well.
func findNginx() (string, error) {
	bin, err := exec.LookPath("nginx")
	if err != nil {
		if _, err := os.Stat("/usr/sbin/nginx"); err != nil {
			return "", errors.New("finding nginx: it is not installed; run: make setup SET=bench")
		}
		bin = "/usr/sbin/nginx"
	}
	if _, err := os.Stat(nginxModule); err != nil {
		return "", fmt.Errorf("finding nginx's ModSecurity: %w; run: make setup SET=bench", err)
	}
	return bin, nil
}

// startNginx writes a configuration and starts nginx in front of an app.
func startNginx(s *settings, app string) (*nginx, error) {
	bin, err := findNginx()
	if err != nil {
		return nil, err
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
	rules, err := modsecurityRules(n.dir, "Include /etc/modsecurity/crs/crs-setup.conf\nInclude /usr/share/modsecurity-crs/rules/*.conf\n")
	if err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(nginxConf, "load_module "+nginxModule+";", n.addr, app, rules, runtime.NumCPU(), nginxUser())
	return n, n.start(bin, conf, map[string][]byte{"cert.pem": cert, "key.pem": key})
}

func nginxUser() string {
	return cmp.Or(map[bool]string{true: "www-data"}[os.Getuid() == 0], "nobody")
}

// start writes a configuration, with the files it names, and runs nginx with it.
func (n *nginx) start(bin, conf string, files map[string][]byte) error {
	if os.Getuid() != 0 {
		conf = strings.Replace(conf, "user nobody;\n", "", 1)
	}
	if err := os.WriteFile(filepath.Join(n.dir, "nginx.conf"), []byte(conf), 0o600); err != nil {
		return err
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(n.dir, name), b, 0o600); err != nil {
			return err
		}
	}
	n.cmd = exec.Command(bin, "-p", n.dir, "-c", filepath.Join(n.dir, "nginx.conf"), "-e", filepath.Join(n.dir, "error.log"))
	n.cmd.Stderr = os.Stderr
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("starting nginx: %w", err)
	}
	return nil
}

// modsecurityRules are ModSecurity's recommended settings with what blocks
// switched on, and rules: responses are not inspected and there is no audit log,
// as with us.
func modsecurityRules(dir, include string) (string, error) {
	b, err := os.ReadFile("/etc/nginx/modsecurity.conf")
	if err != nil {
		return "", fmt.Errorf("reading ModSecurity's recommended configuration: %w; run: make setup SET=bench", err)
	}
	text := string(b)
	for _, x := range []struct{ key, value string }{{"SecRuleEngine", "On"}, {"SecResponseBodyAccess", "Off"}, {"SecAuditEngine", "Off"},
		{"SecUnicodeMapFile", "/etc/nginx/unicode.mapping 20127"}, {"SecStatusEngine", "Off"}} {
		text = regexp.MustCompile(`(?m)^`+x.key+` .*$`).ReplaceAllString(text, x.key+" "+x.value)
	}
	text += "\n" + include
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
