package sandbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/internal/sandbox"
)

// TestPrograms runs what a site is made of behind every layer. The test itself
// is the list of what this machine needs installed.
func TestPrograms(t *testing.T) {
	if delegated(t) {
		return
	}
	fleet := sandbox.Calls{Unix: true, TCP: true, Fork: true}
	command := sandbox.Calls{Unix: true, TCP: true, Spawn: true}
	tools := sandbox.Calls{Unix: true, TCP: true, Spawn: true, Meta: true}
	mounts := []sandbox.Mount{{Source: "/usr", Target: "/usr", Exec: true}}
	for _, m := range []string{"/etc/alternatives", "/etc/php", "/etc/ld.so.cache", "/etc/postgresql-common", "/etc/localtime"} {
		if real, err := filepath.EvalSymlinks(m); err == nil {
			mounts = append(mounts, sandbox.Mount{Source: real, Target: m})
		}
	}
	postgres, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(postgres) == 0 {
		t.Fatal("NOT RUN: no PostgreSQL server; install postgresql")
	}
	fpm, err := filepath.Glob("/usr/sbin/php-fpm*")
	if err != nil || len(fpm) == 0 {
		t.Fatal("NOT RUN: no php-fpm; install php-fpm")
	}
	pg := filepath.Dir(postgres[len(postgres)-1])
	node := "/usr/bin/node"
	type step struct {
		name  string
		args  []string
		calls sandbox.Calls
		until string // in its output, then it is stopped with signal
		stop  unix.Signal
		want  string
		exit  int
	}
	fpmConf := "[global]\ndaemonize = no\nerror_log = /dev/stderr\n[www]\nlisten = /srv/php.sock\npm = static\npm.max_children = 2\n"
	for _, s := range []step{
		{name: "bash", args: []string{"/usr/bin/bash", "-c", "x=$(echo a | tr a b); (sleep 0.01 &); echo $x; id -un"}, calls: command, want: "b\napp\n"},
		{name: "node", calls: fleet, args: []string{node, "-e", `const h=require("http"),os=require("os");
			const s=h.createServer((q,r)=>r.end("hello")).listen("/srv/node.sock",()=>h.get({socketPath:"/srv/node.sock"},r=>{r.on("data",d=>console.log(""+d));r.on("end",()=>s.close())}));
			console.log(os.cpus().length>=0, os.totalmem()>0); try{os.networkInterfaces()}catch(e){console.log(e.code)}`}, want: "hello"},
		{name: "node spawning", calls: command, args: []string{node, "-e", `console.log(require("child_process").execSync("echo spawned").toString())`}, want: "spawned"},
		{name: "php", calls: fleet, args: []string{"/usr/bin/php", "-d", "opcache.enable_cli=1", "-r", `echo strlen(random_bytes(8)), gethostbyname("localhost"), @file_put_contents("/usr/x","x")===false?" ro":" rw";`}, want: "8127.0.0.1 ro"},
		{name: "php running a shell", calls: fleet, args: []string{"/usr/bin/php", "-r", `var_dump(@shell_exec("echo shell")); echo proc_close(proc_open(["` + sandbox.Loader("/usr/bin/true") + `","/usr/bin/true"],[],$p));`}, want: "Exec failed: Permission denied"},
		{name: "php-fpm", calls: fleet, args: []string{fpm[len(fpm)-1], "-F", "-O", "-y", "/etc/fpm.conf", "-d", "opcache.lockfile_path=/tmp"}, until: "ready to handle connections", stop: unix.SIGQUIT, want: "exiting, bye-bye"},
		{name: "mariadb set-up", calls: tools, args: []string{"/usr/bin/mariadb-install-db", "--no-defaults", "--datadir=/srv/mysql", "--auth-root-authentication-method=normal", "--skip-test-db"}, want: "OK"},
		{name: "mariadb", calls: sandbox.Calls{Unix: true, TCP: true, Meta: true}, args: []string{"/usr/sbin/mariadbd", "--no-defaults", "--datadir=/srv/mysql", "--socket=/srv/my.sock", "--skip-networking", "--innodb-buffer-pool-size=16M"}, until: "ready for connections", stop: unix.SIGTERM, want: "Shutdown complete"},
		{name: "postgres set-up", calls: tools, args: []string{pg + "/initdb", "-D", "/srv/pg", "-A", "trust", "--no-locale", "-E", "UTF8", "--no-sync"}, want: "Success"},
		{name: "postgres", calls: sandbox.Calls{Unix: true, TCP: true, Meta: true, Fork: true}, args: []string{pg + "/postgres", "-D", "/srv/pg", "-k", "/srv", "-c", "listen_addresses="}, until: "ready to accept connections", stop: unix.SIGINT, want: "database system is shut down"},
	} {
		if strings.HasSuffix(s.name, "set-up") || s.name == "bash" {
			programDir = shared(t)
		}
		t.Run(s.name, func(t *testing.T) {
			if _, err := os.Stat(s.args[0]); err != nil {
				t.Fatalf("NOT RUN: %v", err)
			}
			spec := sandbox.Spec{Name: "app", Args: s.args, Env: []string{"PATH=/usr/bin:/usr/sbin", "TMPDIR=/tmp", "LANG=C"}, UID: uid(), Proc: true, Dir: "/srv",
				Mounts: append([]sandbox.Mount{{Source: programDir, Target: "/srv", Write: true}}, mounts...),
				Links:  map[string]string{"/bin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib64"},
				Texts:  map[string]string{"/etc/passwd": "app:x:1000:1000::/tmp:/bin/sh\n", "/etc/group": "app:x:1000:\n", "/etc/hosts": "127.0.0.1 localhost\n", "/etc/fpm.conf": fpmConf},
				Calls:  s.calls}
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			spec.Stdout, spec.Stderr = w, w
			p, err := sandbox.Start(spec)
			w.Close()
			if err != nil {
				t.Fatal(err)
			}
			kill := time.AfterFunc(60*time.Second, func() { p.Kill() })
			defer kill.Stop()
			var out strings.Builder
			buf := make([]byte, 4096)
			for stopped := false; ; {
				n, err := r.Read(buf)
				out.Write(buf[:n])
				if s.until != "" && !stopped && strings.Contains(out.String(), s.until) {
					stopped = true
					p.Signal(s.stop)
				}
				if err != nil {
					break
				}
			}
			exit, err := p.Wait()
			if err != nil || exit != (sandbox.Exit{Code: s.exit}) || !strings.Contains(out.String(), s.want) {
				t.Errorf("ended with %v, %v; want code %d and %q in:\n%s", exit, err, s.exit, s.want, out.String())
			}
		})
	}
}

var programDir string
