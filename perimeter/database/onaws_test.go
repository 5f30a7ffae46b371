package database

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/tlsca"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// TestRounds has every probe that asks RDS do so through a script that truly runs,
// against servers of the kinds that RDS has, with the grants as they are to be and
// then with too many.
func TestRounds(t *testing.T) {
	for _, engine := range []plan.Engine{plan.MySQL, plan.Postgres} {
		t.Run(string(engine), func(t *testing.T) {
			ca, err := tlsca.Open(t.TempDir(), nil)
			if err != nil {
				t.Fatal(err)
			}
			port := startServer(t, engine, ca)
			p := keeperPlan(engine)
			p.Database.Port = uint16(port)
			master := plan.Secret{Username: masterName, Password: "master-password", Host: "localhost", DBName: map[plan.Engine]string{plan.MySQL: "", plan.Postgres: "postgres"}[engine], Port: uint16(port)}
			fleet := plan.Secret{Username: "fleet_a", Password: "fleet-password", Host: "localhost", DBName: "shop_test", Port: uint16(port)}
			// As the keeper would, with a few statements.
			set := map[plan.Engine][]string{
				plan.MySQL: {"CREATE DATABASE shop_test", "CREATE TABLE shop_test.posts (id INT)", "CREATE TABLE shop_test.comments (id INT)", "CREATE TABLE shop_test.users (id INT, hash TEXT)",
					"CREATE VIEW shop_test.users_public AS SELECT id, '-' AS hash FROM shop_test.users", "CREATE USER fleet_a@'%' IDENTIFIED BY 'fleet-password'",
					"DELETE FROM mysql.global_priv WHERE User IN ('root', '')", "FLUSH PRIVILEGES", "GRANT SELECT ON shop_test.posts TO fleet_a@'%'", "GRANT SELECT, INSERT ON shop_test.comments TO fleet_a@'%'", "GRANT SELECT ON shop_test.users_public TO fleet_a@'%'"},
				plan.Postgres: {"CREATE DATABASE shop_test", "REVOKE CONNECT ON DATABASE shop_test FROM PUBLIC", "CREATE ROLE fleet_a LOGIN PASSWORD 'fleet-password'", "GRANT CONNECT ON DATABASE shop_test TO fleet_a", "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC", "REVOKE CONNECT ON DATABASE template1 FROM PUBLIC"},
			}[engine]
			tables := []string{"CREATE TABLE posts (id INT)", "CREATE TABLE comments (id INT)", "CREATE TABLE users (id INT, hash TEXT)", "CREATE VIEW users_public AS SELECT id, '-' AS hash FROM users",
				"GRANT SELECT ON posts, comments, users_public TO fleet_a", "GRANT INSERT ON comments TO fleet_a"}
			admin := newRounds(p, string(ca.PEM()))
			tell := func(db string, statements ...string) {
				t.Helper()
				as := master
				if db != "" {
					as.DBName = db
				}
				for _, sql := range statements {
					if err := say(t, admin, as, sql); err != nil && !strings.Contains(err.Error(), "CONNECT") {
						t.Fatalf("NOT RUN: %s: %v", sql, err)
					}
				}
			}
			tell("", set...)
			if engine == plan.Postgres {
				tell("shop_test", tables...)
			}
			for _, c := range controls {
				if c.AWS == nil || c.AWS.Rounds == nil || c.Vantage != perimeter.InFleet || !c.For(p) || c.ID == "database/old-password" || c.ID == "database/other-databases" && engine == plan.Postgres {
					continue
				}
				if r := converse(t, p, c, string(ca.PEM()), fleet); r.Verdict != perimeter.Held {
					t.Errorf("%s with its wall up: %v %q\n%s\n%s", c.ID, r.Verdict, r.Error, strings.Join(r.Tried, "\n"), strings.Join(r.Evidence, "\n"))
				}
			}
			down := map[string]string{
				"database/tier-grants": "GRANT UPDATE ON posts TO fleet_a", "database/fleet-inserts": "GRANT INSERT ON posts TO fleet_a",
				"database/fleet-ddl": "GRANT CREATE ON SCHEMA public TO fleet_a", "database/mask": "GRANT SELECT ON users TO fleet_a",
				"database/superuser": "ALTER ROLE fleet_a CREATEROLE",
			}
			if engine == plan.MySQL {
				down = map[string]string{
					"database/tier-grants": "GRANT UPDATE ON shop_test.posts TO fleet_a@'%'", "database/fleet-inserts": "GRANT INSERT ON shop_test.posts TO fleet_a@'%'",
					"database/fleet-ddl": "GRANT CREATE ON shop_test.* TO fleet_a@'%'", "database/mask": "GRANT SELECT ON shop_test.users TO fleet_a@'%'",
					"database/other-databases": "GRANT SELECT ON mysql.* TO fleet_a@'%'", "database/server-files": "GRANT FILE ON *.* TO fleet_a@'%'",
					"database/superuser": "GRANT CREATE USER ON *.* TO fleet_a@'%'", "database/passwords": "SET PASSWORD FOR fleet_a@'%' = ''",
				}
			}
			for _, c := range controls {
				grant, ok := down[c.ID]
				if !ok || c.ID == "database/passwords" {
					continue
				}
				db := ""
				if engine == plan.Postgres {
					db = "shop_test"
				}
				tell(db, grant)
				if r := converse(t, p, c, string(ca.PEM()), fleet); r.Verdict != perimeter.Broken {
					t.Errorf("%s with its wall down: %v %q\n%s", c.ID, r.Verdict, r.Error, strings.Join(r.Evidence, "\n"))
				}
			}
		})
	}
}

// converse runs a probe until it asks nothing more.
func converse(t *testing.T, p *plan.Plan, c *perimeter.Control, authority string, secret plan.Secret) perimeter.Result {
	t.Helper()
	r := newRounds(p, authority)
	for range 10 {
		r.Begin()
		res := perimeter.Judge(t.Context(), 9, c, &perimeter.Target{Plan: p, Cloud: &perimeter.Cloud{}, Inside: &perimeter.Inside{Tier: plan.Fleet, Rounds: r}})
		if !r.Pending() {
			return res
		}
		run(t, r, c.ID, secret)
	}
	t.Fatalf("%s asks without end", c.ID)
	return perimeter.Result{}
}

// run has a shell run what is asked, as on an instance whose tier has the secret.
func run(t *testing.T, r *rounds, id string, secret plan.Secret) {
	t.Helper()
	s := &perimeter.Script{Tier: plan.Fleet}
	s.Begin(id)
	r.Write(s)
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(s.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := exec.CommandContext(ctx, "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", `mount -t tmpfs none /run && mkdir /run/secrets && cat >/run/secrets/database.json && exec sh "$0"`, file)
	c.Stdin = bytes.NewReader(b)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("NOT RUN: %v\n%s", err, out)
	}
	if strings.Contains(string(out), secret.Password) {
		t.Fatal("the password was printed")
	}
	lines, ended := perimeter.Lines(string(out), id)
	if !ended {
		t.Fatalf("the script did not come to its end:\n%s", out)
	}
	r.Read(lines)
	if r.who == nil {
		t.Fatalf("the script says nothing:\n%s", out)
	}
}

// say runs one statement as an administrator.
func say(t *testing.T, r *rounds, as plan.Secret, sql string) error {
	t.Helper()
	r.Begin()
	own := as
	own.Password = perimeter.Password
	if _, err := r.Query(own, sql, false); err == nil {
		return nil
	}
	run(t, r, "database/administrator", as)
	_, err := r.Query(own, sql, false)
	return err
}
