package database

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/internal/tlsca"
	"github.com/ringwall/ringwall/plan"
)

// TestKeeper runs the keeper's program against servers of the kinds that RDS runs.
func TestKeeper(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("NOT RUN: the keeper is a Python program, and there is no python3")
	}
	for _, engine := range []plan.Engine{plan.MySQL, plan.Postgres} {
		t.Run(string(engine), func(t *testing.T) {
			ca, err := tlsca.Open(t.TempDir(), nil)
			if err != nil {
				t.Fatal(err)
			}
			stranger, err := tlsca.Open(t.TempDir(), nil)
			if err != nil {
				t.Fatal(err)
			}
			port := startServer(t, engine, ca)
			p := keeperPlan(engine)
			config, err := json.Marshal(keeperConfigOf(p))
			if err != nil {
				t.Fatal(err)
			}
			var c map[string]any
			if err := json.Unmarshal(config, &c); err != nil {
				t.Fatal(err)
			}
			c["host"], c["port"], c["authority"] = "localhost", port, string(ca.PEM())
			if engine == plan.MySQL {
				c["network"] = "127.0.0.0/255.0.0.0"
			}
			trial, err := json.Marshal(map[string]any{"config": c, "stranger": string(stranger.PEM()),
				"master": map[string]string{"username": masterName, "password": "master-password"}})
			if err != nil {
				t.Fatal(err)
			}
			program, err := keeperProgram(p)
			if err != nil {
				t.Fatal(err)
			}
			script, err := os.ReadFile("testdata/keeper/trial.py")
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "keeper.py")
			if err := os.WriteFile(file, append([]byte(program+"\n"), script...), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), python, file)
			cmd.Env = append(os.Environ(), "TRIAL="+string(trial))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}

func keeperPlan(engine plan.Engine) *plan.Plan {
	p := &plan.Plan{App: "shop", Env: "test", Preset: plan.PresetWordPress, Tiers: []plan.Tier{
		{Name: plan.Admin, Write: true, Min: 1, Max: 1}, {Name: plan.Fleet, Min: 1, Max: 2}}}
	p.Database = plan.Database{Config: plan.DBInstance, Engine: engine, Name: "shop_test", Port: 1, Grants: map[string][]plan.Grant{
		plan.Fleet: {{Tables: "*", Rights: []string{"select"}}, {Tables: "comments", Rights: []string{"select", "insert"}}},
	}, Mask: []plan.Mask{{Tier: plan.Fleet, Table: "users", View: "users_public", Columns: map[string]string{"hash": "'-'"}}}}
	p.AWS.Region = "eu-central-1"
	p.VPC.CIDR = plan.NewVPC(netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("fd00::/64")).CIDR
	return p
}

// startServer starts a database server with TLS on a loopback port, with a user who
// may make others, and stops it at the test's end.
func startServer(t *testing.T, engine plan.Engine, ca *tlsca.CA) (port int) {
	t.Helper()
	dir, err := os.MkdirTemp("", "keeper") // short: a socket's path is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cert, key, err := ca.Issue([]string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	l.Close()

	as := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir, "TMPDIR="+dir)
		if os.Geteuid() == 0 { // a database server does not run as root
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}}
		}
		return cmd
	}
	run := func(stdin string, name string, args ...string) {
		t.Helper()
		cmd := as(name, args...)
		cmd.Stdin = strings.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("NOT RUN: %s: %v\n%s", name, err, out)
		}
	}
	if os.Geteuid() == 0 {
		for _, name := range []string{"", "cert.pem", "key.pem"} {
			if err := os.Chown(filepath.Join(dir, name), 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
	}
	data := filepath.Join(dir, "data")
	var server *exec.Cmd
	var admit func() error
	if engine == plan.MySQL {
		run("", "mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--datadir="+data)
		server = as("/usr/sbin/mariadbd", "--no-defaults", "--datadir="+data, "--socket="+dir+"/s", "--port="+strconv.Itoa(port), "--bind-address=127.0.0.1",
			"--ssl-cert="+dir+"/cert.pem", "--ssl-key="+dir+"/key.pem", "--require-secure-transport=1", "--skip-name-resolve", "--innodb-buffer-pool-size=16M")
		admit = func() error {
			cmd := as("mariadb", "--no-defaults", "--socket="+dir+"/s", "--user=root")
			cmd.Stdin = strings.NewReader("DELETE FROM mysql.global_priv WHERE User = ''; FLUSH PRIVILEGES; CREATE USER " + masterName + "@'%' IDENTIFIED BY 'master-password'; GRANT ALL ON *.* TO " + masterName + "@'%' WITH GRANT OPTION;")
			return cmd.Run()
		}
	} else {
		bin := postgresBin(t)
		run("", filepath.Join(bin, "initdb"), "--pgdata="+data, "--username=postgres", "--auth=trust", "--no-sync")
		hba := "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
		if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o644); err != nil {
			t.Fatal(err)
		}
		server = as(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "ssl=on",
			"-c", "ssl_cert_file="+dir+"/cert.pem", "-c", "ssl_key_file="+dir+"/key.pem", "-c", "fsync=off")
		admit = func() error {
			cmd := as("psql", "-h", dir, "-p", strconv.Itoa(port), "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-q")
			// What rds_superuser may: roles and databases, and not everything.
			cmd.Stdin = strings.NewReader("CREATE ROLE " + masterName + " LOGIN CREATEROLE CREATEDB PASSWORD 'master-password';")
			return cmd.Run()
		}
	}
	var log bytes.Buffer
	server.Stdout, server.Stderr = &log, &log
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGQUIT) }
	server.WaitDelay = 10 * time.Second
	if err := server.Start(); err != nil {
		t.Fatalf("NOT RUN: %v", err)
	}
	t.Cleanup(func() {
		server.Process.Signal(syscall.SIGTERM)
		server.Wait()
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err = admit(); err == nil {
			return port
		}
		if time.Now().After(end) {
			server.Process.Kill()
			server.Wait()
			t.Fatalf("NOT RUN: the server does not answer: %v\n%s", err, fmt.Sprint(log.String()))
		}
	}
}

func postgresBin(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(found) == 0 {
		t.Fatal("NOT RUN: no PostgreSQL in /usr/lib/postgresql")
	}
	return found[len(found)-1]
}

// TestKeeperScramble holds the login of MySQL 8.4, which no server of this machine
// has, against an answer that a server of it has taken.
func TestKeeperScramble(t *testing.T) {
	const program = `
nonce = bytes([10, 47, 74, 111, 75, 73, 34, 48, 88, 76, 114, 74, 37, 13, 3, 80, 82, 2, 23, 21])
print(MySQL.scramble("caching_sha2_password", "secret", nonce).hex())
`
	out, err := exec.CommandContext(t.Context(), "python3", "-c", keeperWire+program).CombinedOutput()
	if err != nil {
		t.Fatalf("NOT RUN: %v\n%s", err, out)
	}
	const want = "f490e76f66d9d86665ce54d98c78d0acfe2fb0b08b423da807144873d30b312c"
	if got := strings.TrimSpace(string(out)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
